"""Organised frauds: many cards at one merchant, or emptied together at cash machines."""

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
    quiet_shops,
    rob,
    steps,
    thief_cities,
)
from producer.categories import WALLET_MCCS
from producer.day import Purchases
from producer.habits import Scene
from producer.spec import DAY_US, HOUR_US


@dataclass(frozen=True, slots=True)
class ColludingMerchant:
    """A merchant in on it books bought card numbers for some days and is gone: a bust-out.

    Evidence: a little-known merchant suddenly takes many cards that never were there, at its usual
    prices, one or two payments each.
    """

    name: str = "colluding_merchant"
    share: float = 0.08
    size: float = 19.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """Eight to twenty victims within three to eight days."""
        victims = pick(int(rng.integers(8, 21)))
        owner = np.repeat(np.arange(len(victims)), rng.integers(1, 3, len(victims)))
        shop = _little_known(scene, rng)
        spread = rng.integers(0, int(rng.integers(3, 9)), len(victims)) * DAY_US
        online = scene.merchants.is_online[shop]
        home = scene.holders.home[victims]
        city = thief_cities(home, rng, near=0.7) if online else _at(scene, shop, len(victims))
        loot = Loot(
            event_us=(moment(scene, day, rng, len(victims)) + spread)[owner]
            + steps(owner, rng.exponential(1_800.0, len(owner)) + 60.0),
            account=victims[owner],
            merchant=np.full(len(owner), shop, dtype=np.int64),
            city=city[owner],
            scale=np.full(len(owner), 1.4),
            device=fresh_devices(len(victims), rng)[owner],
        )
        return rob(scene, loot, rng)


@dataclass(frozen=True, slots=True)
class AtmRing:
    """A crew empties cloned cards at the cash machines of one city within hours.

    Evidence: cash, two to four times in a row per card, many cards at the same machines, away from
    where the holders are.
    """

    name: str = "atm_ring"
    share: float = 0.08
    size: float = 15.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """Four to nine cards."""
        victims = pick(int(rng.integers(4, 10)))
        owner = np.repeat(np.arange(len(victims)), rng.integers(2, 4, len(victims)))
        machines = np.flatnonzero(scene.merchants.is_atm)
        city = int(scene.merchants.city[rng.choice(machines)])
        machines = machines[scene.merchants.city[machines] == city]
        start = moment(scene, day, rng, 1)[0] + rng.integers(0, 3 * HOUR_US, len(victims))
        loot = Loot(
            event_us=start[owner] + steps(owner, rng.exponential(240.0, len(owner)) + 45.0),
            account=victims[owner],
            merchant=rng.choice(machines, len(owner)),
            city=np.full(len(owner), city, dtype=np.int64),
            scale=np.full(len(owner), 1.6),
            device=np.zeros(len(owner), dtype=np.int64),
        )
        return rob(scene, loot, rng)


@dataclass(frozen=True, slots=True)
class MuleWallets:
    """Recruited holders pass stolen money on to the same few wallets, or wallet to wallet.

    Evidence: two or three mules, each with three to seven payments within hours of about the first
    one's size, to one or two counterparties that the other mules of the crew pay too; device and
    address are the mules' own.
    """

    name: str = "mule_wallets"
    share: float = 0.05
    size: float = 12.0

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """One crew on one day."""
        wallets = pick(int(rng.integers(2, 4)))
        owner = np.repeat(np.arange(len(wallets)), rng.integers(3, 8, len(wallets)))
        shops = quiet_shops(2, WALLET_MCCS, scene, rng)
        start = moment(scene, day, rng, 1)[0] + rng.integers(0, 4 * HOUR_US, len(wallets))
        loot = Loot(
            event_us=start[owner] + steps(owner, rng.exponential(1_200.0, len(owner)) + 60.0),
            account=wallets[owner],
            merchant=rng.choice(shops, len(owner)),
            city=scene.holders.home[wallets[owner]],
            scale=np.full(len(owner), 1.2),
            device=holder_phones(scene, wallets[owner], day),
            prefix=holder_prefixes(scene, wallets[owner], day),
        )
        passed_on = rob(scene, loot, rng)
        first = np.searchsorted(owner, owner)
        near = passed_on.amount_minor[first] * rng.uniform(0.9, 1.1, len(owner))
        return replace(passed_on, amount_minor=near.astype(np.int64))


def _little_known(scene: Scene, rng: np.random.Generator) -> int:
    """A shop among the less popular half."""
    merchants = scene.merchants
    quiet = merchants.popularity < np.median(merchants.popularity)
    return int(rng.choice(np.flatnonzero(quiet & ~merchants.is_atm)))


def _at(scene: Scene, shop: int, count: int) -> NDArray[np.int64]:
    return np.full(count, scene.merchants.city[shop], dtype=np.int64)
