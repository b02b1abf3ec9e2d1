"""Which boot of the machine this is."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid5

from processors.state.position import NO_BOOT_ID

_LINUX = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> UUID:
    """Another one after every boot; all zeros where the system does not tell."""
    try:
        return UUID(_LINUX.read_text().strip())
    except (OSError, ValueError):
        return _boot_id_of_macos()


def _boot_id_of_macos() -> UUID:
    import subprocess

    try:
        asked = subprocess.run(
            ["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return NO_BOOT_ID
    return uuid5(NO_BOOT_ID, asked.stdout.strip())
