"""Do served features equal replayed ones, and those the documentation, under every fault?

    python benchmarks/parity.py [--events 10000000] [--world 500000]

Worlds of events go through the serving path in micro-batches of random sizes, with duplicates,
out-of-order and equal times, labels that are repeated and corrected, deaths before and after
writes, wiped stores and older checkpoints, on 1 to 8 partitions. What was served is compared with
one batch call over the world, and that, on 1 % of the cards, with brute force.
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feature_oracle import oracle
from feature_shared_oracle import SharedOracle
from feature_stream import DyingStore, Scorer, mismatches, of_rows
from feature_world import World, make_events, make_labels

from features.definition import FEATURE_SET
from features.engine import FeatureMatrix, replay
from features.store import MemoryStateStore
from features.tile_history import folded

EVENTS_PER_CARD = 150
ORACLE_SHARE = 0.01
FATES = ("before", "after", "wiped")
SEEN = (
    *("partition", "offset", "timestamp_us", "card_id"),
    *("merchant_id", "device_id", "ip_prefix", "amount_minor"),
)
"""What tiles are made from."""


def main() -> None:
    """Run all worlds and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--world", type=int, default=500_000)
    arguments = parser.parse_args()
    done, wrong, by_oracle, began = 0, 0, 0, time.monotonic()
    for seed in range(math.ceil(arguments.events / arguments.world)):
        size = min(arguments.world, arguments.events - done)
        table = make_events(a_world(size, seed), seed)
        served_wrong, compared = one_world(table, make_labels(table, seed), seed)
        wrong, by_oracle, done = wrong + served_wrong, by_oracle + compared, done + size
        seconds = time.monotonic() - began
        print(f"{done:,} events, {wrong} mismatches, {seconds:.0f} s", file=sys.stderr, flush=True)
    figures = {"events": done, "features": len(FEATURE_SET.names), "mismatches": wrong}
    figures |= {"oracle_events": by_oracle, "seconds": round(time.monotonic() - began)}
    print(json.dumps(figures))


def a_world(size: int, seed: int) -> World:
    """The fault matrix: every second world repeats, every third is out of order, and so on."""
    return World(
        size,
        max(size // EVENTS_PER_CARD, 1),
        days=(30, 120, 400)[seed % 3],
        partitions=(1, 4, 8)[seed % 3],
        duplicates=0.05 * (seed % 2),
        shifted=0.1 * (seed % 3 != 0),
        equal_times=0.3 * (seed % 4 == 1),
        missing=0.2 * (seed % 5 == 2),
    )


def one_world(table: pa.Table, labels: pa.Table, seed: int) -> tuple[int, int]:
    """Mismatches of a world, and how many of its events the oracle saw."""
    random = np.random.default_rng(seed)
    wrong = 0
    tiles, truth = folded(table, labels), replay(table, labels=labels)
    for partition in pc.unique(table["partition"]).to_pylist():
        sizes = random.integers(500, 60_000, 5).tolist()
        fates = {int(n): str(random.choice(FATES)) for n in random.integers(0, 12, 3)}
        rewinds = random.choice([0, 0, 700, 20_000], 6).tolist()
        store = DyingStore(MemoryStateStore(), fates)
        scorer = Scorer(table, store, sizes, rewinds, tiles, truth)
        scorer.run(partition)
        wrong += mismatches(scorer, partition)
    oracle_wrong, compared = against_oracle(table, labels, random, truth)
    return wrong + oracle_wrong, compared


def against_oracle(
    table: pa.Table,
    labels: pa.Table,
    random: np.random.Generator,
    truth: FeatureMatrix | None = None,
) -> tuple[int, int]:
    """Mismatches of one batch call with brute force, on a share of the cards."""
    cards = pc.unique(table["card_id"]).to_pylist()
    chosen = random.choice(cards, max(1, round(len(cards) * ORACLE_SHARE)), replace=False)
    own = pc.is_in(table["card_id"], pa.array(chosen.tolist()))
    rows = table.filter(own).to_pylist()
    served = of_rows(truth or replay(table, labels=labels), own.to_numpy())
    across = SharedOracle(table.select(SEEN).to_pylist(), labels.to_pylist())
    wrong = 0
    places: dict[str, list[int]] = {}
    for row, event in enumerate(rows):
        places.setdefault(event["card_id"], []).append(row)
    for own in places.values():
        for row, answer in zip(own, oracle([rows[i] for i in own]), strict=True):
            vector = answer.vector | across.answer(rows[row])
            given = zip(FEATURE_SET.names, served.values[row].tolist(), strict=True)
            wrong += sum(not same(vector[name], value) for name, value in given)
            flags = (bool(served.is_late[row]), bool(served.is_duplicate[row]))
            wrong += flags != (answer.is_late, answer.is_duplicate)
    return wrong, len(rows)


def same(expected: float | None, value: float) -> bool:
    """Bit-equal, missing being missing."""
    return math.isnan(value) if expected is None else float(expected) == value


if __name__ == "__main__":
    main()
