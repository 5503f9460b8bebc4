"""Brute force, from docs/features.md alone: slow, obvious, sharing no code with the kernel.

It reads events as plain dictionaries with the fields of a transaction record and compares
identifiers themselves, not hashes.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import holidays

Event = dict[str, Any]
Vector = dict[str, float | None]

HOUR, DAY = 3_600_000, 86_400_000
WINDOWS = {"10m": 600_000, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
CASH = {4829, 5947, 6010, 6011, 6012, 6051, 6540, 7800, 7801, 7802, 7995}


@dataclass
class Past:
    """A remembered event and its effective time, milliseconds."""

    time: int
    event: Event


@dataclass
class Answer:
    """What must be served for one event."""

    vector: Vector
    is_late: bool
    is_duplicate: bool


def oracle(events: Iterable[Event]) -> list[Answer]:
    """The answers for one card's events, given in offset order."""
    memory: list[Past] = []
    answers = []
    for event in events:
        own = own_time(event)
        clock = max((past.time for past in memory), default=None)
        time = own if clock is None else max(own, clock - DAY)
        newest = time if clock is None else max(clock, time)
        known = [p for p in memory if p.time // HOUR > newest // HOUR - 90 * 24]
        visible = [p for p in known if p.time <= time]
        is_duplicate = any(p.event["transaction_id"] == event["transaction_id"] for p in known)
        vector = own_features(event, own) | card_features(event, time, visible)
        answers.append(Answer(vector, time > own, is_duplicate))
        if not is_duplicate:
            position = sum(p.time <= time for p in known)
            memory = [*known[:position], Past(time, event), *known[position:]][-512:]
    return answers


def own_time(event: Event) -> int:
    """The event's own time, but at most a minute after its record's timestamp."""
    return int(min(event["event_time"] // 1000, event["timestamp_us"] // 1000 + 60_000))


def local_time(event: Event) -> datetime:
    """Local wall clock of the event; UTC where the offset is unknown."""
    local_ms = own_time(event) + (event["utc_offset_minutes"] or 0) * 60_000
    return datetime.fromtimestamp(local_ms // 1000, UTC)


def is_night(event: Event) -> bool:
    """From midnight until six, local."""
    return local_time(event).hour < 6


def is_holiday(event: Event) -> bool:
    """A public holiday of the event's country; unknown countries have none."""
    if event["country"] is None:
        return False
    day = local_time(event).date()
    try:
        return date(day.year, day.month, day.day) in holidays.country_holidays(
            event["country"], years=day.year
        )
    except NotImplementedError:
        return False


def category(event: Event) -> int:
    """The category code; 0 when unknown."""
    return int(event["merchant_category"] or 0)


def own_features(event: Event, own: int) -> Vector:
    """Features of the transaction alone."""
    amount, moment = event["amount_minor"], local_time(event)
    return {
        "transaction_hour": moment.hour,
        "transaction_weekday": moment.weekday(),
        "transaction_is_weekend": moment.weekday() >= 5,
        "transaction_is_night": is_night(event),
        "transaction_is_holiday": is_holiday(event),
        "transaction_amount": amount,
        "transaction_is_refund": amount < 0,
        "transaction_is_whole": amount % 100 == 0,
        "transaction_is_whole_tens": amount % 1000 == 0,
        "transaction_is_online": event["channel"] == "online",
        "transaction_is_contactless": event["channel"] == "contactless",
        "transaction_is_atm": event["channel"] == "atm",
        "transaction_category": category(event) or None,
        "transaction_is_cash_like": category(event) in CASH,
    }


def card_features(event: Event, time: int, visible: list[Past]) -> Vector:
    """Features of the card's visible past and this event."""
    vector: Vector = since(event, time, visible) | firsts(event, visible)
    vector |= movement(event, time, visible)
    oldest = visible[0].time if visible else time
    vector["card_days_known"] = (time // HOUR - oldest // HOUR) / 24
    for name, length in WINDOWS.items():
        inside = [p.event for p in visible if time - length < p.time]
        vector |= window_features(name, event, inside)
    return vector


def since(event: Event, time: int, visible: list[Past]) -> Vector:
    """Seconds since the last event, and since the last one at the same merchant."""
    recent = [p for p in visible if p.time > time - 30 * DAY]
    same = [p for p in recent if p.event["merchant_id"] == event["merchant_id"]]
    return {
        "card_seconds_since_last": (time - recent[-1].time) / 1000 if recent else None,
        "card_seconds_since_same_merchant": (time - same[-1].time) / 1000 if same else None,
    }


def firsts(event: Event, visible: list[Past]) -> Vector:
    """What the card has not seen in its memory; missing fields are neither new nor known."""

    def is_first(key: Callable[[Event], Any]) -> float | None:
        return None if not key(event) else all(key(p.event) != key(event) for p in visible)

    return {
        "card_is_first_merchant": is_first(lambda e: e["merchant_id"]),
        "card_is_first_device": is_first(lambda e: e["device_id"]),
        "card_is_first_country": is_first(lambda e: e["country"]),
        "card_is_first_category": is_first(category),
    }


def place(event: Event) -> tuple[int, int] | None:
    """Latitude and longitude in 1/10,000 degree; None unless both are known."""
    if event["latitude"] is None or event["longitude"] is None:
        return None
    return round(event["latitude"] * 10_000), round(event["longitude"] * 10_000)


def movement(event: Event, time: int, visible: list[Past]) -> Vector:
    """Distance and speed from the last known place in seven days; change of country."""
    here, distance, speed, changed = place(event), None, None, None
    recent = [p for p in visible if p.time > time - 7 * DAY]
    places = [(there, p.time) for p in recent if (there := place(p.event))]
    if here and places:
        there, last_time = places[-1]
        distance = haversine_km(there, here)
        speed = distance * 3_600_000 / max(time - last_time, 60_000)
    countries = [p.event["country"] for p in visible if p.event["country"]]
    if event["country"] and countries:
        changed = countries[-1] != event["country"]
    return {
        "card_distance_km": distance,
        "card_speed_kmh": speed,
        "card_has_country_changed": changed,
    }


def haversine_km(one: tuple[int, int], two: tuple[int, int]) -> float:
    """Great-circle distance on a sphere of 6,371 km."""
    unit = math.pi / 1_800_000
    half_lat = math.sin((two[0] - one[0]) * unit / 2)
    half_lon = math.sin((two[1] - one[1]) * unit / 2)
    cosines = math.cos(one[0] * unit) * math.cos(two[0] * unit)
    chord = half_lat * half_lat + cosines * half_lon * half_lon
    return 2 * 6371 * math.asin(math.sqrt(min(chord, 1.0)))


def amount(event: Event) -> int:
    """An amount as statistics see it."""
    return max(-50_000_000, min(50_000_000, int(event["amount_minor"])))


def deviation(amounts: list[int], centre: int) -> float:
    """Population standard deviation, summed about `centre`."""
    count = len(amounts)
    mean = float(sum(a - centre for a in amounts)) / count
    squares = float(sum((a - centre) ** 2 for a in amounts))
    return math.sqrt(max(squares / count - mean * mean, 0.0))


def window_features(name: str, event: Event, before: list[Event]) -> Vector:
    """All statistics of one window; `before` are the earlier events in it."""
    inside = [*before, event]
    amounts, night = [amount(e) for e in inside], sum(is_night(e) for e in inside)

    def distinct(field: str) -> int:
        return len({e[field] for e in inside if e[field] is not None})

    def count(test: Callable[[Event], bool]) -> int:
        return sum(test(e) for e in inside)

    vector: Vector = {
        "count": len(inside),
        "sum": sum(amounts),
        "mean": sum(amounts) / len(inside),
        "max": max(amounts),
        "std": deviation(amounts, amount(event)),
        "merchants": distinct("merchant_id"),
        "devices": distinct("device_id"),
        "countries": distinct("country"),
        "night_share": night / len(inside),
        "count_online": count(lambda e: e["channel"] == "online"),
        "count_cash": count(lambda e: category(e) in CASH),
        "count_small": count(lambda e: amount(e) < 500),
        "count_same_merchant": count(lambda e: e["merchant_id"] == event["merchant_id"]),
    }
    vector |= against_past(event, before)
    return {f"card_{statistic}_{name}": value for statistic, value in vector.items()}


def against_past(event: Event, before: list[Event]) -> Vector:
    """The event's amount and hour against the earlier events of a window."""
    own, prior = amount(event), [amount(e) for e in before]
    positive = [a for a in prior if a > 0]
    vector: Vector = dict.fromkeys(("ratio_to_mean", "z_score", "rank", "night_surprise"))
    vector["ratio_to_min"] = own / min(positive) if positive else None
    if not prior:
        return vector
    if sum(prior) > 0:
        vector["ratio_to_mean"] = own * len(prior) / sum(prior)
    spread = deviation(prior, own)
    if spread > 0:
        vector["z_score"] = -(sum(a - own for a in prior) / len(prior)) / spread
    vector["rank"] = sum(a < own for a in prior) / len(prior)
    share = sum(is_night(e) for e in before) / len(before)
    vector["night_surprise"] = 1 - share if is_night(event) else 0
    return vector
