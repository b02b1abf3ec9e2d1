"""Page views to visits: where somebody came in, where they left, how long they stayed.

A visit ends after half an hour without a view. Views that come late by up to ten minutes still
count, and may join two visits into one; what comes later is shown in a topic of its own. A visit
is given once, when nothing can change it any more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from processors import Aggregator, App, Session


class View(msgspec.Struct):
    user: str
    page: str
    device: str
    at: int


class Visit(msgspec.Struct):
    """What is known of a visit; times in milliseconds."""

    first: int
    last: int
    entry: str
    exit: str
    pages: int


class Summary(msgspec.Struct):
    user: str
    entry: str
    exit: str
    pages: int
    seconds: float
    bought: bool


class Visits(Aggregator[View, Any, Any]):
    """Builds a visit out of its views, in whatever order they come."""

    def start(self) -> Visit | None:
        return None

    def add(self, result: Visit | None, value: View) -> Visit:
        return join(result, Visit(value.at, value.at, value.page, value.page, 1))

    def merge(self, result: Visit | None, other: Visit | None) -> Visit | None:
        return join(result, other) if other is not None else result


def join(one: Visit | None, other: Visit) -> Visit:
    """One visit of two: the entry is the earlier one's, the exit the later one's."""
    if one is None:
        return other
    first, last = sorted((one, other), key=lambda visit: visit.first)
    return Visit(
        first=first.first,
        last=max(one.last, other.last),
        entry=first.entry,
        exit=last.exit if last.last >= first.last else first.exit,
        pages=one.pages + other.pages,
    )


def summarize(item: tuple[Any, Visit]) -> Summary:
    window, visit = item
    return Summary(
        user=window.key,
        entry=visit.entry,
        exit=visit.exit,
        pages=visit.pages,
        seconds=(visit.last - visit.first) / 1000,
        bought=visit.exit == "thanks",
    )


app = App("sessionization")
(
    app.stream("page-views", value=View)
    .group_by_key()
    .windowed_by(Session("30m", grace="10m"), late_to="late-views")
    .aggregate(Visits(), value=Visit, name="visits", emit="final")
    .to_stream()
    .items()
    .map(summarize)
    .map_key(lambda summary: summary.user)
    .to("visits", key=str, value=Summary)
)
