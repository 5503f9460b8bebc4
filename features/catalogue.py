"""The features of the platform, declared one by one."""

from collections.abc import Iterator

from features.feature import Entity, Feature, Group, Kind
from features.layout import DAY, HOUR, MINUTE
from features.statistic import Instant, Shared, Windowed

TEN_MINUTES, ONE_HOUR, ONE_DAY, WEEK, MONTH = 10 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY
ALL_WINDOWS = (TEN_MINUTES, ONE_HOUR, ONE_DAY, WEEK, MONTH)
LONG_WINDOWS = (ONE_DAY, WEEK, MONTH)


def _flag(statistic: Instant, group: Group, description: str, entity: str) -> Feature:
    kind: Kind = "boolean"
    if entity == "card":
        return Feature(statistic, group, description, kind=kind)
    return Feature(statistic, group, description, kind=kind, entity="transaction")


def _windows(
    statistic: Windowed, group: Group, description: str, windows: tuple[int, ...]
) -> Iterator[Feature]:
    for window in windows:
        yield Feature(statistic, group, description, window_ms=window)


def _temporal() -> Iterator[Feature]:
    yield Feature(Instant.HOUR, "temporal", "Local hour of day, 0 to 23", entity="transaction")
    yield Feature(
        Instant.WEEKDAY, "temporal", "Local day of week, Monday is 0", entity="transaction"
    )
    for statistic, text in (
        (Instant.IS_WEEKEND, "Local Saturday or Sunday"),
        (Instant.IS_NIGHT, "Local time from 00:00 until 06:00"),
        (Instant.IS_HOLIDAY, "Public holiday on the local day in the transaction's country"),
    ):
        yield _flag(statistic, "temporal", text, "transaction")


def _transaction() -> Iterator[Feature]:
    yield Feature(Instant.AMOUNT, "monetary", "Amount, minor units", entity="transaction")
    for statistic, text in (
        (Instant.IS_REFUND, "Negative amount"),
        (Instant.IS_WHOLE, "Amount is a multiple of 1.00"),
        (Instant.IS_WHOLE_TENS, "Amount is a multiple of 10.00"),
    ):
        yield _flag(statistic, "monetary", text, "transaction")
    for statistic, text in (
        (Instant.IS_ONLINE, "Card not present"),
        (Instant.IS_CONTACTLESS, "Contactless"),
        (Instant.IS_ATM, "Cash machine"),
    ):
        yield _flag(statistic, "device", text, "transaction")
    yield Feature(
        Instant.CATEGORY,
        "merchant",
        "Merchant category code (ISO 18245) as a number",
        kind="categorical",
        entity="transaction",
    )
    yield _flag(
        Instant.IS_CASH_LIKE,
        "merchant",
        "Category that turns into cash: cash, money transfer, quasi-cash, gambling, gift cards",
        "transaction",
    )


def _history() -> Iterator[Feature]:
    yield Feature(
        Instant.SECONDS_SINCE_LAST, "behavioural", "Seconds since the card's last event in 30 d"
    )
    yield Feature(
        Instant.SECONDS_SINCE_SAME_MERCHANT,
        "merchant",
        "Seconds since the card was last at this merchant, within 30 d",
    )
    yield _flag(
        Instant.IS_FIRST_MERCHANT, "merchant", "Merchant is new to the card in 90 d", "card"
    )
    yield _flag(Instant.IS_FIRST_DEVICE, "device", "Device is new to the card in 90 d", "card")
    yield _flag(
        Instant.IS_FIRST_COUNTRY, "behavioural", "Country is new to the card in 90 d", "card"
    )
    yield _flag(
        Instant.IS_FIRST_CATEGORY, "merchant", "Category is new to the card in 90 d", "card"
    )
    yield Feature(
        Instant.DISTANCE_KM, "behavioural", "Great-circle distance from the last place in 7 d, km"
    )
    yield Feature(
        Instant.SPEED_KMH,
        "behavioural",
        "That distance over the time between, at least one minute, km/h",
    )
    yield _flag(
        Instant.HAS_COUNTRY_CHANGED,
        "behavioural",
        "Country differs from the last known one",
        "card",
    )
    yield Feature(
        Instant.DAYS_KNOWN, "behavioural", "Days since the oldest remembered event, at most 90"
    )


