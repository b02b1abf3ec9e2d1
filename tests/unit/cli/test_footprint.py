"""What in a log belongs to an application."""

from __future__ import annotations

from typing import Any

from streamlog.cli.footprint import Footprint, guessed, named_by_manifest


def test_the_manifest_names_stores_exchanges_and_agents() -> None:
    manifest: dict[str, Any] = {
        "stores": {"counts": {"kind": "count"}},
        "exchanges": {"lines.group_by": {}},
        "agents": {"settle": {"topic": "orders"}},
    }
    assert named_by_manifest("shop", manifest) == Footprint(
        groups=["shop", "shop/settle"],
        changelogs=["shop-counts-changelog"],
        repartitions=["shop-lines.group_by-repartition"],
    )


def test_without_a_manifest_the_state_of_an_application_with_a_longer_name_is_left_alone() -> None:
    topics = [
        "shop-counts-changelog",
        "shop-words-repartition",
        "shop-orders",
        "shop-2-counts-changelog",
        "shopping-counts-changelog",
        "counts-changelog",
    ]
    assert guessed("shop", topics, ["shop-2", "other"]) == Footprint(
        groups=["shop"],
        changelogs=["shop-counts-changelog"],
        repartitions=["shop-words-repartition"],
    )
