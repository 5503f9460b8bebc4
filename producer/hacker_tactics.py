"""What an adaptive thief can vary, and how it learns from being approved or declined."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

AMOUNTS: Mapping[str, float] = {
    "tiny": 0.15,
    "modest": 0.5,
    "usual": 1.0,
    "double": 2.0,
    "greedy": 4.0,
}
"""Multiples of what a shop usually sells for."""
SHOPS = ("resale", "digital", "favourites")
DEVICES: Mapping[str, int] = {"fresh": 300, "one": 100, "spoofed": 2_000}
"""A new device each time, one per card, or an imitation of the holder's; minor units each costs."""
PACES: Mapping[str, float] = {"burst": 180.0, "hourly": 4_000.0, "daily": 60_000.0}
"""Mean seconds between two attempts with a card."""
CARD_PRICE_MINOR = 1_500

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "amount": tuple(AMOUNTS),
    "shop": SHOPS,
    "device": tuple(DEVICES),
    "pace": tuple(PACES),
}


@dataclass(frozen=True, slots=True)
class Tactic:
    """One choice in each dimension."""

    amount: str
    shop: str
    device: str
    pace: str

    def chosen(self, dimension: str) -> str:
        """The option taken in a dimension."""
        return str(getattr(self, dimension))


@dataclass(slots=True)
class Learner:
    """Thompson sampling, dimension by dimension: try more often what has been approved.

    Old experience fades, because the defence may change. An amount is worth its size as well.
    """

    fading: float = 0.995
    _wins: dict[tuple[str, str], float] = field(default_factory=dict)
    _losses: dict[tuple[str, str], float] = field(default_factory=dict)

    def choose(self, rng: np.random.Generator) -> Tactic:
        """A tactic: in each dimension the option whose sampled worth is the largest."""
        return Tactic(**{name: self._best(name, rng) for name in DIMENSIONS})

    def learn(self, tactic: Tactic, is_approved: bool) -> None:
        """Remember one answer for each option of the tactic."""
        for memory in (self._wins, self._losses):
            for key in memory:
                memory[key] *= self.fading
        memory = self._wins if is_approved else self._losses
        for dimension in DIMENSIONS:
            key = (dimension, tactic.chosen(dimension))
            memory[key] = memory.get(key, 0.0) + 1.0

    def approval(self, dimension: str, option: str) -> float:
        """The approval rate that the thief now believes in."""
        wins, losses = self._evidence(dimension, option)
        return wins / (wins + losses)

    def _best(self, dimension: str, rng: np.random.Generator) -> str:
        worth = {
            option: rng.beta(*self._evidence(dimension, option)) * _value(dimension, option)
            for option in DIMENSIONS[dimension]
        }
        return max(worth, key=lambda option: worth[option])

    def _evidence(self, dimension: str, option: str) -> tuple[float, float]:
        key = (dimension, option)
        return self._wins.get(key, 0.0) + 1.0, self._losses.get(key, 0.0) + 1.0


def _value(dimension: str, option: str) -> float:
    """What an approval is worth besides being one: more money, at the square root's pace."""
    return float(AMOUNTS[option] ** 0.5) if dimension == "amount" else 1.0
