"""What the views draw: one moment of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamlog.cli.view.rates import Rates
    from streamlog.targets import TargetStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One moment of a run.

    Attributes:
        elapsed_s: Since the run began.
        doing: What it is about, such as `running` or `stopping (interrupt again to stop at once)`.
        statuses: The targets by name, in the order of the command line.
        rates: Of the totals named by `totals`.
        top: The largest entries of the first target that has a table, by that target's name.
    """

    elapsed_s: float
    doing: str
    statuses: Mapping[str, TargetStatus]
    rates: Rates
    top: tuple[str, Sequence[tuple[str, Any]]] | None = None


class View(Protocol):
    """Shows a run while it lasts; `close` is called once, whatever happened."""

    def show(self, snapshot: Snapshot) -> None: ...

    def close(self) -> None: ...


def totals(statuses: Mapping[str, TargetStatus]) -> dict[str, int]:
    """Every total of every target under a name of its own (`word-count/in`, `.../words`)."""
    found: dict[str, int] = {}
    for name, status in statuses.items():
        found[f"{name}/in"] = status.records_in
        found[f"{name}/out"] = status.records_out
        for counter, value in status.counters.items():
            found[f"{name}/{counter}"] = value
        if status.restore is not None:
            found[f"{name}/restored"] = status.restore.records
    return found


def short(number: float) -> str:
    """A number in at most six characters: `987`, `12.3 k`, `1.21 M`."""
    for unit in ("", " k", " M", " G"):
        if abs(number) < 999.5 or unit == " G":
            digits = 0 if not unit or abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
            return f"{number:.{digits}f}{unit}"
        number /= 1000
    raise AssertionError("the last unit takes everything")


def short_bytes(size: int) -> str:
    """A size: `0 B`, `20.5 kB`."""
    text = short(size)
    return f"{text}B" if " " in text else f"{text} B"
