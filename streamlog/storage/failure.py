"""Wraps what the operating system raises, once, at the shell."""

from __future__ import annotations

import errno

from streamlog.errors import DirectoryAccessError, DiskFullError, StorageError, SyncFailedError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT}


def wrap_write_error(path: str, error: OSError) -> StorageError:
    """A failed write, truncate or change of names."""
    if error.errno in _FULL:
        return DiskFullError(path)
    return StorageError(path, f"write failed: {error.strerror or error}")


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
        return DirectoryAccessError(path, f"cannot open the log here: {reason}")
    return StorageError(path, str(error))
