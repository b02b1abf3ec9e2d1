"""Card payments with fraud among them, and the truth about each.

Every card has a home, habits (amounts around its own mean, a few merchants) and its own rhythm. Its
owner travels now and then, as planes do. Thieves come in four kinds: those who try a card with a
burst of small payments, those who pay with a copy a continent away, those who empty it with one
payment far above its habits, and merchants who are known to be theirs. Honest people are
sometimes odd as well: they buy a kitchen, or ten tickets in a row; so no rule is right always.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from random import Random

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START_MS = 1_767_600_000_000
"""2026-01-05, 08:00 UTC."""

CITIES = {
    "Zurich": (47.4, 8.5),
    "Geneva": (46.2, 6.1),
    "Berlin": (52.5, 13.4),
    "Paris": (48.9, 2.4),
    "Lisbon": (38.7, -9.1),
    "New York": (40.7, -74.0),
    "Lagos": (6.5, 3.4),
    "Singapore": (1.4, 103.8),
    "Sydney": (-33.9, 151.2),
    "Lima": (-12.0, -77.0),
}
HOMES = ("Zurich", "Geneva", "Berlin", "Paris", "Lisbon")
FAR = ("Singapore", "Sydney", "Lima", "Lagos", "New York")
MERCHANTS = tuple(f"shop-{number:02d}" for number in range(60))
BLOCKED = ("shop-57", "shop-58", "shop-59")
"""Merchants that only thieves use."""

EARTH_KM = 6371.0


@dataclass(frozen=True, slots=True)
class Payment:
    """`fraud` is the truth: what kind of fraud it is, or None; `incident` is one theft."""

    id: str
    card: str
    amount: float
    merchant: str
    city: str
    at: int
    fraud: str | None = None
    incident: str | None = None


def distance_km(one: str, other: str) -> float:
    """Between two cities, along the great circle."""
    (lat1, lon1), (lat2, lon2) = CITIES[one], CITIES[other]
    lat = sin(radians(lat2 - lat1) / 2) ** 2
    lon = cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(lat + lon))


def payments(cards: int, hours: int, *, seed: int = 1) -> list[Payment]:
    """The payments of so many cards in so many hours, in order of time."""
    random = Random(seed)
    found: list[Payment] = []
    for number in range(cards):
        found += _Card(f"card-{number:05d}", random).live(START_MS + hours * HOUR_MS)
    found.sort(key=lambda payment: payment.at)
    return found


class _Card:
    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.random = random
        self.home = random.choice(HOMES)
        self.mean = random.uniform(15, 120)
        self.merchants = random.sample(MERCHANTS[:57], 6)
        self.made: list[Payment] = []
        self.thefts = 0

    def live(self, until: int) -> list[Payment]:
        random = self.random
        now = START_MS + int(random.random() * 3 * HOUR_MS)
        city = self.home
        while now < until:
            self._pay(now, self._usual(), random.choice(self.merchants), city)
            now += int(random.expovariate(1 / (2 * HOUR_MS)) + MINUTE_MS)
            chance = random.random()
            if chance < 0.02:
                city = random.choice(HOMES if city == self.home else (self.home,))
                now += 5 * HOUR_MS
            elif chance < 0.023:
                now = self._odd(now, city)
            elif chance < 0.035:
                now = self._steal(now, city)
        return self.made

    def _usual(self) -> float:
        return self.mean * self.random.lognormvariate(-0.06, 0.35)

    def _pay(
        self, at: int, amount: float, merchant: str, city: str, fraud: str | None = None
    ) -> None:
        number = f"{self.name}/{len(self.made)}"
        incident = f"{self.name}/theft {self.thefts}" if fraud else None
        self.made.append(
            Payment(number, self.name, round(amount, 2), merchant, city, at, fraud, incident)
        )

    def _odd(self, now: int, city: str) -> int:
        """What an honest owner does rarely."""
        if self.random.random() < 0.5:
            self._pay(now, self.mean * self.random.uniform(8, 15), self.merchants[0], city)
            return now + HOUR_MS
        for _ in range(7):
            self._pay(now, self._usual() / 4, self.merchants[1], city)
            now += self.random.randrange(3_000, 7_000)
        return now + HOUR_MS

    def _steal(self, now: int, city: str) -> int:
        random = self.random
        self.thefts += 1
        match random.choice(("velocity", "travel", "amount", "blocklist")):
            case "velocity":
                for _ in range(random.randrange(9, 16)):
                    self._pay(
                        now, random.uniform(1, 5), random.choice(MERCHANTS[:57]), city, "velocity"
                    )
                    now += random.randrange(1_000, 5_000)
            case "travel":
                now += random.randrange(2, 40) * MINUTE_MS
                self._pay(
                    now, self._usual(), random.choice(MERCHANTS[:57]), random.choice(FAR), "travel"
                )
                now += 20 * HOUR_MS
            case "amount":
                amount = self.mean * random.uniform(12, 40)
                self._pay(now, amount, random.choice(MERCHANTS[:57]), city, "amount")
            case _:
                self._pay(now, self._usual(), random.choice(BLOCKED), city, "blocklist")
        return now + HOUR_MS
