"""Frauds without the card: numbers tried and drained, accounts taken over."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from producer.campaign import (
    Loot,
    VictimPicker,
    fresh_devices,
    holder_phones,
    holder_prefixes,
    moment,
    online_group,
    quiet_shops,
    resale_shops,
    rob,
    steps,
    thief_cities,
    thief_prefixes,
)
from producer.categories import DIGITAL_MCCS
from producer.day import Purchases
from producer.habits import Scene


@dataclass(frozen=True, slots=True)
class CardTesting:
    """Stolen numbers are tried with small digital purchases; those that work are drained.

    Evidence: two to five small online payments minutes apart from a device new to the card, then,
    after a pause of minutes to a day, a few resaleable goods. Two victims may share the device.
    """

    name: str = "card_testing"
    share: float = 0.19
    size: float = 11.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One to three victims of one list of numbers."""
        victims = pick(int(rng.integers(1, 4)))
        tests = rng.integers(2, 6, len(victims))
        drains = rng.integers(1, 4, len(victims))
        count = tests + drains
        owner = np.repeat(np.arange(len(victims)), count)
        place = np.arange(len(owner)) - np.searchsorted(owner, owner)
        is_test = place < tests[owner]
        gap = rng.exponential(np.where(is_test, 150.0, 700.0)) + 15.0
        gap = gap + np.where(place == tests[owner], rng.exponential(9_000.0, len(owner)), 0.0)
        tried = quiet_shops(len(owner), DIGITAL_MCCS, scene, rng)
        drained = resale_shops(online_group(len(owner)), scene, rng)
        city = thief_cities(scene.holders.home[victims], rng, near=0.5)
        device = np.repeat(fresh_devices((len(victims) + 1) // 2, rng), 2)[: len(victims)]
        loot = Loot(
            event_us=moment(scene, day, rng, len(victims))[owner] + steps(owner, gap),
            account=victims[owner],
            merchant=np.where(is_test, tried, drained),
            city=city[owner],
            scale=np.where(is_test, 0.25, 1.1),
            device=device[owner],
        )
        return rob(scene, loot, rng)


@dataclass(frozen=True, slots=True)
class AccountTakeover:
    """Someone else logs in as the customer and shops, first where the customer is known.

    Evidence: one new device and its addresses for the whole takeover (now and then the customer's
    own, through malware), dearer goods than usual, over an hour to a day.
    """

    name: str = "account_takeover"
    share: float = 0.17
    size: float = 4.0
    malware_share: float = 0.25

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One victim, two to six purchases."""
        victim = pick(1)
        owner = np.repeat(np.arange(len(victim)), rng.integers(2, 7))
        gap = rng.exponential(3_600.0 * rng.uniform(0.2, 4.0), len(owner)) + 30.0
        known = _known_online(scene, victim, len(owner), rng)
        merchant = np.where(
            (rng.random(len(owner)) < 0.35) & (known >= 0),
            known,
            resale_shops(online_group(len(owner)), scene, rng),
        )
        city = thief_cities(scene.holders.home[victim], rng, near=0.6)
        through_malware = rng.random(len(victim)) < self.malware_share
        own, new = holder_phones(scene, victim, day), fresh_devices(len(victim), rng)
        loot = Loot(
            event_us=moment(scene, day, rng, len(victim))[owner] + steps(owner, gap),
            account=victim[owner],
            merchant=merchant,
            city=city[owner],
            scale=np.full(len(owner), 1.3),
            device=np.where(through_malware, own, new)[owner],
        )
        at_home = holder_prefixes(scene, loot.account, day)
        prefix = np.where(through_malware[owner], at_home, thief_prefixes(loot))
        return rob(scene, replace(loot, prefix=prefix), rng)


def _known_online(
    scene: Scene, victim: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Online favourites of the victim, -1 where there is none."""
    favourites = scene.holders.favourites[victim].ravel()
    online = favourites[scene.merchants.is_online[favourites]]
    if len(online) == 0:
        return np.full(count, -1, dtype=np.int64)
    return rng.choice(online, count)
