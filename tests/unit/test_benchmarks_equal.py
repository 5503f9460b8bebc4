"""The comparison of two paths' decisions finds every difference, and nothing else."""

from collections.abc import Iterator

import orjson
from equal import Comparison, compare_partition

from contracts.kafka import OffsetRange
from features.definition import FEATURE_SET

SIZE = len(FEATURE_SET.names)


def decision(offset: int, **changes: object) -> tuple[int, bytes]:
    """A decision on the record at an offset."""
    body = {"transaction_id": f"t{offset}", "tier": "model", "features": [1.0] * SIZE}
    return offset, orjson.dumps(body | changes)


def chunks(*rows: tuple[int, bytes], size: int) -> Iterator[list[tuple[int, bytes]]]:
    """So many at a time."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def compared(one: list[tuple[int, bytes]], other: list[tuple[int, bytes]]) -> Comparison:
    """Offsets 2 to 5, read at different paces."""
    found = Comparison()
    sides = chunks(*one, size=1), chunks(*other, size=3)
    compare_partition(sides, OffsetRange("transactions", 0, 2, 6), found)
    return found


ALL = [decision(offset) for offset in range(2, 6)]


def test_equal_decisions_in_another_order_and_repeated_are_equal() -> None:
    """The first record of a source counts; what comes after it is not compared."""
    other = [ALL[3], ALL[0], ALL[2], decision(4, tier="fallback"), ALL[1], ALL[0]]
    found = compared(ALL, other)
    assert (found.compared, found.differing, found.missing) == (4, 0, 0)
    assert found.tiers == {"model": 4}


def test_each_differing_field_is_counted_and_features_by_name() -> None:
    """A tier, one feature of the vector, a missing vector, and the mere order of bytes."""
    vector = [1.0] * (SIZE - 1) + [2.0]
    swapped = dict(reversed(orjson.loads(ALL[3][1]).items()))
    other = [
        decision(2, tier="fallback"),
        decision(3, features=vector),
        decision(4, features=[]),
        (5, orjson.dumps(swapped)),
    ]
    found = compared(ALL, other)
    assert (found.compared, found.differing, found.missing) == (4, 4, 0)
    assert found.fields == {
        "tier": 1,
        f"features.{FEATURE_SET.names[-1]}": 1,
        "features": 1,
        "order of bytes": 1,
    }


def test_what_one_path_has_not_decided_is_missing() -> None:
    """On either side, and on both."""
    found = compared(ALL[:3], ALL[1:3])
    assert (found.compared, found.differing, found.missing) == (2, 0, 2)
