"""Frauds with a card in hand: lost or stolen ones, and clones from a skimmed merchant."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.campaign import (
    Loot,
    VictimPicker,
    fresh_devices,
    moment,
    online_group,
    resale_shops,
    rob,
    steps,
    thief_cities,
)
from producer.cardholders import whereabouts
from producer.day import Purchases
from producer.habits import Scene
from producer.merchants import ONLINE
from producer.spec import DAY_US


@dataclass(frozen=True, slots=True)
class LostOrStolen:
    """A thief spends with the card itself until the holder notices.

    Evidence: a burst of three to eight visits within hours, in the holder's own city, at shops
    where the holder never was.
    """

    name: str = "lost_or_stolen"
    share: float = 0.16
    size: float = 5.5

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One victim."""
        victim = pick(1)
        owner = np.repeat(np.arange(len(victim)), rng.integers(3, 9))
        gap = rng.exponential(60.0 * rng.uniform(3, 15), len(owner)) + 90.0
        city = whereabouts(scene.spec, scene.holders, day)[victim][owner]
        loot = Loot(
            event_us=moment(scene, day, rng, len(victim))[owner] + steps(owner, gap),
            account=victim[owner],
            merchant=resale_shops(city, scene, rng, tries=2),
            city=city,
            scale=np.full(len(owner), 1.15),
            device=np.zeros(len(owner), dtype=np.int64),
        )
        return rob(scene, loot, rng)


@dataclass(frozen=True, slots=True)
class SkimmedMerchant:
    """A reader at one merchant copies cards; days later the copies surface elsewhere.

    Evidence: victims share a merchant that they visited before; each surfaces once, three to
    twenty days later, with one to four purchases in another city or online.
    """

    name: str = "skimmed_merchant"
    share: float = 0.14
    size: float = 18.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """Up to twelve of the merchant's regulars."""
        victims = pick(int(rng.integers(4, 13)), _regulars(scene, rng))
        owner = np.repeat(np.arange(len(victims)), rng.integers(1, 5, len(victims)))
        surfaces = rng.integers(3, 21, len(victims)) * DAY_US
        gap = rng.exponential(2_400.0, len(owner)) + 60.0
        online = (rng.random(len(victims)) < 0.4)[owner]
        city = thief_cities(scene.holders.home[victims], rng, near=0.25)[owner]
        loot = Loot(
            event_us=(moment(scene, day, rng, len(victims)) + surfaces)[owner] + steps(owner, gap),
            account=victims[owner],
            merchant=resale_shops(
                np.where(online, online_group(len(owner)), city), scene, rng, tries=2
            ),
            city=city,
            scale=np.full(len(owner), 1.15),
            device=fresh_devices(len(victims), rng)[owner],
        )
        return rob(scene, loot, rng)


@dataclass(frozen=True, slots=True)
class ImpossibleTravel:
    """A clone is used over the counter in a far city while the holder goes on spending at home.

    Evidence: one to four purchases too far from the holder's last one to have got there in time.
    """

    name: str = "impossible_travel"
    share: float = 0.08
    size: float = 2.5

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One victim."""
        victim = pick(1)
        owner = np.repeat(np.arange(len(victim)), rng.integers(1, 5))
        here = whereabouts(scene.spec, scene.holders, day)[victim]
        elsewhere = thief_cities(here, rng, near=0.0)
        far = np.where(elsewhere == here, (here + ONLINE // 2) % ONLINE, elsewhere)
        loot = Loot(
            event_us=moment(scene, day, rng, len(victim))[owner]
            + steps(owner, rng.exponential(1_500.0, len(owner)) + 90.0),
            account=victim[owner],
            merchant=resale_shops(far[owner], scene, rng, tries=2),
            city=far[owner],
            scale=np.full(len(owner), 1.1),
            device=np.zeros(len(owner), dtype=np.int64),
        )
        return rob(scene, loot, rng)


def _regulars(scene: Scene, rng: np.random.Generator) -> NDArray[np.int64]:
    """The accounts for which one physical shop, drawn by its regulars, is a favourite."""
    favourites = scene.holders.favourites[:, :6]
    shop = -1
    for _ in range(50):
        shop = int(favourites[rng.integers(len(favourites)), rng.integers(6)])
        if not scene.merchants.is_online[shop]:
            break
    return np.flatnonzero((favourites == shop).any(axis=1))
