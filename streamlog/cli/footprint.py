"""What in a log belongs to an application: its groups and internal topics. Pure.

The application's manifest, beside its state, names its stores, exchanges and agents. Without one
(the state directory is gone) names have to do: whatever begins with the application's name, except
what begins with the longer name of another one. Agents' groups cannot be found that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MANIFEST = "manifest.json"
CHANGELOG = "-changelog"
REPARTITION = "-repartition"


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Names, of what may no longer exist too."""

    groups: list[str]
    changelogs: list[str]
    repartitions: list[str]


def named_by_manifest(app: str, manifest: Mapping[str, Any]) -> Footprint:
    """What the manifest says."""
    return Footprint(
        groups=[app, *(f"{app}/{agent}" for agent in manifest["agents"])],
        changelogs=[f"{app}-{store}{CHANGELOG}" for store in manifest["stores"]],
        repartitions=[f"{app}-{name}{REPARTITION}" for name in manifest["exchanges"]],
    )


def guessed(app: str, topics: Iterable[str], others: Collection[str]) -> Footprint:
    """What the names of the topics say; `others` are the names of other applications."""
    longer = tuple(f"{other}-" for other in others if other.startswith(f"{app}-"))
    own = [
        topic for topic in topics if topic.startswith(f"{app}-") and not topic.startswith(longer)
    ]
    return Footprint(
        groups=[app],
        changelogs=[topic for topic in own if topic.endswith(CHANGELOG)],
        repartitions=[topic for topic in own if topic.endswith(REPARTITION)],
    )
