"""A file and the offsets of the records in it, always of one moment.

    counts.jsonl              the data
    counts.jsonl.offsets      how many of its bytes count, and which offsets they reach (a journal)
    counts.jsonl.lock         held while a sink has it open
    counts.jsonl.7.replaced   the data of the journal's entry 7, on its way to become the file

Appending: write the data, sync it, append the journal's entry, sync it: the commit point. A crash
before leaves bytes behind the length that counts; they are cut off when the file is opened.

Replacing: write the new data beside the file, sync it and its name; append the journal's entry
and sync it: the commit point; then rename and sync the directory. A crash before leaves a file
that no entry names, which is removed; a crash behind it leaves the one that the last entry names,
or has renamed it already: opening finishes the rename. The number in the name tells the two
apart.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from connectors.errors import DestinationError
from connectors.sinks.journal import Entry, HeldOffset, Journal, make_directory
from streamlog.files import read_file, write_file

if TYPE_CHECKING:
    from collections.abc import Generator

    from streamlog.files import File, Files, Lock


class JournaledFile:
    """See the module. Owned by one thread; one process at a time."""

    def __init__(self, files: Files, path: str, layout: str) -> None:
        self._files = files
        self._path = os.path.abspath(path)
        self._directory = os.path.dirname(self._path)
        self._layout = layout
        self._lock: Lock | None = None
        self._journal: Journal | None = None
        self._file: File | None = None
        self._failed = False

    @property
    def path(self) -> str:
        return self._path

    @property
    def is_sound(self) -> bool:
        """Whether it is open and nothing has failed."""
        return self._file is not None and not self._failed

    @property
    def last(self) -> Entry:
        """The state that is on the disk."""
        assert self._journal is not None
        return self._journal.last

    def open(self) -> None:
        """Brings file and journal together.

        Raises:
            DestinationError: another sink has the file, or it is not as a sink left it.
        """
        try:
            with self._reporting():
                make_directory(self._files, self._directory)
                self._lock = self._take_lock()
                self._journal = self._open_journal()
                self._finish_replacing()
                self._file = self._open_data()
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes:
        """The whole content that counts."""
        with self._reporting():
            return read_file(self._files, self._path)

    def append(self, data: bytes, offsets: list[HeldOffset]) -> None:
        """Adds data that reaches `offsets`; durable on return."""
        assert self._file is not None
        assert self._journal is not None
        with self._reporting():
            length = self.last.length
            if data:
                self._file.pwrite(data, length)
                self._file.datasync()
            self._journal.append(self._next_entry(length + len(data), offsets))

    def replace(self, data: bytes, offsets: list[HeldOffset], *, final: bool = False) -> None:
        """Makes `data` the whole content, which reaches `offsets`; durable on return."""
        assert self._file is not None
        assert self._journal is not None
        with self._reporting():
            entry = self._next_entry(len(data), offsets, replaced=True, final=final)
            replacement = self._replacement(entry)
            write_file(self._files, replacement, data)
            self._files.sync_directory(self._directory)
            self._journal.append(entry)
            self._file.close()
            self._files.rename(replacement, self._path)
            self._files.sync_directory(self._directory)
            self._file = self._files.open(self._path, "write")

    def close(self) -> None:
        """Releases everything, after a failure too."""
        with suppress(OSError):  # all that counts is synced already
            if self._file is not None:
                self._file.close()
            if self._journal is not None:
                self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._file = self._journal = self._lock = None

    def _next_entry(
        self,
        length: int,
        offsets: list[HeldOffset],
        *,
        replaced: bool = False,
        final: bool = False,
    ) -> Entry:
        return Entry(
            sequence=self.last.sequence + 1,
            length=length,
            replaced=replaced,
            final=final,
            layout=self._layout,
            offsets=offsets,
        )

    def _replacement(self, entry: Entry) -> str:
        return f"{self._path}.{entry.sequence}.replaced"

    def _take_lock(self) -> Lock:
        try:
            return self._files.lock(f"{self._path}.lock", f"{os.getpid()}\n".encode())
        except BlockingIOError:
            raise DestinationError(self._path, "another sink is writing this file") from None

    def _open_journal(self) -> Journal:
        path = f"{self._path}.offsets"
        if not self._files.exists(path):
            if self._files.exists(self._path) and self._files.size(self._path):
                reason = f"exists, and no {path} says what it holds: move it away"
                raise DestinationError(self._path, reason)
            return Journal.create(self._files, path, self._layout)
        journal = Journal.load(self._files, path)
        if journal.last.layout != self._layout:
            reason = f"was written as {journal.last.layout!r}, and is now to be {self._layout!r}"
            raise DestinationError(self._path, f"{reason}: give another path")
        return journal

    def _finish_replacing(self) -> None:
        """Renames the file that the last entry waits for; removes those that none waits for."""
        wanted = self._replacement(self.last)
        if self.last.replaced and self._files.exists(wanted):
            self._files.rename(wanted, self._path)
            self._files.sync_directory(self._directory)
        prefix = os.path.basename(self._path) + "."
        for name in self._files.listdir(self._directory):
            number = name.removeprefix(prefix).removesuffix(".replaced")
            if name == f"{prefix}{number}.replaced" and number.isdecimal():
                self._files.unlink(os.path.join(self._directory, name))

    def _open_data(self) -> File:
        """Opens the file and cuts off what was never committed."""
        length = self.last.length
        if not self._files.exists(self._path):
            if length:
                reason = f"is gone, but {self._path}.offsets remains: remove that too to begin anew"
                raise DestinationError(self._path, reason)
            file = self._files.open(self._path, "create")
            self._files.sync_directory(self._directory)
            return file
        file = self._files.open(self._path, "write")
        if file.size() < length:
            reason = f"has {file.size()} bytes, but held {length}: it was changed from outside"
            raise DestinationError(self._path, reason)
        file.truncate(length)
        return file

    @contextmanager
    def _reporting(self) -> Generator[None]:
        """Names the file in what the system says, and refuses to go on after a failure.

        How much of a failed write or sync is on the disk is unknown until the file is opened.
        """
        if self._failed:
            raise DestinationError(self._path, "an earlier write failed: open it again")
        self._failed = True
        try:
            yield
        except OSError as error:
            raise DestinationError(self._path, error.strerror or str(error)) from error
        self._failed = False
