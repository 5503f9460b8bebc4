"""An adaptive thief against a frozen champion for a week, without Kafka: features by replay."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xgboost import XGBClassifier

from contracts.columns import parse_transactions
from contracts.settings import KafkaSettings
from features.engine import replay
from producer.hacker import Attempt, Hacker
from producer.hacker_report import HackerReport, report_on
from producer.hacker_tactics import Learner, Tactic
from producer.hardness_sample import Sample, in_one_partition
from producer.records import Writer
from producer.spec import DAY_US, HOUR_US
from producer.world import World

ALERT_SHARE = 0.01
WEEK_DAYS = 7
STEP_US = 2 * HOUR_US
SHARED_MEMORY_US = 32 * DAY_US
"""Windows across cards are of at most 30 whole days."""


@dataclass(frozen=True, slots=True)
class Champion:
    """A model and the score above which it declines; neither ever changes."""

    model: XGBClassifier
    threshold: float

    def declines(self, features: np.ndarray) -> np.ndarray:
        """Which rows are declined."""
        declined: np.ndarray = self.model.predict_proba(features)[:, 1] >= self.threshold
        return declined


def frozen_champion(sample: Sample, features: np.ndarray) -> Champion:
    """Trained on the first two thirds of a world; declines one transaction in a hundred."""
    train = sample.train
    model = XGBClassifier(
        n_estimators=150, max_depth=5, learning_rate=0.1, base_score=0.5, max_bin=512, n_jobs=1
    )
    model.fit(features[train], sample.truth[train])
    scores = model.predict_proba(features[~train])[:, 1]
    return Champion(model, float(np.quantile(scores, 1.0 - ALERT_SHARE)))


@dataclass(slots=True)
class Arena:
    """The world's own transactions and the thief's, as the champion sees them.

    Features across cards look back a month, so all of the last `SHARED_MEMORY_US` are replayed;
    before that only the cards that the thief used. Labels are the world's; the thief's own frauds
    get none within the week.
    """

    world: World
    kafka: KafkaSettings
    sample: Sample
    champion: Champion
    _attempted: list[bytes] = field(default_factory=list)

    def judge(self, attempts: list[Attempt]) -> list[bool]:
        """For each attempt, whether it is approved, given everything before it."""
        fresh = [self._value(attempt) for attempt in attempts]
        self._attempted += fresh
        thief = in_one_partition(parse_transactions(self._attempted).table)
        cards = pc.unique(thief["card_id"])
        until_us = pc.max(thief["event_time"]).as_py()
        events = self.sample.events
        times = events["event_time"].to_numpy()
        is_seen = pc.is_in(events["card_id"], cards).to_numpy() | (
            times > until_us - SHARED_MEMORY_US
        )
        honest = events.filter(pa.array(is_seen & (times <= until_us)))
        together = pa.concat_tables([honest, thief])
        is_new = np.arange(len(together)) >= len(together) - len(fresh)
        order = np.argsort(together["event_time"].to_numpy(), kind="stable")
        ordered = in_one_partition(together.select(range(3, together.num_columns)).take(order))
        declined = np.empty(len(together), dtype=np.bool_)
        values = replay(ordered, labels=self.sample.labels).values
        declined[order] = self.champion.declines(values)
        return [not verdict for verdict in declined[is_new]]

    def _value(self, attempt: Attempt) -> bytes:
        purchase = attempt.purchase
        day = (int(purchase.event_us[0]) - self.world.spec.start_us) // DAY_US
        generation = self.world.generations(purchase, day)
        cards = self.world.card_ids(purchase.account, generation)
        ids = [f"raid-{attempt.number}"]
        writer = Writer(self.world, self.kafka)
        return next(writer.render(purchase, cards, ids, [(day, 0)])).value


class Stubborn(Learner):
    """A thief who never learns: the tactic is drawn as on the first day for ever."""

    def learn(self, tactic: Tactic, is_approved: bool) -> None:
        """Forget the answer."""


def raid(
    arena: Arena, first_day: int, cards_per_day: float, learner: Learner | None = None
) -> HackerReport:
    """A simulated week; what the thief met and learned."""
    begin_us = arena.world.spec.start_us + first_day * DAY_US
    until_us = begin_us + WEEK_DAYS * DAY_US
    thief = Hacker(arena.world.scene, cards_per_day, begin_us, until_us, learner or Learner())
    for now_us in range(begin_us, thief.until_us + 1, STEP_US):
        attempts = thief.act(now_us)
        if not attempts:
            continue
        for attempt, is_approved in zip(attempts, arena.judge(attempts), strict=True):
            thief.hear(attempt.number, is_approved)
    return report_on(thief)


def recall(report: HackerReport) -> float:
    """The share of all attempts of a raid that were declined."""
    attempts = sum(day.attempts for day in report.days)
    return sum(day.caught_share * day.attempts for day in report.days) / attempts
