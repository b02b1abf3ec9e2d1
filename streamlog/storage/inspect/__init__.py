"""Looks at the files of a log that nobody has open: shows them, checks them, saves what is whole.

dump        what a file of any kind says, entry by entry
check       what is wrong in a log directory, and where
repair      all that can be saved, in a new directory that opens
salvage     the whole batches of a damaged file, and what lies between them
"""

from streamlog.storage.inspect.check import check_directory
from streamlog.storage.inspect.dump import Wanted, dump_path
from streamlog.storage.inspect.finding import Finding, Level
from streamlog.storage.inspect.repair import Repaired, repair_directory
from streamlog.storage.inspect.rescue import Rescued

__all__ = [
    "Finding",
    "Level",
    "Repaired",
    "Rescued",
    "Wanted",
    "check_directory",
    "dump_path",
    "repair_directory",
]
