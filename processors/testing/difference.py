"""What tells an output from the one that a test expects, for people to read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTEXT = 3
"""So many equal rows are shown before and behind what differs."""


def difference(found: Sequence[Any], expected: Sequence[Any]) -> str | None:
    """What tells two outputs apart, line by line; None where they are equal.

    Lines that only one of them has are marked, and so is where they part first:

          0  ('a', 1)
        - 1  ('a', 2)          expected
        + 1  ('a', 3)          found
    """
    if list(found) == list(expected):
        return None
    lines = [f"output differs: {len(expected)} rows expected, {len(found)} found"]
    for kind, first, rows in _aligned(list(map(repr, found)), list(map(repr, expected))):
        mark, told = {"both": (" ", ""), "expected": ("-", "expected"), "found": ("+", "found")}[
            kind
        ]
        shown = list(enumerate(rows, first))
        if kind == "both" and len(shown) > 2 * CONTEXT:
            left_out = len(shown) - 2 * CONTEXT
            shown = [*shown[:CONTEXT], (-1, f"... {left_out} equal rows ..."), *shown[-CONTEXT:]]
        for number, row in shown:
            place = "" if number < 0 else str(number)
            lines.append(f"{mark} {place:>4}  {row:<40}  {told}".rstrip())
    return "\n".join(lines)


def _aligned(found: list[str], expected: list[str]) -> Iterator[tuple[str, int, list[str]]]:
    """Runs of rows that both have, that were only expected and that were only found."""
    from difflib import SequenceMatcher  # not needed where nothing differs

    blocks = SequenceMatcher(None, expected, found, autojunk=False).get_matching_blocks()
    starts = [(0, 0, 0), *blocks]
    for before, block in pairwise(starts):
        left, right = before[0] + before[2], before[1] + before[2]
        if block[0] > left:
            yield "expected", left, expected[left : block[0]]
        if block[1] > right:
            yield "found", right, found[right : block[1]]
        if block[2]:
            yield "both", block[1], found[block[1] : block[1] + block[2]]
