"""An adaptive thief: buys card data, tries, watches what is approved, and changes its ways.

It sees nothing but approve or decline on its own transactions. Given the world's seed and those
answers, everything it does follows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from producer.campaign import Loot, fresh_devices, quiet_shops, resale_shops, rob
from producer.cardholders import devices
from producer.categories import DIGITAL_MCCS
from producer.day import Purchases
from producer.habits import Scene
from producer.hacker_tactics import (
    AMOUNTS,
    CARD_PRICE_MINOR,
    DEVICES,
    PACES,
    Learner,
    Tactic,
)
from producer.merchants import ONLINE
from producer.spec import DAY_US, SECOND_US, Stream

_GIVES_UP_AFTER = 2
"""A card declined this often in a row is thrown away."""
MOST_PER_CARD = 12


@dataclass(slots=True)
class StolenCard:
    """Card data in the thief's hands and how it is being used."""

    account: int
    tactic: Tactic
    device: int
    next_us: int
    declines: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transaction of the thief's, with the tactic behind it."""

    number: int
    purchase: Purchases
    tactic: Tactic
    cost_minor: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt."""

    attempt: Attempt
    is_approved: bool


@dataclass(slots=True)
class Hacker:
    """Buys `cards_per_day` until `until_us` and works each by a tactic it believes in."""

    scene: Scene
    cards_per_day: float
    from_us: int
    until_us: int
    learner: Learner = field(default_factory=Learner)
    answers: list[Answer] = field(default_factory=list)
    _cards: list[StolenCard] = field(default_factory=list)
    _open: dict[int, tuple[StolenCard, Attempt]] = field(default_factory=dict)
    _made: int = 0
    _clock_us: int = field(init=False)
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._clock_us = self.from_us
        self._rng = self.scene.spec.rng(Stream.HACKER, self.from_us)

    def act(self, now_us: int) -> list[Attempt]:
        """Everything the thief does until `now_us`, in time order."""
        now_us = min(now_us, self.until_us)
        self._buy(now_us)
        attempts = [self._try(card) for card in self._due(now_us)]
        self._clock_us = max(self._clock_us, now_us)
        return attempts

    def hear(self, number: int, is_approved: bool) -> None:
        """The answer to an attempt; later answers to the same one are ignored."""
        if number not in self._open:
            return
        card, attempt = self._open.pop(number)
        card.declines = 0 if is_approved else card.declines + 1
        if card.declines >= _GIVES_UP_AFTER and card in self._cards:
            self._cards.remove(card)
        self.learner.learn(attempt.tactic, is_approved)
        self.answers.append(Answer(attempt, is_approved))

    def lose(self, account: int) -> None:
        """The holder has noticed: the card is blocked."""
        self._cards = [card for card in self._cards if card.account != account]

    def _buy(self, now_us: int) -> None:
        span = max(0, now_us - self._clock_us)
        day = (now_us - self.scene.spec.start_us) // DAY_US
        active = np.flatnonzero(self.scene.holders.is_active(day))
        for _ in range(self._rng.poisson(self.cards_per_day * span / DAY_US)):
            tactic = self.learner.choose(self._rng)
            account = int(self._rng.choice(active))
            first_us = self._clock_us + int(self._rng.integers(0, max(1, span)))
            device = int(fresh_devices(1, self._rng)[0])
            self._cards.append(StolenCard(account, tactic, device, first_us))

    def _due(self, now_us: int) -> Iterator[StolenCard]:
        """Each card as often as its time comes, the earliest first."""
        while self._cards:
            card = min(self._cards, key=lambda card: card.next_us)
            if card.next_us > now_us:
                return
            yield card
            card.attempts += 1
            pause = self._rng.exponential(PACES[card.tactic.pace]) + 20.0
            card.next_us += int(pause * SECOND_US)
            if card.attempts >= MOST_PER_CARD:
                self._cards.remove(card)

    def _try(self, card: StolenCard) -> Attempt:
        loot = Loot(
            event_us=np.array([card.next_us]),
            account=np.array([card.account]),
            merchant=self._shop(card),
            city=self.scene.holders.home[[card.account]],
            scale=np.array([AMOUNTS[card.tactic.amount]]),
            device=np.array([self._device(card)]),
        )
        cost = DEVICES[card.tactic.device] if self._pays_for_device(card) else 0
        cost += CARD_PRICE_MINOR if card.attempts == 0 else 0
        attempt = Attempt(self._made, rob(self.scene, loot, self._rng), card.tactic, cost)
        self._open[self._made] = (card, attempt)
        self._made += 1
        return attempt

    def _shop(self, card: StolenCard) -> NDArray[np.int64]:
        if card.tactic.shop == "digital":
            return quiet_shops(1, DIGITAL_MCCS, self.scene, self._rng)
        known = self.scene.holders.favourites[card.account]
        known = known[self.scene.merchants.is_online[known]]
        if card.tactic.shop == "favourites" and len(known):
            return self._rng.choice(known, 1)
        return resale_shops(np.array([ONLINE]), self.scene, self._rng)

    def _device(self, card: StolenCard) -> int:
        if card.tactic.device == "spoofed":
            day = (card.next_us - self.scene.spec.start_us) // DAY_US
            own = devices(self.scene.holders, np.array([card.account]), day, np.array([True]))
            return int(own[0])
        if card.tactic.device == "fresh":
            return int(fresh_devices(1, self._rng)[0])
        return card.device

    def _pays_for_device(self, card: StolenCard) -> bool:
        return card.attempts == 0 or card.tactic.device == "fresh"
