"""What the shell completes: names that a log knows. Completion never fails, it finds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamlog.client.contract import Log


def complete_topic(context: typer.Context, incomplete: str) -> list[str]:
    """Topics of the log that the line names so far."""
    return _names(context, incomplete, lambda log: log.topics())


def complete_group(context: typer.Context, incomplete: str) -> list[str]:
    """Consumer groups of the log that the line names so far."""
    return _names(context, incomplete, lambda log: log.groups())


def complete_transaction(context: typer.Context, incomplete: str) -> list[str]:
    """Transactional ids of the log that the line names so far."""
    return _names(
        context, incomplete, lambda log: (each.transactional_id for each in log.transactions())
    )


def complete_config(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of a topic's configuration, or behind `streamlog config` of the log's."""
    from streamlog.storage.log_config import LOG_KEYS
    from streamlog.storage.topic_config import TOPIC_KEYS

    is_logs = context.parent is not None and context.parent.info_name == "config"
    keys = LOG_KEYS if is_logs else TOPIC_KEYS
    return sorted(key for key in keys if key.startswith(incomplete))


def complete_setting(context: typer.Context, incomplete: str) -> list[str]:
    """The same, as far as they are `KEY=VALUE`."""
    return [f"{key}=" for key in complete_config(context, incomplete)]


def _names(
    context: typer.Context, incomplete: str, find: Callable[[Log], Iterable[str]]
) -> list[str]:
    from streamlog.cli.opening import open_to_read
    from streamlog.errors import StreamlogError

    try:
        with open_to_read(_directory(context)) as log:
            return sorted(name for name in find(log) if name.startswith(incomplete))
    except (StreamlogError, OSError):
        return []


def complete_app(context: typer.Context, incomplete: str) -> list[str]:
    """Applications that keep state beside the log."""
    states = cast("Path | None", context.params.get("state_dir")) or _directory(context) / "state"
    try:
        return sorted(path.name for path in states.iterdir() if path.name.startswith(incomplete))
    except OSError:
        return []


def _directory(context: typer.Context) -> Path:
    # The parameter is unset while a line is completed that does not name it.
    return cast("Path | None", context.params.get("log")) or Path("data")


def complete_serde(incomplete: str) -> list[str]:
    """Names of serdes."""
    from streamlog.serdes import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]
