"""The rewrite rules: one a file, each a function of the shape of a graph. None changes a result.

| rule | what it does |
|---|---|
| `drop_groupings` | a grouping by the key that rows are partitioned by moves nothing |
| `merge_repartitions` | what moves the same rows by the same key moves them once |
| `single_store_self_joins` | a stream that is joined with itself keeps its rows once |
| `push_filters` | rows that a filter drops are dropped before they change tasks |
| `reuse_sources` | a table's topic stands in for its changelog, where it is compacted |

`App(..., optimize=...)` switches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from processors.errors import TopologyError
from processors.topology.rules.drop_groupings import drop_groupings
from processors.topology.rules.merge_repartitions import merge_repartitions
from processors.topology.rules.push_filters import push_filters
from processors.topology.rules.reuse_sources import reuse_sources
from processors.topology.rules.single_store_self_joins import single_store_self_joins

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from processors.topology.rules.shape import Shape

RULES: Final[dict[str, Callable[[Shape], Shape]]] = {
    "drop_groupings": drop_groupings,
    "merge_repartitions": merge_repartitions,
    "single_store_self_joins": single_store_self_joins,
    "push_filters": push_filters,
    "reuse_sources": reuse_sources,
}
"""In the order in which they are applied."""


def choose_rules(optimize: bool | Collection[str] | Mapping[str, bool]) -> tuple[str, ...]:
    """The names of the rules that are on.

    Args:
        optimize: All or none; the names of those that are on; or names and whether they are, where
            those that are not named are on.

    Raises:
        TopologyError: a name is that of no rule.
    """
    if isinstance(optimize, bool):
        return tuple(RULES) if optimize else ()
    if isinstance(optimize, str):
        raise TopologyError(f"optimize={optimize!r}: give a list of rules: [{optimize!r}]")
    for name in optimize:
        if name not in RULES:
            known = ", ".join(map(repr, RULES))
            raise TopologyError(f"optimize: there is no rule {name!r}; there are {known}")
    if isinstance(optimize, Mapping):
        switched = cast("Mapping[str, bool]", optimize)  # a collection of names is none
        return tuple(name for name in RULES if switched.get(name, True))
    return tuple(name for name in RULES if name in optimize)
