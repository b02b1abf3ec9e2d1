"""From the arguments of `streamlog run` to targets, through the loaders that siblings register."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from streamlog.errors import TargetError
from streamlog.targets import TARGETS_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.targets import Target, TargetLoader


def load_targets(
    specs: Iterable[str], loaders: Mapping[str, TargetLoader] | None = None
) -> list[Target]:
    """Every target that the arguments name, in their order.

    Raises:
        TargetError: no loader knows an argument, or two targets have one name.
    """
    chosen = _registered_loaders() if loaders is None else loaders
    targets: list[Target] = []
    origins: dict[str, str] = {}
    for spec in specs:
        for target in _load(spec, chosen):
            if target.name in origins:
                raise TargetError(
                    spec,
                    f"a target named {target.name!r} is already there, from "
                    f"{origins[target.name]}: each needs a name of its own",
                )
            origins[target.name] = spec
            targets.append(target)
    return targets


def _registered_loaders() -> dict[str, TargetLoader]:
    return {entry.name: entry.load() for entry in entry_points(group=TARGETS_GROUP)}


def _load(spec: str, loaders: Mapping[str, TargetLoader]) -> list[Target]:
    for load in loaders.values():
        targets = load(spec)
        if targets is not None:
            return targets
    kinds = ", ".join(sorted(loaders)) or "none: is the distribution installed?"
    raise TargetError(
        spec,
        "no kind of target: name `module:app`, a path to a Python file or to a YAML file "
        f"(loaders here: {kinds})",
    )
