"""Durations and sizes as people write them."""

from __future__ import annotations

import re

import pytest

from connectors.config.scalars import parse_duration_ms, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("5s", 5_000),
        ("1.5s", 1_500),
        ("10m", 600_000),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("0", 0),
    ],
)
def test_a_duration_has_units(text: str, milliseconds: int) -> None:
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5s!", "-5s", "5x", "5s 3ms", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("64KB", 64_000),
        ("1MB", 1_000_000),
        ("1 mb", 1_000_000),
        ("1MiB", 1 << 20),
        ("1.5GB", 1_500_000_000),
        ("7B", 7),
    ],
)
def test_a_size_may_have_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "1XB", "-1", "1 M B", "1iB", "lots"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_size_bytes(text)
