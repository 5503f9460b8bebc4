"""Merchants: place, category, price level and popularity, and how to draw one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.categories import ATM_CATEGORY, CATEGORIES, column
from producer.markets import MARKETS, Market
from producer.places import CITIES, footfall
from producer.spec import Stream, WorldSpec

ONLINE = len(CITIES)
"""The group of merchants that sell from anywhere to anywhere; groups below it are cities."""


@dataclass(frozen=True, slots=True)
class Merchants:
    """Columns over all merchants, ordered by `group`: a city's index, or ONLINE.

    `median_minor` and `sigma` give the price distribution; `cumulative` is the running sum of
    `popularity`, from which draws within a group are made; `city` is where the shop or its seat is;
    `opens` and `closes` are local hours.
    """

    ids: NDArray[np.object_]
    group: NDArray[np.int64]
    city: NDArray[np.int64]
    category: NDArray[np.int64]
    median_minor: NDArray[np.float64]
    sigma: NDArray[np.float64]
    opens: NDArray[np.float64]
    closes: NDArray[np.float64]
    popularity: NDArray[np.float64]
    cumulative: NDArray[np.float64]

    @property
    def is_online(self) -> NDArray[np.bool_]:
        """Which sell online."""
        online: NDArray[np.bool_] = self.group == ONLINE
        return online

    @property
    def is_atm(self) -> NDArray[np.bool_]:
        """Which are cash machines."""
        atm: NDArray[np.bool_] = self.category == ATM_CATEGORY
        return atm

    def draw(self, group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One merchant for each group asked for, by popularity."""
        edges = np.searchsorted(self.group, np.arange(ONLINE + 2))
        bounds = np.concatenate([[0.0], self.cumulative])[edges]
        low, high = bounds[group], bounds[group + 1]
        target = low + (high - low) * rng.random(len(group))
        drawn = np.searchsorted(self.cumulative, target, side="right")
        return np.asarray(np.clip(drawn, edges[group], edges[group + 1] - 1), dtype=np.int64)

    def amounts(
        self, merchant: NDArray[np.int64], scale: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Prices in minor units: log-normal, with the endings that shops like."""
        noise = rng.standard_normal(len(merchant)) * self.sigma[merchant]
        raw = self.median_minor[merchant] * scale * np.exp(noise)
        return _shop_prices(np.clip(raw, 50, 2_000_000), self.is_atm[merchant], rng)


def _shop_prices(
    raw: NDArray[np.float64], is_atm: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A fifth end in .99, a tenth in .00; cash comes in tens."""
    ending = rng.random(len(raw))
    whole = np.ceil(raw / 100) * 100
    amount = np.where(ending < 0.2, whole - 1, np.where(ending < 0.3, whole, np.rint(raw)))
    cash = np.clip(np.rint(raw / 1000), 1, 60) * 1000
    return np.where(is_atm, cash, amount).astype(np.int64)


def make_merchants(spec: WorldSpec) -> Merchants:
    """All merchants of the preset's market; wherever it has shops, every city has some."""
    rng = spec.rng(Stream.MERCHANTS)
    market = MARKETS[spec.preset]
    category, group = _categories_and_groups(spec.merchants, market, rng)
    order = np.argsort(group, kind="stable")
    category, group = category[order], group[order]
    size = len(group)
    popularity = np.array(market.category_weights())[category] * rng.pareto(1.6, size).clip(
        0.05, 12
    )
    popularity /= np.bincount(category, minlength=len(CATEGORIES))[category]
    seats = rng.choice(ONLINE, size, p=footfall())
    return Merchants(
        ids=np.array([f"m{spec.opaque('merchant', i)}" for i in range(size)], dtype=object),
        group=group,
        city=np.where(group == ONLINE, seats, group).astype(np.int64),
        category=category,
        median_minor=column("median_minor")[category] * np.exp(rng.normal(0, 0.35, size)),
        sigma=column("sigma")[category],
        opens=np.where(group == ONLINE, 0.0, column("opens")[category]),
        closes=np.where(group == ONLINE, 24.0, column("closes")[category]),
        popularity=popularity,
        cumulative=np.cumsum(popularity),
    )


def _categories_and_groups(
    size: int, market: Market, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    weights = np.array(market.category_weights()) ** 0.7
    category = rng.choice(len(CATEGORIES), size, p=weights / weights.sum())
    sells_online = (
        column("online") if market.online is None else np.full(len(weights), market.online)
    )
    online = rng.random(size) < sells_online[category]
    group = np.where(online, ONLINE, rng.choice(ONLINE, size, p=footfall()))
    _fill_every_group(category, group, weights, sells_online)
    return category.astype(np.int64), group.astype(np.int64)


def _fill_every_group(
    category: NDArray[np.int64],
    group: NDArray[np.int64],
    weights: NDArray[np.float64],
    sells_online: NDArray[np.float64],
) -> None:
    """Put a shop of each all-physical kind in every city, and each all-online kind online."""
    cities = np.arange(ONLINE)
    everyday = [kind for kind in (ATM_CATEGORY, 0) if weights[kind] > 0 and sells_online[kind] < 1]
    for place, kind in enumerate(everyday):
        rows = slice(place * ONLINE, (place + 1) * ONLINE)
        category[rows], group[rows] = kind, cities
    remote = np.flatnonzero((weights > 0) & (sells_online == 1))
    rows = slice(len(everyday) * ONLINE, len(everyday) * ONLINE + len(remote))
    category[rows], group[rows] = remote, ONLINE
