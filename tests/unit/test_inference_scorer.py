"""The scorer: every record answered once, by the model or by the rules."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import orjson
import pyarrow as pa
import pytest
from inference_fakes import SIZE, FakeModel, source, transaction
from scorer_rig import RULES, TOPICS, decisions, feature_server, scorer

from contracts.errors import StateError, StoreError
from contracts.messages import Rejected, ShadowScore, Tier
from features.definition import FEATURE_SET
from features.engine import FeatureMatrix, replay
from features.store import MemoryStateStore
from inference.records import SourceBatch
from inference.scorer import Scorer
from inference.shadow import ShadowBudget


class DeadStore:
    """A feature server whose store is gone."""

    def ensure(self, partition: int, start_offset: int) -> None:
        """Fails."""
        raise StoreError("Redis failed")

    def serve_ahead(
        self, events: pa.Table, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Callable[[], None]]:
        """Never reached."""
        raise StoreError("Redis failed")

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """Never reached."""


def test_every_transaction_gets_one_decision_in_offset_order() -> None:
    """n valid records give n decisions that name their source, in order."""
    batch = source([transaction(i) for i in range(20)], partition=3)
    found = decisions(scorer().score(batch, committed={3: 0}, model=FakeModel()))
    assert [d.source.offset for d in found] == list(range(20))
    assert {(d.source.topic, d.source.partition) for d in found} == {("transactions", 3)}
    assert {d.model_version for d in found} == {"7"}
    assert {d.feature_set for d in found} == {FEATURE_SET.hash}


def test_features_in_the_decision_equal_a_replay() -> None:
    """The vector in the record has the bits of a replay of the same events."""
    batch = source([transaction(i) for i in range(30)])
    events = pa.Table.from_pylist(
        [
            {"partition": 0, "offset": i, "timestamp_us": int(batch.timestamps_us[i])}
            | transaction(i)
            for i in range(30)
        ]
    )
    answers = scorer(history=events).score(batch, committed={0: 0}, model=FakeModel())
    found = decisions(answers)
    expected = replay(events.select(events.column_names)).values
    served = np.array([[np.nan if v is None else v for v in d.features] for d in found])
    assert served.shape == (30, SIZE)
    assert np.array_equal(served, expected, equal_nan=True)


def test_unreadable_records_become_dead_letters_with_their_bytes() -> None:
    """A bad record is rejected with coordinates, and its neighbours are decided."""
    batch = source([transaction(0), b"{broken", None, transaction(3)], first=5)
    answers = scorer().score(batch, committed={0: 5}, model=FakeModel())
    rejected = [Rejected.model_validate_json(v) for t, _, v, _ in answers.rows() if t == "dlq"]
    assert [(r.source.offset, r.error_code) for r in rejected] == [(6, "not_json"), (7, "empty")]
    assert rejected[0].raw == "e2Jyb2tlbg=="
    assert [d.source.offset for d in decisions(answers)] == [5, 8]
    assert answers.tally["rejected"] == 2


def test_reviews_and_declines_are_copied_to_the_alerts_topic() -> None:
    """Approvals are not alerts; reviews and declines are, byte for byte."""
    amounts = (100, 6000, 9500)
    batch = source([transaction(i, amount_minor=a) for i, a in enumerate(amounts)])
    answers = scorer().score(batch, committed={0: 0}, model=FakeModel())
    scored = [v for t, _, v, _ in answers.rows() if t == "scores"]
    alerted = [v for t, _, v, _ in answers.rows() if t == "alerts"]
    assert [d.decision.value for d in decisions(answers)] == ["approve", "review", "decline"]
    assert alerted == scored[1:]


def test_key_and_send_time_are_copied_to_the_answer() -> None:
    """An answer carries its transaction's key and `sent_us` header."""
    batch = source([transaction(0), b"?"])
    answers = scorer().score(batch, committed={0: 0}, model=FakeModel())
    assert [(k, s) for _, k, _, s in answers.rows()] == [
        (batch.keys[0], batch.sent[0]),
        (batch.keys[1], batch.sent[1]),
    ]


def test_without_a_model_the_rules_decide_and_say_so() -> None:
    """The fallback tier has no score, names the rules' version, and state still moves on."""
    server = feature_server(MemoryStateStore())
    values = [transaction(0, amount_minor=600_000), transaction(1, amount_minor=1)]
    judge = scorer(server)
    found = decisions(judge.score(source(values), committed={0: 0}, model=None))
    assert [(d.tier.value, d.decision.value, d.score) for d in found] == [
        ("fallback", "decline", None),
        ("fallback", "approve", None),
    ]
    assert {d.model_version for d in found} == {"rules-1"}
    assert [r.code for r in found[0].reasons] == ["large_amount"]
    later = judge.score(source([transaction(3)], first=2), committed={0: 2}, model=FakeModel())
    count = FEATURE_SET.names.index("card_count_24h")
    assert decisions(later)[0].features[count] == 2.0


