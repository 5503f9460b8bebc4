"""What a fraud campaign is, and what every thief needs: victims, shops to rob, a device."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from producer.cardholders import devices, draw_to_taste, ip_prefixes
from producer.categories import CATEGORIES, column, indices
from producer.day import NO_DEVICE, NO_PREFIX, ONLINE_CHANNEL, Purchases
from producer.habits import Scene, present
from producer.merchants import ONLINE
from producer.places import home_weights
from producer.spec import DAY_US, SECOND_US

_THIEF_DEVICES = 1 << 40
"""Device numbers above this were never a cardholder's; they look alike once they are hashed."""


class VictimPicker(Protocol):
    """Chooses accounts that exist, hold a working card and are in no other campaign."""

    def __call__(self, count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """At most `count` accounts, from `among` if given."""
        ...


class Campaign(Protocol):
    """One way to steal; `strike` gives every purchase of a campaign, whenever it happens."""

    @property
    def name(self) -> str:
        """As the truth topic and the reports call it."""
        ...

    @property
    def share(self) -> float:
        """Its part of all planned frauds."""
        ...

    @property
    def size(self) -> float:
        """Planned purchases per campaign."""
        ...

    def strike(
        self, scene: Scene, day: int, pick: VictimPicker, rng: np.random.Generator
    ) -> Purchases:
        """A campaign that begins on `day`: its purchases in any order, `campaign` left 0."""
        ...


@dataclass(frozen=True, slots=True)
class Loot:
    """Purchases before prices and channels: who, when, where; `scale` multiplies the price.

    `prefix` is the network address of online purchases; None: one near the thief's `city`.
    """

    event_us: NDArray[np.int64]
    account: NDArray[np.int64]
    merchant: NDArray[np.int64]
    city: NDArray[np.int64]
    scale: NDArray[np.float64]
    device: NDArray[np.int64]
    prefix: NDArray[np.int64] | None = None


def rob(scene: Scene, loot: Loot, rng: np.random.Generator) -> Purchases:
    """Turn loot into purchases; what is bought over the counter has neither device nor address."""
    size = len(loot.event_us)
    amount = scene.merchants.amounts(loot.merchant, loot.scale, rng)
    channel = present(scene.merchants, loot.merchant, amount, np.full(size, 0.6), rng)
    online = channel == ONLINE_CHANNEL
    prefix = thief_prefixes(loot) if loot.prefix is None else loot.prefix
    return Purchases(
        event_us=loot.event_us,
        account=loot.account,
        merchant=loot.merchant,
        amount_minor=amount,
        channel=channel,
        city=loot.city,
        device=np.where(online, loot.device, NO_DEVICE),
        prefix=np.where(online, prefix, NO_PREFIX),
        campaign=np.zeros(size, dtype=np.int64),
    )


def thief_prefixes(loot: Loot) -> NDArray[np.int64]:
    """Addresses in the thief's city, another one every day."""
    return ip_prefixes(loot.city, loot.device + loot.event_us // DAY_US, 0)


def holder_prefixes(scene: Scene, account: NDArray[np.int64], day: int) -> NDArray[np.int64]:
    """The address at home of each account."""
    return ip_prefixes(scene.holders.home[account], account, day)


def holder_phones(scene: Scene, account: NDArray[np.int64], day: int) -> NDArray[np.int64]:
    """The phone that each account's holder has on a day."""
    return devices(scene.holders, account, day, np.ones(len(account), dtype=np.bool_))


def fresh_devices(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Devices that no cardholder ever used."""
    return rng.integers(_THIEF_DEVICES, 2 * _THIEF_DEVICES, count)


def resale_shops(
    group: NDArray[np.int64], scene: Scene, rng: np.random.Generator, tries: int = 3
) -> NDArray[np.int64]:
    """For each group a merchant whose goods sell on well."""
    wanted = column("resale")[None, :]
    nobody = np.zeros(len(group), dtype=np.int64)
    return draw_to_taste(nobody, group, wanted, scene.merchants, rng, tries=tries)


def quiet_shops(
    count: int, mccs: tuple[str, ...], scene: Scene, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Online merchants of these categories."""
    right = np.zeros(len(CATEGORIES))
    right[indices(mccs)] = 1.0
    candidates = scene.merchants.is_online & (right[scene.merchants.category] > 0)
    return rng.choice(np.flatnonzero(candidates), count)


def online_group(count: int) -> NDArray[np.int64]:
    """The online group, `count` times."""
    return np.full(count, ONLINE, dtype=np.int64)


def thief_cities(
    home: NDArray[np.int64], rng: np.random.Generator, near: float
) -> NDArray[np.int64]:
    """Where each theft seems to come from: the victim's city with probability `near`."""
    elsewhere = rng.choice(len(home_weights()), len(home), p=home_weights())
    return np.where(rng.random(len(home)) < near, home, elsewhere)


def moment(scene: Scene, day: int, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Times on a day, mostly between 7 and 23 UTC: thieves hide among the customers."""
    seconds = np.where(
        rng.random(count) < 0.85, rng.uniform(7, 23, count), rng.uniform(0, 24, count)
    )
    start = scene.spec.start_us + day * DAY_US
    return start + (seconds * 3600 * SECOND_US).astype(np.int64)


def steps(owner: NDArray[np.int64], gap_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Running time within each owner's run of rows, in microseconds; `owner` is sorted."""
    total = np.cumsum(gap_seconds)
    first = np.searchsorted(owner, owner)
    return ((total - total[first] + gap_seconds[first]) * SECOND_US).astype(np.int64)
