"""For tests of what is built on the log: a clock to turn by hand, a disk that loses power."""

from streamlog.testing.faulty_files import Adversary, Cut, FaultyFiles, choose_cuts
from streamlog.testing.manual_clock import ManualClock

__all__ = ["Adversary", "Cut", "FaultyFiles", "ManualClock", "choose_cuts"]
