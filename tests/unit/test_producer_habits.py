"""Honest people: paydays, weekends, seasons, opening hours, subscriptions, refunds, journeys."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from producer.day import NO_DEVICE, ONLINE_CHANNEL, Purchases, concatenate
from producer.habits import Scene, honest_purchases
from producer.places import utc_offsets_minutes
from producer.spec import DAY_US, HOUR_US, SECOND_US, WorldSpec
from producer.subscriptions import subscription_dues
from producer.world import World

SPEC = WorldSpec(seed=11, start_day=20_000, cards=1_500, merchants=600, fraud_rate=0.0)
DAYS = 60


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A town or two of people and shops."""
    return World(SPEC).scene


@pytest.fixture(scope="module")
def days(scene: Scene) -> list[Purchases]:
    """What they buy in two months."""
    return [honest_purchases(scene, day) for day in range(DAYS)]


@pytest.fixture(scope="module")
def bought(days: list[Purchases]) -> Purchases:
    """All of it."""
    return concatenate(days)


def date_of(day: int) -> datetime:
    """The date of a world day."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=SPEC.start_day + day)


def mean_on(days: list[Purchases], wanted: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    """Purchases per day on the wanted days by the accounts `of`."""
    counts = [int(of[day.account].sum()) for day in days]
    return float(np.mean(np.array(counts)[wanted]))


def test_more_is_bought_after_payday(scene: Scene, days: list[Purchases]) -> None:
    """People who are paid on the 1st buy at least a fifth more in the three days from then on."""
    first = scene.holders.payday == 1
    after = np.array([date_of(day).day <= 3 for day in range(DAYS)])
    assert mean_on(days, after, first) > 1.2 * mean_on(days, ~after, first)


def test_weekends_are_a_matter_of_taste(scene: Scene, days: list[Purchases]) -> None:
    """Who likes weekends buys more on them than on weekdays; who does not, less."""
    weekend = np.array([date_of(day).weekday() >= 5 for day in range(DAYS)])
    for lovers, more in ((scene.holders.weekend > 1.4, True), (scene.holders.weekend < 0.7, False)):
        share = mean_on(days, weekend, lovers) / mean_on(days, ~weekend, lovers)
        assert (share > 1.15) if more else (share < 0.85)


def test_december_is_busier_than_june(scene: Scene) -> None:
    """The same fortnights of the same people half a year apart, by those who were there in both."""
    december, june = range(65, 79), range(247, 261)
    assert (date_of(65).month, date_of(247).month) == (12, 6)
    there = scene.holders.is_active(65) & scene.holders.is_active(260)
    sums = [
        sum(int(there[honest_purchases(scene, day).account].sum()) for day in fortnight)
        for fortnight in (december, june)
    ]
    assert sums[0] > 1.15 * sums[1]


def test_accounts_come_and_go(scene: Scene, days: list[Purchases]) -> None:
    """Some open and some close in two months, and nobody buys before or after."""
    for number, day in enumerate(days):
        assert scene.holders.is_active(number)[day.account].all()
    assert not np.array_equal(scene.holders.is_active(0), scene.holders.is_active(DAYS))


def test_closed_shops_sell_nothing(scene: Scene, bought: Purchases) -> None:
    """At shops that close, a purchase is made in local opening hours, but for second attempts."""
    closes = scene.merchants.closes - scene.merchants.opens < 24
    in_person = closes[bought.merchant] & (bought.amount_minor > 0)
    local_us = bought.event_us + utc_offsets_minutes()[bought.city] * 60 * SECOND_US
    hour = (local_us % DAY_US / HOUR_US)[in_person]
    shop = bought.merchant[in_person]
    is_open = (scene.merchants.opens[shop] <= hour) & (hour < scene.merchants.closes[shop])
    assert is_open.mean() > 0.999


def test_a_subscription_is_charged_every_month(scene: Scene) -> None:
    """What is due on the 5th of one month is due on the 5th of the next, to the cent."""
    (first,), (second,) = (
        [day for day in range(DAYS) if (date_of(day).month, date_of(day).day) == (month, 5)]
        for month in (10, 11)
    )
    charged = [
        {
            (account, shop): amount
            for account, shop, amount in zip(
                due.account.tolist(), due.merchant.tolist(), due.amount_minor.tolist(), strict=True
            )
        }
        for due in (
            subscription_dues(SPEC, scene.merchants, scene.holders, day) for day in (first, second)
        )
    ]
    both = charged[0].keys() & charged[1].keys()
    assert len(both) > 0.9 * len(charged[0]) > 20
    same = [charged[0][key] == charged[1][key] for key in both]
    assert np.mean(same) > 0.8


def test_refunds_give_back_what_was_paid(bought: Purchases) -> None:
    """Each negative amount, about one in 130, was paid by the same account at the same shop."""
    columns = (bought.account.tolist(), bought.merchant.tolist(), bought.amount_minor.tolist())
    deals = Counter(zip(*columns, strict=True))
    refunds = {deal: count for deal, count in deals.items() if deal[2] < 0}
    assert 0.003 < sum(refunds.values()) / len(bought) < 0.012
    for (account, shop, amount), count in refunds.items():
        assert count <= deals[(account, shop, -amount)]


def test_some_try_twice(bought: Purchases) -> None:
    """About one purchase in two hundred is repeated within 150 seconds, same shop and amount."""
    order = np.lexsort((bought.event_us, bought.amount_minor, bought.merchant, bought.account))
    same = np.ones(len(order) - 1, dtype=np.bool_)
    for column in (bought.account, bought.merchant, bought.amount_minor):
        same &= np.diff(column[order]) == 0
    soon = np.diff(bought.event_us[order]) < 150 * SECOND_US
    assert 0.003 < (same & soon).mean() < 0.012


def test_people_travel_and_come_home(scene: Scene, days: list[Purchases]) -> None:
    """Over a tenth pay in person in another city at some time, and nearly all of those at home."""
    away: set[int] = set()
    at_home: set[int] = set()
    for day in days:
        in_person = day.channel != ONLINE_CHANNEL
        is_home = day.city == scene.holders.home[day.account]
        away |= set(day.account[in_person & ~is_home].tolist())
        at_home |= set(day.account[in_person & is_home].tolist())
    assert 0.1 < len(away) / SPEC.cards < 0.4
    assert len(away & at_home) > 0.8 * len(away)


def test_some_devices_belong_to_a_household(bought: Purchases) -> None:
    """A share of devices is used by two accounts, never by three."""
    users: dict[int, set[int]] = {}
    for device, account in zip(bought.device.tolist(), bought.account.tolist(), strict=True):
        if device != NO_DEVICE:
            users.setdefault(device, set()).add(account)
    sizes = Counter(len(who) for who in users.values())
    assert set(sizes) == {1, 2}
    assert 0.02 < sizes[2] / len(users) < 0.3


def test_prices_rise_slowly(scene: Scene) -> None:
    """The same shops ask the same people some 6 % more two years later."""

    def level(first: int) -> float:
        some = concatenate([honest_purchases(scene, day) for day in range(first, first + 15)])
        some = some.take((some.amount_minor > 0) & ~scene.merchants.is_atm[some.merchant])
        usual = scene.merchants.median_minor[some.merchant] * scene.holders.spend[some.account]
        return float(np.median(np.log(some.amount_minor / usual)))

    assert 0.03 < level(730) - level(0) < 0.09


def test_favourite_shops_change_slowly(scene: Scene) -> None:
    """A busy card's favourite shop is more often the same a month later than eight months later."""

    def favourite(first: int) -> NDArray[np.int64]:
        month = concatenate([honest_purchases(scene, day) for day in range(first, first + 30)])
        visits = Counter(zip(month.account.tolist(), month.merchant.tolist(), strict=True))
        most = np.full(SPEC.cards, -1)
        for (account, shop), _ in sorted(visits.items(), key=lambda item: item[1]):
            most[account] = shop
        return most

    stay = scene.holders.is_active(270) & (scene.holders.per_day > 2.0)
    now = favourite(0)
    soon, late = ((now == favourite(first))[stay].mean() for first in (30, 240))
    assert soon > late + 0.1