def _velocity() -> Iterator[Feature]:
    yield from _windows(Windowed.COUNT, "behavioural", "Events", ALL_WINDOWS)
    yield from _windows(
        Windowed.MERCHANTS, "merchant", "Distinct merchants", (ONE_HOUR, *LONG_WINDOWS)
    )
    yield from _windows(Windowed.COUNTRIES, "behavioural", "Distinct countries", (ONE_DAY, WEEK))
    yield from _windows(Windowed.DEVICES, "device", "Distinct devices", (ONE_DAY, MONTH))
    yield from _windows(Windowed.NIGHT_SHARE, "behavioural", "Share of events at night", (MONTH,))
    yield from _windows(
        Windowed.NIGHT_SURPRISE,
        "behavioural",
        "At night: share of the card's earlier events that were not; by day: 0",
        (MONTH,),
    )
    yield from _windows(Windowed.COUNT_ONLINE, "device", "Online events", (ONE_HOUR, ONE_DAY))
    yield from _windows(Windowed.COUNT_CASH, "merchant", "Cash-like events", (ONE_DAY,))
    yield from _windows(
        Windowed.COUNT_SMALL, "behavioural", "Events below 5.00, as tests are", (ONE_HOUR, ONE_DAY)
    )
    yield from _windows(
        Windowed.COUNT_SAME_MERCHANT, "merchant", "Events at this merchant", (ONE_HOUR, MONTH)
    )


def _money() -> Iterator[Feature]:
    yield from _windows(Windowed.SUM, "monetary", "Sum of amounts, minor units", ALL_WINDOWS)
    yield from _windows(Windowed.MEAN, "monetary", "Mean amount, minor units", LONG_WINDOWS)
    yield from _windows(Windowed.MAX, "monetary", "Largest amount, minor units", LONG_WINDOWS)
    yield from _windows(
        Windowed.STD, "monetary", "Standard deviation of amounts, minor units", LONG_WINDOWS
    )
    yield from _windows(
        Windowed.RATIO_TO_MEAN,
        "monetary",
        "Amount over the mean of the card's earlier events",
        (ONE_DAY, MONTH),
    )
    yield from _windows(
        Windowed.Z_SCORE,
        "monetary",
        "Amount less the mean of the earlier events, over their standard deviation",
        (MONTH,),
    )
    yield from _windows(
        Windowed.RANK, "monetary", "Share of the earlier events with a lower amount", (MONTH,)
    )
    yield from _windows(
        Windowed.RATIO_TO_MIN,
        "monetary",
        "Amount over the smallest earlier positive amount: a test, then a drain",
        (ONE_HOUR, ONE_DAY),
    )


def _across(
    entity: Entity, group: Group, statistic: Shared, description: str, windows: tuple[int, ...]
) -> Iterator[Feature]:
    for window in windows:
        yield Feature(statistic, group, description, window_ms=window, entity=entity)


def _merchant() -> Iterator[Feature]:
    volume = (ONE_HOUR, *LONG_WINDOWS)
    for statistic, text, windows in (
        (Shared.COUNT, "All cards' events at the merchant", volume),
        (Shared.SUM, "Sum of their amounts, minor units", volume),
        (Shared.CARDS, "Distinct cards at the merchant, about", (ONE_DAY, WEEK)),
        (Shared.AMOUNT_TO_MEAN, "Amount over the mean of the merchant's events", (MONTH,)),
        (Shared.FRAUDS, "Transactions at the merchant that became known as fraud", (MONTH,)),
        (Shared.FRAUD_RISK, "Those over the merchant's events, smoothed", (MONTH,)),
    ):
        yield from _across("merchant", "merchant", statistic, text, windows)


def _device() -> Iterator[Feature]:
    for statistic, text, windows in (
        (Shared.COUNT, "All cards' events from the device", (ONE_DAY, MONTH)),
        (Shared.CARDS, "Distinct cards on the device, about", LONG_WINDOWS),
    ):
        yield from _across("device", "device", statistic, text, windows)


def _network() -> Iterator[Feature]:
    for statistic, text, windows in (
        (Shared.COUNT, "All cards' events from the network", (ONE_HOUR, ONE_DAY)),
        (Shared.CARDS, "Distinct cards from the network, about", (ONE_DAY,)),
    ):
        yield from _across("ip_prefix", "device", statistic, text, windows)


CARD_FEATURES: tuple[Feature, ...] = (
    *_temporal(),
    *_transaction(),
    *_history(),
    *_velocity(),
    *_money(),
)

SHARED_FEATURES: tuple[Feature, ...] = (*_merchant(), *_device(), *_network())
