"""JSON values: untyped, Struct, dataclass and TypedDict."""

from dataclasses import dataclass
from typing import TypedDict

import msgspec
import pytest

from streamlog.errors import SerializationError
from streamlog.serdes import serde_for


class Order(msgspec.Struct):
    account: str
    amount: int


@dataclass
class Settled:
    id: int
    note: str | None = None


class Line(TypedDict):
    text: str
    count: int


TYPED = [
    (Order, Order("a", 5), b'{"account":"a","amount":5}'),
    (Settled, Settled(3), b'{"id":3,"note":null}'),
    (Line, {"text": "x", "count": 2}, b'{"text":"x","count":2}'),
    (list[int], [1, 2], b"[1,2]"),
    ("json", {"any": [1, 2.5, None, True]}, b'{"any":[1,2.5,null,true]}'),
    (dict, {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
]


@pytest.mark.parametrize(("kind", "value", "data"), TYPED)
def test_a_value_goes_to_json_and_comes_back_as_its_type(kind, value, data):
    serde = serde_for(kind)
    assert serde.serialize(value) == data
    assert serde.deserialize(data) == value
    assert type(serde.deserialize(data)) is type(value)
    assert serde.serialize_column([value, None]) == [data, None]
    assert serde.serialize_column([value, value]) == [data, data]
    assert serde.deserialize_column([data, None]) == [value, None]
    assert serde.deserialize_column([data, data]) == [value, value]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Order, {"account": "a", "amount": 5}),
        (Order, Settled(1)),
        (Settled, Order("a", 1)),
        (Line, ["x"]),
        ("json", object()),
        ("json", "\ud800"),
        ("json", 1j),
    ],
)
def test_a_value_that_is_not_of_the_type_is_refused_with_its_row(kind, value):
    serde = serde_for(kind)
    with pytest.raises(SerializationError):
        serde.serialize(value)
    with pytest.raises(SerializationError) as caught:
        serde.serialize_column([None, value, None])
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("json", b""),
        ("json", b"{"),
        ("json", b'"\xff"'),
        ("json", b"[" * 100_000),
        (Order, b'{"account":"a"}'),
        (Order, b'{"account":"a","amount":"5"}'),
        (Settled, b"[]"),
        (Line, b'{"text":1,"count":2}'),
        (list[int], b'["a"]'),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_its_row(kind, data):
    serde = serde_for(kind)
    with pytest.raises(SerializationError):
        serde.deserialize(data)
    with pytest.raises(SerializationError) as caught:
        serde.deserialize_column([None, None, data])
    assert caught.value.index == 2


def test_a_value_within_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(SerializationError):
        serde_for("json").serialize(loop)


def test_the_name_says_the_type():
    assert serde_for(Order).name == "json[Order]"
    assert serde_for("json").name == "json"
