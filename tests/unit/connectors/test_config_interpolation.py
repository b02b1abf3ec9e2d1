"""`${...}` in scalars."""

from __future__ import annotations

import sysconfig
from typing import TYPE_CHECKING

import pytest

from connectors.config.interpolation import Interpolation

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {"USER": "ada", "EMPTY": "", "NESTED": "${USER}", "YAML": "a: [b"}


def resolve(text: str) -> str:
    resolved, unresolved = Interpolation(ENVIRONMENT).resolve(text)
    assert unresolved == []
    return resolved


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("no expression", "no expression"),
        ("${USER}", "ada"),
        ("<${USER}>-${env:USER}", "<ada>-ada"),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${USER:-default}", "ada"),
        ("${MISSING:-}", ""),
        ("${MISSING:-${USER}}", "ada"),
        ("${MISSING:-{a}}", "{a}"),
        ("${env:MISSING:-x}", "x"),
        ("$${USER}", "${USER}"),
        ("$USER $ {USER} }{", "$USER $ {USER} }{"),
    ],
)
def test_expressions_become_values(text: str, resolved: str) -> None:
    assert resolve(text) == resolved


def test_a_value_is_not_expanded_again() -> None:
    assert resolve("${NESTED}") == "${USER}"
    assert resolve("${YAML}") == "a: [b"


def test_a_file_gives_its_text_and_a_properties_file_its_keys(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    properties = tmp_path / "p.properties"
    properties.write_text("# comment\nuser = ada\npassword=a=b\n")
    assert resolve(f"${{file:{secret}}}") == "s3cret"
    assert resolve(f"${{file:{properties}:user}}") == "ada"
    assert resolve(f"${{file:{properties}:password}}") == "a=b"


def test_python_gives_its_own_paths() -> None:
    assert resolve("${python:stdlib}") == sysconfig.get_path("stdlib")


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("x${MISSING}", 1, "environment variable MISSING is not set"),
        ("${env:MISSING}", 0, "environment variable MISSING is not set"),
        ("${MISSING:-${GONE}}", 0, "environment variable GONE is not set"),
        ("${flie:/x}", 0, "unknown provider 'flie' (did you mean 'file'?)"),
        ("${file:/no/such/file}", 0, "cannot read /no/such/file: No such file"),
        ("${python:stdlb}", 0, "(did you mean 'stdlib'?)"),
        ("a ${USER", 2, "without its '}'"),
    ],
)
def test_what_has_no_value_is_named(text: str, position: int, reason: str) -> None:
    _, [unresolved] = Interpolation(ENVIRONMENT).resolve(text)
    assert unresolved.position == position
    assert reason in unresolved.reason


def test_every_expression_without_a_value_is_named() -> None:
    _, unresolved = Interpolation({}).resolve("${A}${B}")
    assert [position for position, _ in unresolved] == [0, 4]
