"""Cardholders: home, income, rhythm, tastes, favourite merchants, devices, trips."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.categories import CATEGORIES
from producer.markets import MARKETS
from producer.merchants import ONLINE, Merchants
from producer.places import home_weights
from producer.spec import Stream, WorldSpec

FAVOURITES = 16
MEAN_PER_DAY = 1.2
"""Planned purchases per card and day, before sprees, subscriptions and retries."""
_FOREVER = 1 << 40
_TRIP_BLOCK_DAYS = 30
_PREFIXES_PER_CITY = 48

_RHYTHMS = np.array(
    [
        # hour 0 ... 23, local: office worker, early riser, night owl, shift worker
        [1, 1, 1, 1, 1, 2, 5, 9, 9, 6, 6, 8, 13, 11, 7, 6, 8, 12, 14, 12, 9, 6, 4, 2],
        [1, 1, 1, 1, 3, 8, 12, 13, 12, 12, 11, 11, 11, 9, 8, 8, 9, 9, 7, 5, 4, 2, 1, 1],
        [6, 5, 4, 3, 2, 1, 1, 2, 3, 4, 5, 7, 9, 9, 8, 8, 8, 9, 11, 12, 12, 12, 11, 9],
        [4, 4, 4, 3, 4, 5, 6, 7, 7, 7, 7, 7, 8, 8, 9, 9, 8, 8, 8, 8, 7, 7, 6, 5],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, slots=True)
class Cardholders:
    """Columns over all accounts; an account outlives the cards that are issued on it.

    `per_day` is the mean number of purchases, `spend` scales prices, `weekend` scales Saturday and
    Sunday, `favourites` are merchants by rank; an account exists on days `joins <= day < leaves`.
    """

    home: NDArray[np.int64]
    spend: NDArray[np.float64]
    per_day: NDArray[np.float64]
    weekend: NDArray[np.float64]
    rhythm: NDArray[np.int64]
    payday: NDArray[np.int64]
    taste: NDArray[np.float64]
    online_share: NDArray[np.float64]
    contactless: NDArray[np.float64]
    uses_phone: NDArray[np.bool_]
    household: NDArray[np.int64]
    device_phase: NDArray[np.int64]
    favourites: NDArray[np.int64]
    joins: NDArray[np.int64]
    leaves: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.home)

    def is_active(self, day: int) -> NDArray[np.bool_]:
        """Which accounts exist on a day of the world."""
        active: NDArray[np.bool_] = (self.joins <= day) & (day < self.leaves)
        return active


def make_cardholders(spec: WorldSpec, merchants: Merchants) -> Cardholders:
    """Everybody who will ever hold a card in this world."""
    rng = spec.rng(Stream.CARDHOLDERS)
    size = spec.cards
    home = rng.choice(len(home_weights()), size, p=home_weights()).astype(np.int64)
    taste = np.exp(rng.normal(0, 0.8, (size, len(CATEGORIES))))
    everywhere = MARKETS[spec.preset].online
    online_share = rng.beta(2.0, 5.0, size)
    if everywhere is not None:
        online_share = np.full(size, float(everywhere))
    joins, leaves = _memberships(size, rng)
    return Cardholders(
        home=home,
        spend=np.exp(rng.normal(0, 0.40, size)),
        per_day=MEAN_PER_DAY * rng.gamma(1.8, 1 / 1.8, size).clip(0.05, 6),
        weekend=np.exp(rng.normal(0.05, 0.35, size)),
        rhythm=rng.choice(len(_RHYTHMS), size, p=[0.55, 0.18, 0.15, 0.12]),
        payday=rng.choice([1, 15, 25, 28], size, p=[0.3, 0.15, 0.3, 0.25]),
        taste=taste,
        online_share=online_share,
        contactless=rng.beta(5, 2, size),
        uses_phone=rng.random(size) < 0.4,
        household=np.where(rng.random(size) < 0.3, np.arange(size) // 2 * 2, np.arange(size)),
        device_phase=rng.integers(0, 365, size),
        favourites=_favourites(home, online_share, taste, merchants, rng),
        joins=joins,
        leaves=leaves,
    )


def _memberships(
    size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One account in nine opens during the first year; all close some day, mean five years."""
    joins = np.where(rng.random(size) < 1 / 9, rng.integers(0, 365, size), -_FOREVER)
    leaves = np.maximum(joins, 0) + rng.exponential(1825, size).astype(np.int64) + 14
    return joins.astype(np.int64), leaves.astype(np.int64)


