"""Values that change hands: what a receiver gets is what it would have read from the topic.

Between tasks, into a store and out of it, a value must not stay shared with who had it before, or
a later change in place is seen on the other side; and a value that its serde refuses must be
refused here, as the topic would. So mutable values are copied by a round trip through their serde;
immutable ones are only checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.operators.columns import are_exactly, has_null
from processors.operators.copier import Copier, is_plain
from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.guard import OnFailure
    from streamlog.serdes import Serde


def is_sound(serde: Serde[Any], column: list[Any]) -> bool:
    """Whether a look at the whole column shows that the topic would give back just these values.

    False means that it must be found out row by row. None is never sound; neither is a subclass,
    such as an enumeration of texts, which would come back as the text.
    """
    parts = getattr(serde, "parts", None)
    if parts is not None:  # values that are made of values
        return is_sound(*parts(column))
    if serde is STRING:
        return are_exactly(str, column) and _is_text(column)
    if serde is LONG:
        if not are_exactly(int, column):
            return False
        return not column or (min(column) >= -1 << 63 and max(column) < 1 << 63)
    return (serde is BYTES and are_exactly(bytes, column)) or (
        serde is DOUBLE and are_exactly(float, column)
    )


def copy_parts(serde: Serde[Any], column: list[Any]) -> list[Any] | None:
    """What the topic would give back of values that can be copied without their bytes.

    None where the serde knows no such way, or one of the values is null or refused: it must be
    found out row by row.
    """
    if has_null(column):
        return None
    hand_over = getattr(serde, "hand_over", None)
    try:
        if hand_over is not None:
            return hand_over(column)
        if is_plain(serde):
            return list(map(Copier(serde).copy, column))
    except SerializationError:
        pass
    return None


def _is_text(column: list[str]) -> bool:
    """Whether all of it can be encoded: one text takes a tenth of the time of as many encodings."""
    try:
        "".join(column).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def serialize_rows(
    serde: Serde[Any], column: Sequence[Any], on_failure: OnFailure
) -> tuple[list[bytes | None], list[int]]:
    """The column as bytes and the indexes that failed, which `on_failure` was told of."""
    return _convert(serde.serialize_column, serde.serialize, column, on_failure)


def deserialize_rows(
    serde: Serde[Any], column: Sequence[bytes | None], on_failure: OnFailure
) -> tuple[list[Any], list[int]]:
    """The column as values and the indexes that failed, which `on_failure` was told of."""
    return _convert(serde.deserialize_column, serde.deserialize, column, on_failure)


def _convert(
    whole: Callable[[Any], list[Any]],
    one: Callable[[Any], Any],
    column: Sequence[Any],
    on_failure: OnFailure,
) -> tuple[list[Any], list[int]]:
    """All at once where nothing fails; else row by row (serdes are pure: twice does no harm)."""
    try:
        return whole(column), []
    except SerializationError:
        pass
    converted: list[Any] = []
    failed: list[int] = []
    for index, item in enumerate(column):
        try:
            converted.append(None if item is None else one(item))
        except SerializationError as error:
            on_failure(index, error)
            failed.append(index)
    return converted, failed
