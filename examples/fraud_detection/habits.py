"""What a card usually pays."""

from __future__ import annotations

import msgspec


class Habit(msgspec.Struct):
    """Count, mean and sum of squared deviations of a card's amounts (Welford's method)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def deviations(self, amount: float) -> float:
        """How many standard deviations above the mean an amount is."""
        deviation = (self.squares / (self.count - 1)) ** 0.5 if self.count > 1 else 0.0
        return (amount - self.mean) / max(deviation, 0.25 * self.mean, 0.01)

    def learn(self, amount: float) -> Habit:
        count = self.count + 1
        mean = self.mean + (amount - self.mean) / count
        return Habit(count, mean, self.squares + (amount - self.mean) * (amount - mean))