def _favourites(
    home: NDArray[np.int64],
    online_share: NDArray[np.float64],
    taste: NDArray[np.float64],
    merchants: Merchants,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Per account, merchants at home or online, each the most to taste of three that came by."""
    account = np.repeat(np.arange(len(home)), FAVOURITES)
    online = rng.random(len(account)) < online_share[account]
    group = np.where(online, ONLINE, home[account])
    return draw_to_taste(account, group, taste, merchants, rng, tries=3).reshape(-1, FAVOURITES)


def draw_to_taste(
    account: NDArray[np.int64],
    group: NDArray[np.int64],
    taste: NDArray[np.float64],
    merchants: Merchants,
    rng: np.random.Generator,
    *,
    tries: int,
) -> NDArray[np.int64]:
    """For each row a merchant of its group: of `tries` draws the one the account likes best."""
    chosen = merchants.draw(group, rng)
    liking = taste[account, merchants.category[chosen]]
    for _ in range(tries - 1):
        other = merchants.draw(group, rng)
        other_liking = taste[account, merchants.category[other]]
        better = other_liking > liking
        chosen = np.where(better, other, chosen)
        liking = np.where(better, other_liking, liking)
    return chosen


def local_seconds(rhythm: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A local time of day in seconds for each row, by its rhythm's hours."""
    weights = np.cumsum(_RHYTHMS / _RHYTHMS.sum(axis=1, keepdims=True), axis=1)
    ladder = (weights + np.arange(len(_RHYTHMS))[:, None]).ravel()
    step = np.searchsorted(ladder, rhythm + rng.random(len(rhythm)), side="right")
    hour = np.clip(step - rhythm * 24, 0, 23)
    seconds: NDArray[np.float64] = (hour + rng.random(len(rhythm))) * 3600.0
    return seconds


def whereabouts(spec: WorldSpec, holders: Cardholders, day: int) -> NDArray[np.int64]:
    """The city of each account on a day: home, but a tenth or so of each month's people travel."""
    rng = spec.rng(Stream.TRIPS, day // _TRIP_BLOCK_DAYS)
    size = len(holders)
    leaves = rng.integers(0, _TRIP_BLOCK_DAYS - 3, size)
    away = leaves + rng.integers(2, 10, size)
    city = rng.integers(0, ONLINE, size)
    today = day % _TRIP_BLOCK_DAYS
    travels = (rng.random(size) < 0.12) & (leaves <= today) & (today < away)
    return np.where(travels, city, holders.home)


def devices(
    holders: Cardholders, account: NDArray[np.int64], day: int, is_phone: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A number per device: the own phone, replaced about yearly, or the household's computer."""
    age = (day + holders.device_phase[account]) // 365
    owner = np.where(is_phone, account * 2, holders.household[account] * 2 + 1)
    return (age * len(holders) * 2 + owner + 1).astype(np.int64)


def ip_prefixes(home: NDArray[np.int64], key: NDArray[np.int64], day: int) -> NDArray[np.int64]:
    """A number per address prefix: a provider's pool in the city, dealt anew every few weeks."""
    lease = (day + key) // 21
    slot = (key * 7919 + lease * 104_729) % _PREFIXES_PER_CITY
    return (home * _PREFIXES_PER_CITY + slot).astype(np.int64)


def prefix_text(number: int) -> str:
    """The prefix of `ip_prefixes` as the first three octets of an IPv4 address."""
    return f"{31 + number % 150}.{(number * 37) % 256}.{number // 150}"
