"""A scorer with rules and features in memory, and its decisions read back."""

import pyarrow as pa

from contracts.columns import EVENT_SCHEMA
from contracts.messages import Decision
from contracts.rule_settings import FallbackSettings
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_history import folded
from features.tile_reader import TileReader
from inference.records import Answers
from inference.scorer import Scorer, Topics

TOPICS = Topics("transactions", "scores", "dlq", "alerts", "shadow")
RULES = FallbackSettings.model_validate(
    {
        "version": "rules-1",
        "rules": [
            {
                "code": "large_amount",
                "decision": "decline",
                "when": [{"field": "amount_minor", "at_least": 500_000}],
            },
            {
                "code": "listed_country",
                "decision": "review",
                "when": [{"field": "country", "one_of": ["KP"]}],
                "with_model": True,
            },
            {
                "code": "closed_channel",
                "decision": "decline",
                "when": [
                    {"field": "channel", "one_of": ["atm"]},
                    {"field": "amount_minor", "at_least": 0},
                ],
                "with_model": True,
            },
        ],
    }
)


def feature_server(store: MemoryStateStore, history: pa.Table | None = None) -> FeatureServer:
    """A server over a store, with the tiles of what everybody did: by default nothing."""
    tiles = TileReader(folded(EVENT_SCHEMA.empty_table() if history is None else history))
    return FeatureServer(store, "transactions", tiles=tiles)


def scorer(features: object | None = None, history: pa.Table | None = None) -> Scorer:
    """A scorer over an empty store in memory, or over the given features.

    `history` is what everybody did, of which tiles are made.
    """
    server = features or feature_server(MemoryStateStore(), history)
    return Scorer(TOPICS, server, RULES)  # type: ignore[arg-type]


def decisions(answers: Answers, topic: str = "scores") -> list[Decision]:
    """The answers on a topic, validated."""
    return [Decision.model_validate_json(v) for t, _, v, _ in answers.rows() if t == topic]
