"""Who wrote the directory: `meta.properties`, the format's version, the last owner's session."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from streamlog.errors import FormatVersionError, StorageError
from streamlog.files import read_file, replace_file
from streamlog.storage import layout

if TYPE_CHECKING:
    from streamlog.files import Files

FORMAT: Final = 1
TRANSACTION_INDEXES: Final = "streamlog.transaction.indexes"
"""`always`: every segment below its recovery point has the file. Missing in older directories."""


@dataclass(frozen=True, slots=True)
class Session:
    """How the last owner wrote, as far as recovery must know.

    `unclean_boot` stays set until a clean stop: whoever acts on it may die before it is done.
    """

    boot_id: str
    durability: str
    unclean_boot: bool = False

    def is_of_boot(self, boot_id: str) -> bool:
        """Whether the machine has run on since; False where it does not tell its boots apart."""
        return boot_id != "" and self.boot_id == boot_id


def check_format(files: Files, root: str) -> bool:
    """Whether the directory has been set up.

    Raises `FormatVersionError` for a newer format.
    """
    path = os.path.join(root, layout.META_PROPERTIES)
    if not files.exists(path):
        return False
    properties = _parse_properties(read_file(files, path).decode(errors="replace"))
    try:
        found = int(properties["streamlog.format"])
    except (KeyError, ValueError):
        reason = "not a streamlog directory: meta.properties has no streamlog.format"
        raise StorageError(path, reason) from None
    if found > FORMAT:
        written_by = properties.get("streamlog.version", "of an unknown version")
        raise FormatVersionError(root, found, FORMAT, written_by)
    return True


def has_all_transaction_indexes(files: Files, root: str) -> bool:
    """Whether a transaction index that is missing was lost; else there may be nothing in it."""
    content = read_file(files, os.path.join(root, layout.META_PROPERTIES))
    properties = _parse_properties(content.decode(errors="replace"))
    return properties.get(TRANSACTION_INDEXES) == "always"


def write_meta_properties(files: Files, root: str, cluster_id: str, directory_id: str) -> None:
    """Sets the directory up, durably."""
    properties = {
        "version": "1",
        "node.id": "0",
        "cluster.id": cluster_id,
        "directory.id": directory_id,
        "streamlog.format": str(FORMAT),
        "streamlog.version": package_version(),
        TRANSACTION_INDEXES: "always",
    }
    content = "".join(f"{key}={value}\n" for key, value in properties.items())
    replace_file(files, os.path.join(root, layout.META_PROPERTIES), content.encode())


def read_session(files: Files, root: str) -> Session | None:
    """The last owner's session; None before the first, or where the file is damaged."""
    path = os.path.join(root, layout.SESSION)
    if not files.exists(path):
        return None
    try:
        return msgspec.json.decode(read_file(files, path), type=Session)
    except msgspec.DecodeError:
        return None


def write_session(files: Files, root: str, session: Session) -> None:
    """Durably."""
    replace_file(files, os.path.join(root, layout.SESSION), msgspec.json.encode(session))


def read_boot_id() -> str:
    """What differs between any two boots of the machine; empty where there is no such thing."""
    if sys.platform == "darwin":
        import subprocess  # slow to import, and for macOS only

        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_running(pid: int | None) -> bool:
    """Whether there is a process of that number, as far as one can be seen from here."""
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def package_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, seldom needed

    try:
        return version("streamlog")
    except PackageNotFoundError:  # run from the source tree
        return "unknown"


def _parse_properties(text: str) -> dict[str, str]:
    lines = [line.strip() for line in text.splitlines()]
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}
