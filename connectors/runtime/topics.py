"""Topics that a task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.config.document import CreateTopic
    from streamlog.client.contract import Log


def ensure_topic(
    log: Log,
    name: str,
    create: CreateTopic | None = None,
    *,
    config: Mapping[str, str] | None = None,
) -> None:
    """Creates a topic that does not exist, with one partition where nothing else is said.

    `config` is that of a new topic for which there is no `create`.

    Raises:
        PartitionCountError: it exists with another number of partitions than `create` says.
    """
    if create is not None:
        log.create_topic(name, create.partitions, config=create.config, exist_ok=True)
    elif name not in log.topics(internal=True):
        log.create_topic(name, 1, config=config, exist_ok=True)
