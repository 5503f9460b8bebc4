"""A week of the adaptive thief against a frozen champion that decides live, from Kafka to Kafka.

Real broker, Redis and MLflow on this machine: a backfilled world, a champion trained on its labels,
`fraud stream direct`, `fraud produce normal` and `fraud produce hacker`, a world day in 15 s.

    python benchmarks/hacker.py

Last line: {"hacker_recall_first_day", "hacker_recall_last_two_days", "hacker_recall_by_day",
"campaigns_recall_by_day", "learned", …}. Recall is the share of fraud transactions that were
declined; the campaigns are the world's own, which do not learn, in the same days.
"""

import argparse
import os
import random
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import xgboost
import yaml
from stream_rig import BIN, Rig, await_true, finish, promote, running_rig, say, stream

from contracts.kafka import full_ranges, read_range
from contracts.settings import Settings, load_settings
from features.definition import FEATURE_SET
from features.engine import replay
from inference.decisions import FirstDecisions, read_decisions
from models.bundle import save_bundle
from models.calibration import Calibrator
from models.policy import Policy
from models.predictors import XgboostPredictor
from models.registry import register_bundle
from models.tracking import experiment_id, tracking_client
from producer.hacker_report import HackerDay
from producer.hardness_sample import world_sample
from producer.pace import AtOnce
from producer.publisher import open_publisher
from producer.run import Run, Status, world_of
from producer.spec import DAY_US
from producer.world import World
from stack.layout import HOST

HISTORY_DAYS, WEEK_DAYS = 75, 7
SPEED = 5_760.0
CARDS_PER_DAY = 40
ALERT_SHARE = 0.01
NO_REVIEWS = 1e12
SETTLE_SECONDS = 12.0


class Quiet:
    """A run's view for a log: a line now and then."""

    def __init__(self) -> None:
        self._next = 0.0

    def update(self, status: Status) -> None:
        """See `producer.run.View`."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 3
            say(f"{status.transactions:,} published, world day {status.done_days:.0f}")


def configured(rig: Rig) -> Rig:
    """The rig with this benchmark's history."""
    path = rig.home / "config" / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["world"] |= {"backfill_days": HISTORY_DAYS, "speed": SPEED}
    path.write_text(yaml.safe_dump(tree))
    return Rig(rig.home, load_settings(rig.home, environ={}))


