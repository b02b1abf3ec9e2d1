"""What callers hand in, refused at the door where it is of another kind. Pure."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from streamlog.errors import did_you_mean
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises `ValueError` with the near miss."""
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name} is {value!r}{did_you_mean(value, choices)}; one of {known}")


def check_topics(topics: Sequence[str]) -> None:
    """Raises `TypeError` for a list where the topics themselves are expected."""
    for topic in topics:
        # Not everybody checks types, and Kafka's own `subscribe` takes a list.
        if not isinstance(topic, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a topic is a str, not {topic!r}: consumer('orders', 'payments')")


def partitions_of(partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """The partitions, of which each may be a plain pair. Raises `TypeError` for anything else."""
    return [_partition(each) for each in partitions]


def _partition(partition: TopicPartition) -> TopicPartition:
    try:
        topic, number = partition
        named = TopicPartition(topic, index(number))
    except (TypeError, ValueError):
        named = None
    if named is None or isinstance(partition, str):
        raise TypeError(f"{partition!r} is no partition: TopicPartition('orders', 0)") from None
    return named
