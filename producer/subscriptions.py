"""Subscriptions: the same amount to the same merchant on the same day of every month."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from producer.cardholders import Cardholders
from producer.categories import CATEGORIES, SUBSCRIPTION_MCCS, indices
from producer.day import LEGITIMATE, NO_DEVICE, NO_PREFIX, ONLINE_CHANNEL, Purchases
from producer.merchants import Merchants
from producer.spec import DAY_US, SECOND_US, Stream, WorldSpec

_MOST = 3
_SHARE = 0.5
_PRICE_RISES_EVERY_DAYS = 365


def subscription_dues(
    spec: WorldSpec, merchants: Merchants, holders: Cardholders, day: int
) -> Purchases:
    """What subscriptions charge on a day; each slot of an account is the same all its life."""
    rng = spec.rng(Stream.SUBSCRIPTIONS)
    size = len(holders)
    providers = _providers(merchants)
    if len(providers) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return _charges(holders, nothing, nothing, nothing, nothing)
    shops = rng.choice(providers, (size, _MOST))
    has = rng.random((size, _MOST)) < _SHARE
    due_on = rng.integers(1, 29, (size, _MOST))
    price = np.rint(merchants.median_minor[shops] * rng.choice([0.5, 0.8, 1.0, 1.6], shops.shape))
    second = rng.integers(3 * 3600, 9 * 3600, (size, _MOST))
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=spec.start_day + day)
    account, slot = np.nonzero(has & (due_on == date.day) & holders.is_active(day)[:, None])
    rises = (day + holders.device_phase[account]) // _PRICE_RISES_EVERY_DAYS
    amount = price[account, slot] * 1.06**rises
    start_us = spec.start_us + day * DAY_US
    return _charges(
        holders,
        start_us + second[account, slot] * SECOND_US,
        account,
        shops[account, slot],
        np.maximum(99, amount).astype(np.int64) // 10 * 10 + 9,
    )


def _providers(merchants: Merchants) -> NDArray[np.int64]:
    right = np.zeros(len(CATEGORIES), dtype=np.bool_)
    right[indices(SUBSCRIPTION_MCCS)] = True
    return np.flatnonzero(merchants.is_online & right[merchants.category])


def _charges(
    holders: Cardholders,
    event_us: NDArray[np.int64],
    account: NDArray[np.int64],
    merchant: NDArray[np.int64],
    amount_minor: NDArray[np.int64],
) -> Purchases:
    """Charged by the merchant: online, from no device of the holder's."""
    size = len(account)
    return Purchases(
        event_us=event_us,
        account=account,
        merchant=merchant,
        amount_minor=amount_minor,
        channel=np.full(size, ONLINE_CHANNEL),
        city=holders.home[account],
        device=np.full(size, NO_DEVICE),
        prefix=np.full(size, NO_PREFIX),
        campaign=np.full(size, LEGITIMATE),
    )
