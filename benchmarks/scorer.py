"""Where the scorer's time goes: CPU microseconds per event by stage, one thread, no servers.

A 200-tree model of depth 6 over the whole feature set, states in memory, batches of a busy and of a
quiet moment. What Kafka, Redis and Spark add is in benchmarks/stream.py.

    python benchmarks/scorer.py

Last line: {"1000": {"parse": …, "whole": …}, "20": {…}, "events_per_second_per_core": …,
"tree_shap_ratio": …}, the latter being XGBoost's time for exact contributions over ours.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost
from stream_rig import CHECKOUT, finish, made_up_model, say, stepped_us, transaction

from contracts.columns import parse_transactions, with_source
from contracts.settings import Settings, load_settings
from contracts.transaction_rows import AMOUNT_MINOR, EventRows
from features.definition import FEATURE_SET
from features.history import NoHistory
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_history import folded
from features.tile_reader import TileReader
from inference.decision_json import DecisionColumns, encode_decisions
from inference.reasons import ReasonMap, exact_where, top_reasons
from inference.records import SourceBatch
from inference.row_views import Names
from inference.scorer import Scorer, Topics
from models.bundle import Bundle
from models.policy_kernel import APPROVE

BATCHES = {"1000": 20, "20": 200}
"""Batch size to how many are measured, after as many that warm the states."""

REASON_MAP = ReasonMap.of(FEATURE_SET)


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's CPU time to a stage."""
        begun = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begun

    def per_event(self, events: int) -> dict[str, float]:
        """Microseconds by stage."""
        return {name: round(s / events * 1e6, 2) for name, s in self.seconds.items()}


def batches(size: int, count: int) -> Iterator[SourceBatch]:
    """Consecutive batches of one partition."""
    dice = random.Random(size)
    for first in range(0, size * count, size):
        numbers = np.arange(first, first + size)
        records = [transaction(number, dice, stepped_us(number)) for number in numbers.tolist()]
        yield SourceBatch(
            np.zeros(size, np.int32),
            numbers,
            stepped_us(numbers),
            [card.encode() for card, _ in records],
            [value for _, value in records],
            [b"1"] * size,
        )


def empty_server(supply: list[SourceBatch]) -> FeatureServer:
    """Features over states in memory, ready at offset 0, with the tiles of all that will come."""
    tiles = TileReader(folded(pa.concat_tables(map(events_of, supply))))
    server = FeatureServer(MemoryStateStore(), "transactions", history=NoHistory(), tiles=tiles)
    server.ensure(0, 0)
    return server


def events_of(batch: SourceBatch) -> pa.Table:
    """A batch's transactions in EVENT_SCHEMA."""
    parsed = parse_transactions(batch.values)
    partitions = np.zeros(len(batch), dtype=np.int32)
    return with_source(parsed.table, partitions, batch.offsets, batch.timestamps_us)


def whole(settings: Settings, model: Bundle, size: int, count: int) -> float:
    """Microseconds per event through `Scorer.score`."""
    supply, stages = list(batches(size, 2 * count)), Stages()
    scorer = Scorer(Topics.of(settings.kafka), empty_server(supply), settings.fallback)
    for number, batch in enumerate(supply):
        with stages.stage("measured" if number >= count else "warm-up"):
            scorer.score(batch, committed={0: int(batch.offsets[0])}, model=model)
    return stages.per_event(size * count)["measured"]


def by_stage(model: Bundle, size: int, count: int) -> dict[str, float]:
    """Microseconds per event of each stage, called as the scorer calls them."""
    supply = list(batches(size, 2 * count))
    server, warm, stages = empty_server(supply), Stages(), Stages()
    for number, batch in enumerate(supply):
        _one(server, model, batch, stages if number >= count else warm)
    return stages.per_event(size * count)


def _one(server: FeatureServer, model: Bundle, batch: SourceBatch, stages: Stages) -> None:
    with stages.stage("parse"):
        events = EventRows(
            parse_transactions(batch.values).rows,
            batch.partitions,
            batch.offsets,
            batch.timestamps_us,
        )
    first = int(batch.offsets[0])
    with stages.stage("features"):
        matrix = server.serve(events, committed={0: first})
        server.mark({0: (first, first + len(batch))})
    with stages.stage("model and contributions"):
        score, shares = model.explained(matrix.values)
    with stages.stage("policy"):
        amounts = events.rows.numbers[:, AMOUNT_MINOR]
        decided = model.decide(score, amounts, Names(events.rows))
    with stages.stage("reasons"):
        reasons = top_reasons(matrix.values, shares, REASON_MAP, "path")
    with stages.stage("exact reasons"):
        seen = np.flatnonzero((decided.decision != APPROVE) | decided.control)
        exact = model.exact_contributions
        reasons = exact_where(seen, matrix.values, reasons, exact, REASON_MAP)
    columns = DecisionColumns(
        score=score, decision=decided.decision, reasons=reasons,
        expected_loss_minor=decided.expected_loss_minor, control=decided.control,
        propensity=decided.propensity, is_late=matrix.is_late, is_duplicate=matrix.is_duplicate,
        values=matrix.values, model_version="1", policy_version="1", feature_set="x", tier="model",
    )  # fmt: skip
    with stages.stage("encode"):
        encode_decisions("transactions", events, columns)


def tree_shap_ratio(folder: Path, model: Bundle, rows: int = 20, rounds: int = 20) -> float:
    """XGBoost's time for exact contributions of a few rows over ours, the best of some rounds."""
    booster = xgboost.Booster(params={"nthread": 1}, model_file=str(folder / "model.ubj"))
    values = np.random.default_rng(0).normal(size=(rows, len(FEATURE_SET.features)))

    def theirs(values: np.ndarray) -> np.ndarray:
        return booster.predict(xgboost.DMatrix(values, nthread=1), pred_contribs=True)

    seconds = [
        min(timeit.repeat(lambda own=own: own(values), number=1, repeat=rounds))
        for own in (theirs, model.exact_contributions)
    ]
    return round(seconds[0] / seconds[1], 1)


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    settings = load_settings(CHECKOUT, environ={})
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = made_up_model(Path(folder), settings, seed=1)
        for size, count in BATCHES.items():
            say(f"batches of {size}")
            found = by_stage(model, int(size), count)
            found["whole"] = whole(settings, model, int(size), count)
            figures[size] = found
            say(str(found))
            per_second = round(1e6 / found["whole"])
            figures.setdefault("events_per_second_per_core", per_second)
        figures["tree_shap_ratio"] = tree_shap_ratio(Path(folder), model)
    finish(figures)


if __name__ == "__main__":
    main()