def test_rules_beside_the_model_raise_its_decision_and_never_lower_it() -> None:
    """The tier stays the model's; what a rule raised has the rule's reasons and no control."""
    values = [
        transaction(0, country="KP"),
        transaction(1, country="KP", amount_minor=600_000),
        transaction(2, channel="atm"),
        transaction(3),
    ]
    alone = [transaction(n, country="DE", channel=None) for n in range(4)]
    alone[1]["amount_minor"] = 600_000
    plain = decisions(scorer().score(source(alone), committed={0: 0}, model=FakeModel()))
    found = decisions(scorer().score(source(values), committed={0: 0}, model=FakeModel()))
    severity = {"approve": 0, "review": 1, "decline": 2}
    pairs = [
        (severity[a.decision.value], severity[b.decision.value])
        for a, b in zip(plain, found, strict=True)
    ]
    assert all(before <= after for before, after in pairs)
    assert [d.decision.value for d in found[::2]] == ["review", "decline"]
    assert {d.tier.value for d in found} == {"model"}
    assert [[r.code for r in d.reasons] for d in found[::2]] == [
        ["listed_country"],
        ["closed_channel"],
    ]
    assert (found[2].control, found[2].propensity) == (False, 0.0)


def test_without_a_store_the_event_alone_decides() -> None:
    """A dead store gives decisions by the rules without features, and nothing is lost."""
    values = [transaction(i) for i in range(5)]
    answers = scorer(DeadStore()).score(source(values), committed={0: 0}, model=FakeModel())
    found = decisions(answers)
    assert [d.tier.value for d in found] == ["fallback"] * 5
    assert {d.features for d in found} == {()}
    assert answers.tally["store_failures"] == 1


class Unwritten:
    """A feature server whose states reach the store only when `failures` are used up."""

    def __init__(self, *failures: Exception) -> None:
        self._inner = feature_server(MemoryStateStore())
        self._failures = list(failures)
        self.calls: list[str] = []

    def ensure(self, partition: int, start_offset: int) -> None:
        """As the server does."""
        self.calls.append("ensure")
        self._inner.ensure(partition, start_offset)

    def serve_ahead(
        self, events: pa.Table, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Callable[[], None]]:
        """Features at once; that they are written is known later."""
        features, settle = self._inner.serve_ahead(events, committed=committed)

        def settle_or_fail() -> None:
            self.calls.append("settle")
            if self._failures:
                raise self._failures.pop(0)
            settle()

        self.calls.append("serve")
        return features, settle_or_fail

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """As the server does."""
        self._inner.mark(places)


def test_a_state_that_turns_out_refused_is_looked_at_and_decided_again() -> None:
    """Nothing of the first try is answered or counted: each record has one answer."""
    batch = source([transaction(i) for i in range(6)])
    server = Unwritten(StateError("others wrote meanwhile"))
    answers = scorer(server).score(batch, committed={0: 0}, model=FakeModel())
    assert server.calls == ["ensure", "serve", "settle", "ensure", "serve", "settle"]
    assert answers.values == scorer().score(batch, committed={0: 0}, model=FakeModel()).values
    assert answers.tally["tier:model"] == 6


def test_a_state_that_was_not_written_makes_no_answer_of_the_model() -> None:
    """What was scored while the write was under way is thrown away: the rules decide."""
    batch = source([transaction(i) for i in range(6)])
    judge = scorer(Unwritten(StoreError("Redis failed")))
    answers = judge.score(batch, committed={0: 0}, model=FakeModel())
    assert {d.tier for d in decisions(answers)} == {Tier.FALLBACK}
    assert (answers.tally["tier:fallback"], answers.tally["tier:model"]) == (6, 0)
    again = judge.score(batch, committed={0: 0}, model=FakeModel())
    assert again.values == scorer().score(batch, committed={0: 0}, model=FakeModel()).values


def test_a_replayed_batch_gives_the_same_bytes() -> None:
    """Scoring the same offsets again, by another process on the same store, repeats the bytes."""
    store = MemoryStateStore()
    batch = source([transaction(i) for i in range(12)])
    first, second = (
        scorer(feature_server(store)).score(batch, committed={0: 0}, model=FakeModel())
        for _ in range(2)
    )
    assert first.values == second.values


