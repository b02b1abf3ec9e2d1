"""What the records of the log's own topics say: offsets, groups, transactions, topics. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from streamlog.coordination import (
    consumer_protocol,
    group_record,
    offset_record,
    transaction_record,
)
from streamlog.errors import CorruptRecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    Decode = Callable[[bytes, bytes | None], dict[str, Any]]


def decode_record(topic: str, key: bytes | None, value: bytes | None) -> dict[str, Any] | None:
    """The record in words; None for one of a user's topic.

    A record that cannot be read becomes `{"undecodable": reason}`; no value means that what the
    key names was deleted.
    """
    decode = _DECODERS.get(topic)
    if decode is None or key is None:
        return None
    try:
        return decode(key, value)
    except (CorruptRecordError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return {"undecodable": str(error)}


def _offsets(key: bytes, value: bytes | None) -> dict[str, Any]:
    match offset_record.decode_key(key):
        case offset_record.OffsetKey(group, (topic, partition)):
            committed = None if value is None else offset_record.decode_offset(value)._asdict()
            place = {"group": group, "topic": topic, "partition": partition}
            return {**place, **(committed or {"deleted": True})}
        case offset_record.GroupKey(group):
            return {"group": group, **(_group(value) if value else {"deleted": True})}
        case _:
            return {"undecodable": "a kind of key that this version does not know"}


def _group(value: bytes) -> dict[str, Any]:
    found = asdict(group_record.decode_group(value))
    for member in found["members"]:
        del member["subscription"]
        assignment = consumer_protocol.decode_assignment(member["assignment"]).partitions
        member["assignment"] = [str(partition) for partition in assignment]
    return found


def _transaction(key: bytes, value: bytes | None) -> dict[str, Any]:
    name = transaction_record.decode_key(key)
    if name is None:
        return {"undecodable": "a kind of key that this version does not know"}
    if value is None:
        return {"transactional_id": name, "deleted": True}
    found = asdict(transaction_record.decode_value(name, value))
    found["state"] = found["state"].name
    found["partitions"] = [f"{topic}-{partition}" for topic, partition in found["partitions"]]
    return found


def _metadata(key: bytes, value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"key": key.decode(), "deleted": True}
    return {"key": key.decode(), "value": msgspec.json.decode(value)}


_DECODERS: dict[str, Decode] = {
    "__consumer_offsets": _offsets,
    "__transaction_state": _transaction,
    "__streamlog_metadata": _metadata,
}
