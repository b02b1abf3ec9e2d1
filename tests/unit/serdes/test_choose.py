"""`serde_for` takes what a user writes."""

import re
from dataclasses import dataclass

import pytest

from streamlog.serdes import BYTES, DOUBLE, LONG, STRING, serde_for


@pytest.mark.parametrize(
    ("spec", "serde"),
    [
        (str, STRING),
        (bytes, BYTES),
        (int, LONG),
        (float, DOUBLE),
        ("str", STRING),
        ("bytes", BYTES),
        ("int", LONG),
        ("float", DOUBLE),
        (LONG, LONG),
    ],
)
def test_a_type_a_name_or_a_serde_chooses(spec, serde):
    assert serde_for(spec) is serde


def test_an_unknown_name_gets_the_near_miss():
    with pytest.raises(ValueError, match=re.escape("unknown serde 'jsn' (did you mean 'json'?)")):
        serde_for("jsn")


@pytest.mark.parametrize("spec", [None, 7, object(), b"str", ["str"]])
def test_what_is_no_serde_is_refused(spec):
    with pytest.raises(TypeError, match="no serde"):
        serde_for(spec)


def test_a_class_that_json_cannot_hold_is_refused_when_it_is_chosen():
    class Opaque:
        def __init__(self, x):
            self.x = x

    serde = serde_for(Opaque)
    assert serde.name == "json[Opaque]"


def test_a_class_whose_annotations_nobody_knows_is_named():
    @dataclass
    class Order:
        paid: "Money"  # noqa: F821 - as where only a type checker imports it

    with pytest.raises(TypeError, match=r"no serde for type .*: name 'Money' is not defined"):
        serde_for(Order)
