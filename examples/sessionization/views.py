"""Page views as a shop's web site might see them: visits, idle times, phones that come late.

Every user visits a few times a day. A visit is a walk through the pages, with a pause behind
each: mostly seconds, sometimes a phone call. Browsers report at once. Phones lose the network now
and then and report what they kept when they have it again: minutes later, in rare cases hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PAGES = {
    "home": ("search", "category", "product", "account"),
    "search": ("product", "search", "category"),
    "category": ("product", "product", "search", "home"),
    "product": ("cart", "product", "category", "search"),
    "cart": ("checkout", "product", "home"),
    "account": ("orders", "home"),
    "orders": ("account", "product"),
    "checkout": ("thanks", "cart"),
    "thanks": ("home",),
}
ENTRIES = ("home", "home", "search", "product", "product", "category")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START_MS = 1_767_600_000_000
"""2026-01-05, 08:00 UTC."""


@dataclass(frozen=True, slots=True)
class PageView:
    """One view: when it happened, and when it was reported."""

    user: str
    page: str
    device: str
    at: int
    reported_at: int


def page_views(users: int, hours: int, *, seed: int = 1) -> list[PageView]:
    """The views of so many users in so many hours, in the order in which they are reported."""
    random = Random(seed)
    views: list[PageView] = []
    for number in range(users):
        device = random.choice(("browser", "browser", "phone"))
        views += _of_user(f"user-{number:04d}", device, hours, random)
    return sorted(views, key=lambda view: (view.reported_at, view.user, view.at))


def _of_user(user: str, device: str, hours: int, random: Random) -> list[PageView]:
    views: list[PageView] = []
    now = START_MS + int(random.random() * 4 * HOUR_MS)
    while now < START_MS + hours * HOUR_MS:
        visit = _visit(user, device, now, random)
        views += visit
        now = visit[-1].at + int(random.expovariate(1 / (3 * HOUR_MS)) + 45 * MINUTE_MS)
    return views


def _visit(user: str, device: str, now: int, random: Random) -> list[PageView]:
    views: list[PageView] = []
    page = random.choice(ENTRIES)
    back_online = 0
    while True:
        if device == "phone" and now > back_online and random.random() < 0.04:
            back_online = now + _outage_ms(random)
        reported_at = max(now + random.randrange(20, 900), back_online)
        views.append(PageView(user, page, device, now, reported_at))
        if page == "thanks" or random.random() < 0.18:
            return views
        now += min(int(random.lognormvariate(2.8, 1.1) * 1000), 25 * MINUTE_MS)
        page = random.choice(PAGES[page])


def _outage_ms(random: Random) -> int:
    if random.random() < 0.1:
        return random.randrange(2 * HOUR_MS, 5 * HOUR_MS)
    return random.randrange(MINUTE_MS, 9 * MINUTE_MS)
