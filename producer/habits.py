"""What honest cardholders buy on one day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from producer.cardholders import (
    FAVOURITES,
    Cardholders,
    devices,
    draw_to_taste,
    ip_prefixes,
    local_seconds,
    whereabouts,
)
from producer.day import (
    ATM_CHANNEL,
    CHIP,
    CONTACTLESS,
    LEGITIMATE,
    NO_DEVICE,
    NO_PREFIX,
    ONLINE_CHANNEL,
    Purchases,
    concatenate,
)
from producer.merchants import ONLINE, Merchants
from producer.places import utc_offsets_minutes
from producer.spec import DAY_US, SECOND_US, Stream, WorldSpec
from producer.subscriptions import subscription_dues

CONTACTLESS_LIMIT_MINOR = 5_000
_FAVOURITE_SHARE = 0.66
_SPREE_SHARE = 0.009
PER_PLANNED = 1.17
"""All purchases of a year per `per_day`: weekends, sprees, subscriptions and retries add some."""
_REFUND_SHARE = 0.008
_RETRY_SHARE = 0.006
_PRICE_DRIFT_PER_DAY = 0.03 / 365


@dataclass(frozen=True, slots=True)
class Scene:
    """The parts of a world that do not change from day to day."""

    spec: WorldSpec
    merchants: Merchants
    holders: Cardholders


def honest_purchases(scene: Scene, day: int) -> Purchases:
    """All legitimate purchases of a world day: planned ones, sprees, refunds and retries."""
    rng = scene.spec.rng(Stream.HABITS, day)
    city_now = whereabouts(scene.spec, scene.holders, day)
    planned = _planned_accounts(scene, day, rng)
    seconds = _utc_seconds(scene, planned, city_now, rng)
    spree_account, spree_seconds = _sprees(scene, day, rng)
    account = np.concatenate([planned, spree_account])
    is_spree = np.arange(len(account)) >= len(planned)
    merchant = _merchants_for(scene, account, city_now, is_spree, day, rng)
    seconds = np.concatenate([seconds, spree_seconds])
    seconds = _within_opening_hours(scene.merchants, merchant, seconds, city_now[account], rng)
    event_us = _event_us(scene.spec, day, seconds)
    honest = _checkout(scene, event_us, account, merchant, city_now, day, rng)
    dues = subscription_dues(scene.spec, scene.merchants, scene.holders, day)
    honest = concatenate([honest, dues])
    return _with_echoes(honest, scene.spec.start_us + (day + 1) * DAY_US, rng)


def _planned_accounts(scene: Scene, day: int, rng: np.random.Generator) -> NDArray[np.int64]:
    holders = scene.holders
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=scene.spec.start_day + day)
    season = 1.0 + 0.12 * np.cos(2 * np.pi * (date.timetuple().tm_yday - 350) / 365)
    since_payday = (date.day - holders.payday) % 31
    mean = holders.per_day * season * np.where(since_payday < 3, 1.35, 0.965)
    if date.weekday() >= 5:
        mean = mean * holders.weekend
    count = rng.poisson(mean * holders.is_active(day))
    return np.repeat(np.arange(len(holders)), count)


def _utc_seconds(
    scene: Scene,
    account: NDArray[np.int64],
    city_now: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Seconds after midnight UTC at which it is, where the holder is, the hour of their habit."""
    local = local_seconds(scene.holders.rhythm[account], rng)
    offset = utc_offsets_minutes()[city_now[account]] * 60.0
    seconds: NDArray[np.float64] = (local - offset) % 86_400.0
    return seconds


