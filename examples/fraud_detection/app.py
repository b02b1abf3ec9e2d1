"""Finds fraud among card payments: four rules, each giving alerts with a reason.

payments ─┬─ more than 8 a minute ──────────────┐
          ├─ faster than a plane ───────────────┤
          ├─ far above the card's own amounts ──┼─ alerts
          └─ at a merchant on the blocklist ────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from habits import Habit
from payments import distance_km

from processors import App, Sliding

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_A_MINUTE = 8
PLANE_KM_H = 900.0
NEAR_KM = 50.0
"""So far apart, two shops say nothing of speed."""
LEARNED = 6
"""So many payments of a card are looked at before any is judged by its amount."""
DEVIATIONS = 6.0


class Payment(msgspec.Struct):
    id: str
    card: str
    amount: float
    merchant: str
    city: str
    at: int


class Alert(msgspec.Struct):
    payment: str
    card: str
    reason: str
    detail: str


class Burst(msgspec.Struct):
    """The payments of a window: how many, and the last of them."""

    count: int = 0
    last: str = ""
    card: str = ""


app = App("fraud-detection")
payments = app.stream("payments", value=Payment)
blocklist = app.global_table("blocked-merchants", value=str)
last_payments = app.state_store("last-payments", value=Payment)
habits = app.state_store("habits", value=Habit)


def count(burst: Burst, payment: Payment) -> Burst:
    return Burst(burst.count + 1, payment.id, payment.card)


def too_many(burst: Burst) -> Alert:
    return Alert(burst.last, burst.card, "velocity", f"{burst.count} payments in a minute")


def too_far(payment: Payment, context: Any) -> Iterator[Alert]:
    """From where the card was a moment ago, it cannot have come."""
    store = context.store("last-payments")
    last: Payment | None = store.get(context.key)
    if last is not None and payment.at < last.at:
        return  # came late: the later one has been judged already
    store.put(context.key, payment)
    if last is not None and (km := distance_km(last.city, payment.city)) > NEAR_KM:
        hours = (payment.at - last.at) / 3_600_000
        if km > hours * PLANE_KM_H:
            detail = f"{last.city} to {payment.city}, {km:,.0f} km in {hours * 60:.0f} minutes"
            yield Alert(payment.id, payment.card, "travel", detail)


def too_much(payment: Payment, context: Any) -> Iterator[Alert]:
    """Judges by what came before, and learns only what it believes."""
    store = context.store("habits")
    habit: Habit = store.get(context.key) or Habit()
    above = habit.deviations(payment.amount)
    if habit.count >= LEARNED and above > DEVIATIONS:
        detail = f"{payment.amount:.2f}, {above:.1f} deviations above {habit.mean:.2f}"
        yield Alert(payment.id, payment.card, "amount", detail)
    else:
        store.put(context.key, habit.learn(payment.amount))


bursts = (
    payments.group_by_key()
    .windowed_by(Sliding("1m", grace="1m"))
    .aggregate(Burst, count, value=Burst, name="bursts", emit="every")
    .to_stream()
    .filter(lambda burst: burst is not None and burst.count > MOST_A_MINUTE)
    .map(too_many)
    .map_key(lambda alert: alert.card)
)
travels = payments.process_values(too_far, stores=[last_payments], value=Alert, name="travels")
amounts = payments.process_values(too_much, stores=[habits], value=Alert, name="amounts")
blocked = payments.join(
    blocklist,
    lambda payment, why: Alert(payment.id, payment.card, "blocklist", why),
    key=lambda payment: payment.merchant,
)
for alerts in (bursts, travels, amounts, blocked):
    alerts.to("alerts", key=str, value=Alert)
