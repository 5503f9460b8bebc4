"""A million records that are no transactions, through the real stream: every one a dead letter.

Truncated, wrong types, missing and unknown fields, bounds broken, huge, binary, empty, and valid
JSON of another schema; among them one valid transaction in a thousand, which must be decided. Real
broker and Redis, the direct consumer.

    python benchmarks/fuzz.py [--events 1000000]

Last line: {"fuzzed", "rejected", "valid", "decided", "alive", "events_per_second", "by_code"}.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import orjson
from stream_rig import (
    EARLIEST,
    Rig,
    await_true,
    end,
    finish,
    process_is_alive,
    promote,
    register_model,
    running_rig,
    say,
    sendable,
    stepped_us,
    stream,
    transaction,
)

from contracts.kafka import full_ranges, read_range
from producer.publisher import open_publisher

VALID_EVERY = 1_000
HUGE_BYTES = 100_000

Spoil = Callable[[bytes, random.Random], bytes]


def _changed(field: str, value: object) -> Spoil:
    def spoil(raw: bytes, _: random.Random) -> bytes:
        return orjson.dumps({**orjson.loads(raw), field: value})

    return spoil


def _without(field: str) -> Spoil:
    def spoil(raw: bytes, _: random.Random) -> bytes:
        return orjson.dumps({k: v for k, v in orjson.loads(raw).items() if k != field})

    return spoil


SPOILS: tuple[Spoil, ...] = (
    lambda raw, dice: raw[: dice.randrange(1, len(raw) - 1)],
    lambda raw, dice: dice.randbytes(dice.randrange(1, 300)),
    lambda raw, dice: b"\xff\xfe" + raw,
    lambda raw, dice: b"",
    lambda raw, dice: b"null",
    lambda raw, dice: b"[" + raw + b"]",
    lambda raw, dice: raw + b"\n" + raw,
    lambda raw, dice: b'{"transaction_id": "t", "is_fraud": true, "label_time": 1}',
    lambda raw, dice: b"{" * dice.randrange(1, 2_000),
    _changed("amount_minor", "12.50"),
    _changed("amount_minor", 10**19),
    _changed("event_time", "yesterday"),
    _changed("event_time", -1),
    _changed("card_id", None),
    _changed("card_id", ""),
    _changed("card_id", "4" * 70),
    _changed("latitude", 91.0),
    _changed("currency", "euro"),
    _changed("channel", "pigeon"),
    _changed("schema_version", 2),
    _changed("is_fraud", True),
    _without("transaction_id"),
    _without("merchant_id"),
)


def records(count: int) -> Iterator[tuple[str, bytes, bool]]:
    """Key, value, and whether it is a transaction after all."""
    dice = random.Random(0)
    for number in range(count):
        card, raw = transaction(number, dice, stepped_us(number))
        if number % VALID_EVERY == 0:
            yield card, raw, True
        elif number % (VALID_EVERY * 10) == 1:
            yield card, b"x" * HUGE_BYTES, False
        else:
            yield card, dice.choice(SPOILS)(raw, dice), False


def send(rig: Rig, count: int) -> int:
    """Publish all of them, and that no more will come; how many are transactions."""
    publisher = open_publisher(rig.settings.kafka, linger_ms=20)
    valid = 0
    for number, (card, value, is_valid) in enumerate(records(count)):
        valid += is_valid
        publisher.send(sendable(rig, card, value, stepped_us(number)))
    end(publisher, stepped_us(count))
    return valid


def held(rig: Rig, topic: str) -> int:
    """Records in a topic."""
    return sum(span.end - span.start for span in full_ranges(rig.settings.kafka, topic))


def codes(rig: Rig) -> Counter[str]:
    """Dead letters by error code, each source once."""
    by_source: dict[tuple[int, int], str] = {}
    for span in full_ranges(rig.settings.kafka, rig.settings.kafka.rejects_topic):
        for batch in read_range(rig.settings.kafka, span):
            for record in batch:
                body = orjson.loads(record.value or b"")
                source = body["source"]
                by_source[source["partition"], source["offset"]] = body["error_code"]
    return Counter(by_source.values())


def measure(rig: Rig, count: int) -> dict[str, object]:
    """Fill the topic, let the consumer through it, count."""
    say(f"publishing {count:,} records")
    valid = send(rig, count)
    kafka = rig.settings.kafka
    options = ("direct", "--group", kafka.topic, "--starting", EARLIEST)
    with stream(rig, *options) as pid:
        await_true(lambda: held(rig, kafka.rejects_topic) > 0, "the first dead letter", 300)
        begun, first = time.monotonic(), held(rig, kafka.rejects_topic)
        await_true(
            lambda: held(rig, kafka.rejects_topic) + held(rig, kafka.scores_topic) >= count,
            "an answer to every record",
            3_600,
        )
        seconds = time.monotonic() - begun
        alive = process_is_alive(pid)
    found = codes(rig)
    return {
        "fuzzed": count - valid,
        "rejected": found.total(),
        "valid": valid,
        "decided": held(rig, kafka.scores_topic),
        "alive": alive,
        "events_per_second": round((count - first) / max(seconds, 1e-9)),
        "by_code": dict(found.most_common()),
    }


def main() -> None:
    """Measure and print; exit 1 when a record is missing or was answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args().events
    with running_rig() as bare:
        rig = bare.fresh_topics()
        promote(rig, register_model(rig, seed=1))
        figures = measure(rig, count)
    finish(figures)
    exact = figures["rejected"] == figures["fuzzed"] and figures["decided"] == figures["valid"]
    raise SystemExit(0 if exact and figures["alive"] else 1)


if __name__ == "__main__":
    main()
