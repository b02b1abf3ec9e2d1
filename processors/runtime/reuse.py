"""Source topics in the place of changelogs: which, and what of their records is in a store.

A topic that is compacted, and nothing else, keeps the last record of each key. What was chosen at
the first start stays: a store that has been kept in its own changelog goes on there, and one whose
topic is no longer compacted cannot be restored, which is an error and not a silent loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.errors import TopologyError
from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from processors.runtime.restore import Row
    from processors.topology.partitioning import StoreSpec

_CANONICAL = (STRING, BYTES, LONG, DOUBLE)
"""What their serializers write is the only form in which a value can be read."""


def choose_reused(
    reusable: Mapping[str, str],
    cleanup_policy: Callable[[str], str],
    earlier: Mapping[str, Mapping[str, Any]] | None,
) -> frozenset[str]:
    """The stores that are restored from their source topic.

    Args:
        reusable: The topics of the stores for which the rewrite rule allows it.
        earlier: The stores of the run before, as its manifest has them; None at the first start.

    Raises:
        TopologyError: a store was kept in its topic alone, which is not compacted any more.
    """
    chosen: list[str] = []
    for store, topic in reusable.items():
        is_changelog = cleanup_policy(topic).replace(" ", "") == "compact"
        was_reused = earlier is not None and "source" in earlier.get(store, {})
        if was_reused and not is_changelog:
            raise TopologyError(
                f"store {store!r} is kept in its topic {topic!r} alone, whose cleanup.policy is "
                f"{cleanup_policy(topic)!r} now: set it back to 'compact', or begin anew with "
                "another name of the application or `streamlog reset`"
            )
        if was_reused or (is_changelog and (earlier is None or store not in earlier)):
            chosen.append(store)
    return frozenset(chosen)


def row_reader(spec: StoreSpec) -> Callable[[Row], Row | None]:
    """What the table has made of a record: None for one that it left out, as it cannot be read."""
    key_serde, value_serde = spec.key, spec.value
    is_canonical = key_serde in _CANONICAL

    def read(row: Row) -> Row | None:
        key, value, timestamp = row
        if key is None or timestamp < 0:
            return None
        try:
            if value is not None:
                value_serde.deserialize(value)
            decoded = key_serde.deserialize(key)
            # Another spelling of the same key is the same entry of the store.
            return (key if is_canonical else key_serde.serialize(decoded)), value, timestamp
        except SerializationError:
            return None

    return read
