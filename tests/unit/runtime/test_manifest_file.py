"""What of a changed topology is refused, and that the manifest is replaced whole."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from processors.errors import IncompatibleTopologyError, StateError
from processors.runtime.manifest_file import (
    check_manifest,
    differences,
    make_manifest,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = make_manifest(
    "word-count",
    sources={"lines": {"partitions": 4}},
    exchanges={"words": {"partitions": 4}},
    stores={"counts": {"kind": "count", "key": "str", "value": "int", "partitions": 4}},
    agents={},
    reads=["lines"],
)


def test_the_same_topology_goes_on() -> None:
    assert differences(MANIFEST, deepcopy(MANIFEST)) == []
    check_manifest(None, MANIFEST)


def test_every_difference_is_a_line_and_the_error_names_the_remedy() -> None:
    new = deepcopy(MANIFEST)
    new["stores"]["totals"] = new["stores"].pop("counts")
    new["sources"]["lines"]["partitions"] = 8
    assert differences(MANIFEST, new) == [
        "~ source 'lines': partitions was 4, is 8",
        "- store 'counts' (kind count, key str, value int, partitions 4)",
        "+ store 'totals' (kind count, key str, value int, partitions 4)",
    ]
    with pytest.raises(IncompatibleTopologyError, match="streamlog reset word-count"):
        check_manifest(MANIFEST, new)


def test_without_stores_sources_may_come_and_go() -> None:
    x, y = {"x": {"partitions": 1}}, {"y": {"partitions": 2}}
    stateless = make_manifest("a", sources=x, exchanges={}, stores={}, agents={}, reads=[])
    other = make_manifest("a", sources=y, exchanges={}, stores={}, agents={}, reads=[])
    assert differences(stateless, other) == []


def test_what_sources_keep_comes_and_goes() -> None:
    x, y = {"x": {"partitions": 1}}, {"y": {"partitions": 2}}
    kept = {"x.partition-time": {"kind": "time of a partition"}}
    stateless = make_manifest("a", sources=x, exchanges={}, stores=kept, agents={}, reads=[])
    other = make_manifest("a", sources=y, exchanges={}, stores={}, agents={}, reads=[])
    assert differences(stateless, other) == []
    new = deepcopy(MANIFEST)
    new["stores"] |= kept
    assert differences(MANIFEST, new) == differences(new, MANIFEST) == []


def test_what_is_written_is_read_and_no_temporary_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "manifest.json"
    assert read_manifest(path) is None
    write_manifest(path, MANIFEST)
    assert read_manifest(path) == MANIFEST
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}'])
def test_a_damaged_or_newer_manifest_is_an_error_and_no_fresh_start(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(StateError, match=r"manifest\.json"):
        read_manifest(path)


def test_joins_that_have_changed_places_are_refused() -> None:
    old = deepcopy(MANIFEST)
    del old["joins"]  # as a version wrote it that kept none
    new = deepcopy(MANIFEST)
    new["joins"] = {"orders.join": {"with": "payments"}}
    assert differences(old, new) == []
    swapped = deepcopy(new)
    swapped["joins"] = {"orders.join": {"with": "refunds"}}
    assert differences(new, swapped) == [
        "~ join 'orders.join' was with payments, is with refunds: name the joins"
    ]