def test_any_split_of_a_range_gives_the_same_bytes() -> None:
    """Batch boundaries do not show in decisions."""
    values = [transaction(i) for i in range(12)]
    whole = scorer().score(source(values), committed={0: 0}, model=FakeModel())
    parts = scorer()
    split = [
        value
        for start, end in ((0, 1), (1, 7), (7, 12))
        for value in decisions(
            parts.score(
                source(values[start:end], first=start), committed={0: start}, model=FakeModel()
            )
        )
    ]
    assert split == decisions(whole)


def test_duplicates_and_late_events_are_decided_and_flagged() -> None:
    """The same transaction twice: both decided, the second flagged; a stale event is late."""
    stale = transaction(3, event_time=transaction(3)["event_time"] - 3 * 86_400_000_000)
    values = [transaction(0), transaction(0), transaction(3), stale | {"transaction_id": "old"}]
    found = decisions(scorer().score(source(values), committed={0: 0}, model=FakeModel()))
    assert [d.is_duplicate for d in found] == [False, True, False, False]
    assert [d.is_late for d in found] == [False, False, False, True]


def test_reasons_name_the_strongest_features_first() -> None:
    """Reasons are ordered by contribution and carry the value behind them."""
    answers = scorer().score(source([transaction(0)]), committed={0: 0}, model=FakeModel())
    reasons = decisions(answers)[0].reasons
    assert [(r.code, r.feature, r.contribution) for r in reasons] == [
        ("amount", "transaction_amount", 2.0),
        ("time_of_day", "transaction_hour", 1.0),
    ]
    assert reasons[0].value == 1000.0


def shadowing(share: float, seconds_a_look: float) -> Scorer:
    """A scorer whose clock moves on by so much whenever it is read."""
    looks = itertools.count()
    budget = ShadowBudget(share, clock=lambda: next(looks) * seconds_a_look)
    server = feature_server(MemoryStateStore())
    return Scorer(TOPICS, server, RULES, shadow=budget)


def test_a_challenger_writes_to_its_own_topic_and_changes_no_decision() -> None:
    """Its scores name both versions; the decisions are byte for byte those without it."""
    values = [transaction(0), transaction(1, amount_minor=9_500), b"?"]
    alone = scorer().score(source(values), committed={0: 0}, model=FakeModel("7"))
    both = shadowing(1.0, 0.001).score(
        source(values), committed={0: 0}, model=FakeModel("7"), challenger=FakeModel("8")
    )
    shadow = [ShadowScore.model_validate_json(v) for t, _, v, _ in both.rows() if t == "shadow"]
    assert [(s.model_version, s.champion_version, s.source.offset) for s in shadow] == [
        ("8", "7", 0),
        ("8", "7", 1),
    ]
    assert [s.decision.value for s in shadow] == ["approve", "decline"]
    assert [row for row in both.rows() if row[0] != "shadow"] == list(alone.rows())


def test_the_shadow_keeps_to_its_share_of_the_time() -> None:
    """With a share of a fifth it scores some batches and leaves others out; with none, none."""
    for share, scored in ((0.2, range(2, 9)), (0.0, range(1))):
        judge = shadowing(share, 1.0)
        tallies = [
            judge.score(
                source([transaction(n)], first=n),
                committed={0: n},
                model=FakeModel("7"),
                challenger=FakeModel("8"),
            ).tally
            for n in range(10)
        ]
        assert sum(tally["shadow_scored"] for tally in tallies) in scored
        assert sum(tally["shadow_scored"] + tally["shadow_skipped"] for tally in tallies) == 10


def test_without_features_there_is_no_shadow() -> None:
    """The fallback tier has nothing that a challenger could score."""
    answers = shadowing(1.0, 0.001).score(
        source([transaction(0)]), committed={0: 0}, model=None, challenger=FakeModel("8")
    )
    assert "shadow" not in answers.topics


def test_an_empty_batch_has_no_answers() -> None:
    """Nothing in, nothing out."""
    empty = SourceBatch(
        np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), [], [], []
    )
    assert len(scorer().score(empty, committed={0: 0}, model=FakeModel())) == 0


@pytest.mark.parametrize("name", ['quote"', "back\\slash", "naïve", "\u2028"])
def test_any_identifier_survives_serialisation(name: str) -> None:
    """Identifiers come back exactly, whatever characters they hold."""
    value = transaction(0, transaction_id=name, card_id=name)
    answers = scorer().score(source([value]), committed={0: 0}, model=FakeModel())
    found = decisions(answers)[0]
    assert (found.transaction_id, found.card_id) == (name, name)
    assert orjson.loads(answers.values[0])["schema_version"] == 1
