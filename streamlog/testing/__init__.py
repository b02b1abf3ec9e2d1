"""For tests of what is built on the log, with pytest or without.

    FaultyFiles     a disk in memory that can lose power, fail and be full
    crashes         runs work, and gives the log as it is after a loss of power anywhere in it
    ManualClock     a clock to turn by hand

pytest finds the fixtures of `streamlog.testing.plugin` by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlog.testing.crash import Crash, crashes
    from streamlog.testing.faulty_files import Adversary, Cut, FaultyFiles, choose_cuts
    from streamlog.testing.manual_clock import ManualClock

__all__ = ["Adversary", "Crash", "Cut", "FaultyFiles", "ManualClock", "choose_cuts", "crashes"]

# Imported when first asked for: pytest imports this package in every project that has streamlog.
_HOME_OF = {
    "Adversary": "streamlog.testing.faulty_files",
    "Crash": "streamlog.testing.crash",
    "Cut": "streamlog.testing.faulty_files",
    "FaultyFiles": "streamlog.testing.faulty_files",
    "ManualClock": "streamlog.testing.manual_clock",
    "choose_cuts": "streamlog.testing.faulty_files",
    "crashes": "streamlog.testing.crash",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value