def backfill(settings: Settings) -> World:
    """The world's past onto the topics."""
    spec = world_of(settings.kafka, settings.world, time.time_ns() // 1000)
    run = Run(settings.kafka, spec, open_publisher(settings.kafka), Quiet(), threading.Event())
    run.publish(AtOnce(), total_days=HISTORY_DAYS)
    return run.world


def register_champion(rig: Rig, world: World) -> None:
    """Trained on labels of the first two thirds; declines one transaction in a hundred later."""
    settings = rig.settings
    sample = world_sample("history", world, HISTORY_DAYS, settings.kafka)
    say(f"training on {int(sample.train.sum()):,} transactions")
    values = replay(sample.events, labels=sample.labels).values
    booster = xgboost.train(
        {"max_depth": 5, "objective": "binary:logistic", "eta": 0.1, "nthread": 1, "seed": 7},
        xgboost.DMatrix(values[sample.train], sample.label[sample.train]),
        num_boost_round=150,
    )
    predictor, calibrator = XgboostPredictor(booster, None), Calibrator("platt", (1.0,), (0.0,))
    later = calibrator.probability(predictor.margin(values[~sample.train]))
    threshold = float(np.quantile(later, 1.0 - ALERT_SHARE))
    costs = settings.policy.model_copy(update={"fraud_threshold": threshold})
    folder = rig.home / "bundle"
    folder.mkdir()
    save_bundle(
        folder,
        predictor=predictor,
        calibrator=calibrator,
        policy=Policy(costs, NO_REVIEWS),
        details=_details(settings),
        golden_values=values[:64],
    )
    client = tracking_client(settings.mlflow)
    run = client.create_run(experiment_id(client, settings.mlflow.experiment))
    promote(rig, register_bundle(settings, client, run.info.run_id, folder, {}))


def _details(settings: Settings) -> dict[str, Any]:
    """What a bundle says of itself; the stream begins where the backfill ended."""
    ends = {str(s.partition): s.end for s in full_ranges(settings.kafka, settings.kafka.topic)}
    names = list(FEATURE_SET.names)
    return {
        "arm": {"name": "frozen"},
        "feature_hash": FEATURE_SET.hash,
        "feature_names": names,
        "snapshot_ranges": ends,
        "training": {"manifest_uri": "none"},
        "reasons": {name: name.upper() for name in names},
        "metrics": {"average_precision": 0.0},
    }


@contextmanager
def command(rig: Rig, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `fraud …` command on the rig, told to stop at the end of the block."""
    log = rig.home / "logs" / f"{'-'.join(words[:2])}.log"
    environment = {**os.environ, "FRAUD_HOME": str(rig.home)}
    with log.open("ab") as out:
        child = subprocess.Popen(
            (str(BIN / "fraud"), *words), stdout=out, stderr=out, env=environment
        )
        try:
            yield child
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(60)


def week(rig: Rig) -> dict[str, Any]:
    """The thief among the customers for seven world days; its own report."""
    lapse, live = ("--speed", f"{SPEED:g}x"), rig.home / "logs" / "stream.log"
    thief = ("--days", str(WEEK_DAYS), "--cards-per-day", str(CARDS_PER_DAY))
    reports = rig.home / ".fraud" / "reports"
    with stream(rig, "direct", "--group", f"frozen-{random.randrange(16**6):06x}"):
        await_true(lambda: "decides" in live.read_text(), "the direct consumer's start", 120)
        with command(rig, "produce", "normal", "--time-lapse", *lapse):
            with command(rig, "produce", "hacker", *thief, *lapse):
                _wait_out(WEEK_DAYS * DAY_US / 1e6 / SPEED + SETTLE_SECONDS)
            await_true(lambda: any(reports.glob("hacker-*.json")), "the thief's report", 30)
    return dict(orjson.loads(next(reports.glob("hacker-*.json")).read_bytes()))


def _wait_out(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        say(f"the thief is at work for {left:.0f} s more")
        time.sleep(min(10.0, left))


def recall_by_day(settings: Settings, from_us: int) -> tuple[dict[str, list[float]], float]:
    """Share declined by day of the thief's frauds and of the world's own; the model's share."""
    stopped, by_model = {}, []
    for decision, _ in read_decisions(settings.kafka, FirstDecisions()):
        stopped[decision["transaction_id"]] = decision["decision"] != "approve"
        by_model.append(decision["tier"] == "model")
    seen: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for span in full_ranges(settings.kafka, settings.kafka.truth_topic):
        for batch in read_range(settings.kafka, span):
            for truth in (orjson.loads(raw.value or b"{}") for raw in batch):
                day = (truth["event_time"] - from_us) // DAY_US
                if truth["transaction_id"] in stopped and 0 <= day < WEEK_DAYS:
                    who = "hacker" if truth["campaign"] == "hacker" else "campaigns"
                    seen[who][day].append(stopped[truth["transaction_id"]])
    shares = {
        who: [float(np.mean(days[day])) for day in sorted(days)] for who, days in seen.items()
    }
    return shares, float(np.mean(by_model))


def figures(settings: Settings, report: dict[str, Any], from_us: int) -> dict[str, object]:
    """The benchmark's answer."""
    days = [HackerDay(**day) for day in report["days"]][:WEEK_DAYS]
    shares, by_model = recall_by_day(settings, from_us)
    last = days[-2:]
    caught_late = sum(day.caught_share * day.attempts for day in last)
    return {
        "hacker_recall_first_day": days[0].caught_share,
        "hacker_recall_last_two_days": caught_late / sum(day.attempts for day in last),
        "hacker_recall_by_day": [day.caught_share for day in days],
        "campaigns_recall_by_day": shares.get("campaigns", []),
        "decided_by_model_share": by_model,
        "attempts": sum(day.attempts for day in days),
        "won_minor": sum(day.gained_minor for day in days),
        "spent_minor": sum(day.spent_minor for day in days),
        "learned": {
            f"{found['dimension']} {found['option']}": {
                name: found[name] for name in ("approval", "share_at_first", "share_at_last")
            }
            for found in report["learned"]
        },
    }


def main() -> None:
    """Build the world and the champion, let the thief loose, print one JSON object."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with running_rig() as plain_rig:
        rig = configured(plain_rig).fresh_topics()
        say(f"publishing {HISTORY_DAYS} days of the world to {HOST}")
        world = backfill(rig.settings)
        register_champion(rig, world)
        say("a week of the thief begins")
        report = week(rig)
        path = next((rig.home / ".fraud" / "reports").glob("hacker-*.json"))
        from_us = int(path.stem.removeprefix("hacker-")) * 1_000_000
        finish(figures(rig.settings, report, from_us))


if __name__ == "__main__":
    main()
