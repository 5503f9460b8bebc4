"""A record on another partition than its card's is noticed, and not decided on wrong features."""

import pyarrow as pa
from inference_fakes import FakeModel, source, transaction

from contracts.columns import EVENT_SCHEMA
from contracts.messages import Decision
from contracts.rule_settings import FallbackSettings
from features.partitioning import partitions_of
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_history import folded
from features.tile_reader import TileReader
from inference.scorer import Scorer, Topics
from producer.partition import partition_of

TOPICS = Topics("transactions", "scores", "dlq", "alerts", "shadow")
RULES = FallbackSettings.model_validate({"version": "rules-1", "rules": []})


def test_columns_are_placed_as_publishers_place_keys() -> None:
    """The column's murmur2 and the publisher's agree on keys of any length."""
    keys = ["", "a", "card-0001", *("x" * size for size in range(2, 40)), "Grüße €"]
    expected = [partition_of(key.encode(), 7) for key in keys]
    assert partitions_of(pa.chunked_array([keys]), 7).tolist() == expected


def test_a_misplaced_record_is_decided_by_the_rules_and_counted() -> None:
    """Only the record that stands elsewhere loses the model; its features are not served."""
    values = [transaction(n, card_id=f"card-{n}") for n in range(20)]
    home = [partition_of(f"card-{n}".encode(), 4) for n in range(20)]
    tiles = TileReader(folded(EVENT_SCHEMA.empty_table()))
    server = FeatureServer(MemoryStateStore(), "transactions", tiles=tiles)
    scorer = Scorer(TOPICS, server, RULES, partitions=4)
    answers = scorer.score(source(values, partition=1), committed={1: 0}, model=FakeModel())
    found = [Decision.model_validate_json(v) for t, _, v, _ in answers.rows() if t == "scores"]
    tiers = [(d.tier.value, bool(d.features)) for d in found]
    assert tiers == [("model", True) if place == 1 else ("fallback", False) for place in home]
    assert answers.tally["misplaced"] == sum(place != 1 for place in home) > 0
