"""Wraps what the operating system raises, once, at the shell."""

from __future__ import annotations

import errno

from streamlog.errors import DirectoryAccessError, DiskFullError, StorageError, SyncFailedError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_TOO_MANY = {errno.EMFILE, errno.ENFILE}
_NO_ACCESS = {
    errno.EACCES: "Give this user the right to read and write it, or use another directory",
    errno.EPERM: "Give this user the right to read and write it, or use another directory",
    errno.EROFS: "Mount it to be written, or use another directory; it can be read as it is",
    errno.ENOTDIR: "A part of the path is a file: use another directory",
    errno.ENOENT: "A part of the path leads nowhere: use another directory",
}
_REOPEN = "close the log and open it again"


def wrap_write_error(path: str, error: OSError) -> StorageError:
    """A failed write, truncate or change of names."""
    if error.errno in _FULL:
        return DiskFullError(path)
    reason = error.strerror or str(error)
    if error.errno in _TOO_MANY:
        return StorageError(path, f"{reason}. Raise the limit (ulimit -n), then {_REOPEN}")
    return StorageError(path, f"write failed: {reason}. Check the disk, then {_REOPEN}")


def wrap_sync_error(path: str, error: OSError) -> StorageError:
    """A failed sync. A file system may find out only then that it is full."""
    if error.errno in _FULL:
        return DiskFullError(path)
    return SyncFailedError(path, error.strerror or str(error))


def wrap_access_error(path: str, error: OSError) -> StorageError:
    """A directory that cannot be opened as asked."""
    if error.errno in _FULL:
        return DiskFullError(path)
    if error.errno in _NO_ACCESS:
        reason = error.strerror or str(error)
        remedy = _NO_ACCESS[error.errno]
        return DirectoryAccessError(path, f"cannot open the log here: {reason}. {remedy}")
    return wrap_write_error(path, error)