def _sprees(
    scene: Scene, day: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Honest bursts: some people buy three to nine things within a few hours."""
    spender = np.flatnonzero(
        (rng.random(len(scene.holders)) < _SPREE_SHARE) & scene.holders.is_active(day)
    )
    count = rng.integers(3, 10, len(spender))
    start = rng.uniform(8, 18, len(spender)) * 3600
    span = rng.exponential(4800, len(spender)) + 600
    seconds = np.repeat(start, count) + rng.random(count.sum()) * np.repeat(span, count)
    return np.repeat(spender, count), np.minimum(seconds, 86_399.0)


def _merchants_for(
    scene: Scene,
    account: NDArray[np.int64],
    city_now: NDArray[np.int64],
    is_spree: NDArray[np.bool_],
    day: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Mostly favourites by rank, whose ranking turns slowly; else what the place offers."""
    holders, merchants = scene.holders, scene.merchants
    size = len(account)
    ranks = 1.0 / np.arange(1, FAVOURITES + 1) ** 0.8
    rank = np.searchsorted(np.cumsum(ranks / ranks.sum()), rng.random(size)).clip(0, FAVOURITES - 1)
    shift = (day + holders.device_phase[account]) // 45
    favourite = holders.favourites[account, (rank + shift) % FAVOURITES]
    online = rng.random(size) < holders.online_share[account]
    group = np.where(online, ONLINE, city_now[account])
    found = draw_to_taste(account, group, holders.taste, merchants, rng, tries=2)
    within_reach = merchants.is_online[favourite] | (merchants.city[favourite] == city_now[account])
    share = np.where(is_spree, 0.15, _FAVOURITE_SHARE)
    return np.where((rng.random(size) < share) & within_reach, favourite, found)


def _within_opening_hours(
    merchants: Merchants,
    merchant: NDArray[np.int64],
    utc_seconds: NDArray[np.float64],
    city: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move visits to closed shops to a time, the same UTC day, when they are open."""
    offset = utc_offsets_minutes()[city] * 60.0
    hour = (utc_seconds + offset) % 86_400.0 / 3600.0
    opens, closes = merchants.opens[merchant], merchants.closes[merchant]
    closed = (hour < opens) | (hour >= closes)
    local = opens + rng.random(len(hour)) * (closes - opens)
    moved: NDArray[np.float64] = np.where(closed, (local * 3600 - offset) % 86_400.0, utc_seconds)
    return moved


def _event_us(spec: WorldSpec, day: int, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return spec.start_us + day * DAY_US + (seconds * SECOND_US).astype(np.int64)


def _checkout(
    scene: Scene,
    event_us: NDArray[np.int64],
    account: NDArray[np.int64],
    merchant: NDArray[np.int64],
    city_now: NDArray[np.int64],
    day: int,
    rng: np.random.Generator,
) -> Purchases:
    holders, merchants = scene.holders, scene.merchants
    scale = holders.spend[account] * np.exp(_PRICE_DRIFT_PER_DAY * day)
    amount = merchants.amounts(merchant, scale, rng)
    channel = present(merchants, merchant, amount, holders.contactless[account], rng)
    online = channel == ONLINE_CHANNEL
    phone = rng.random(len(account)) < np.where(online, 0.6, 1.0)
    taps_phone = (channel == CONTACTLESS) & holders.uses_phone[account]
    device = devices(holders, account, day, phone)
    roaming = rng.random(len(account)) < 0.15
    prefix_key = np.where(roaming, rng.integers(0, 1000, len(account)), account)
    prefix = ip_prefixes(holders.home[account], prefix_key, day)
    return Purchases(
        event_us=event_us,
        account=account,
        merchant=merchant,
        amount_minor=amount,
        channel=channel,
        city=city_now[account],
        device=np.where(online | taps_phone, device, NO_DEVICE),
        prefix=np.where(online, prefix, NO_PREFIX),
        campaign=np.full(len(account), LEGITIMATE, dtype=np.int64),
    )


def present(
    merchants: Merchants,
    merchant: NDArray[np.int64],
    amount_minor: NDArray[np.int64],
    contactless: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """How the card is shown at each merchant; tapping only below the limit."""
    taps = (rng.random(len(merchant)) < contactless) & (amount_minor <= CONTACTLESS_LIMIT_MINOR)
    shown = np.where(taps, CONTACTLESS, CHIP)
    shown = np.where(merchants.is_online[merchant], ONLINE_CHANNEL, shown)
    return np.where(merchants.is_atm[merchant], ATM_CHANNEL, shown).astype(np.int64)


def _with_echoes(honest: Purchases, day_end_us: int, rng: np.random.Generator) -> Purchases:
    """Add refunds some hours later, and second attempts a minute or two after the first."""
    draw = rng.random(len(honest))
    refund = np.flatnonzero((draw < _REFUND_SHARE) & (honest.channel != ATM_CHANNEL))
    retry = np.flatnonzero((draw >= _REFUND_SHARE) & (draw < _REFUND_SHARE + _RETRY_SHARE))
    later = rng.integers(3600, 6 * 3600, len(refund)) * SECOND_US
    soon = rng.integers(20, 150, len(retry)) * SECOND_US
    refunds = _echo(honest.take(refund), later, -1)
    retries = _echo(honest.take(retry), soon, 1)
    together = concatenate([honest, refunds, retries])
    return together.take(together.event_us < day_end_us)


def _echo(source: Purchases, delay_us: NDArray[np.int64], sign: int) -> Purchases:
    return Purchases(
        source.event_us + delay_us,
        source.account,
        source.merchant,
        source.amount_minor * sign,
        source.channel,
        source.city,
        source.device,
        source.prefix,
        source.campaign,
    )
