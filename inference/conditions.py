"""The stream's state in words: what is not as it should be, and how to mend it.

Each function turns what was found out into conditions; `stream_state` finds it out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import FraudError, TopicError
from contracts.kafka import refuse_topics
from contracts.settings import KafkaSettings
from features.frontier_watch import Stall, TileSign
from inference.notes import FAILED, LIFE, MODEL, STOPPED, Note
from inference.tallies import LAST
from inference.troubles import TROUBLES

SILENT_SECONDS = 15.0
"""Whoever lives says so every three seconds."""
RECENT_SECONDS = 60.0
RULES = "the rules decide"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something to attend to: who says it, what it is, and the remedy."""

    about: str
    text: str
    remedy: str


def topic_conditions(kafka: KafkaSettings, counts: Mapping[str, int]) -> Iterator[Condition]:
    """Topics that are missing, or that have other partitions than the settings say."""
    try:
        refuse_topics(kafka, counts)
    except TopicError as error:
        yield Condition("kafka", error.said, error.remedy)


def tile_conditions(sign: TileSign | None) -> Iterator[Condition]:
    """A frontier that stalls, and promises that were broken; a service without a sign is no news.

    Whether it lives is its own health check.
    """
    if sign is None:
        return
    if sign.stall is not None:
        yield Condition("tiles", _stalled(sign.stall), _STALL_REMEDY)
    if sign.broken_promises:
        yield Condition(
            "tiles",
            f"{sign.broken_promises} records are stamped before what a publisher had promised; "
            "features recomputed over them will differ from the served ones",
            "Find the publisher that stamps the past, then run `fraud rebuild-state`",
        )


_STALL_REMEDY = (
    "A publisher that stamps event times must go on promising, for idle partitions too "
    "(docs/adr/0012); or it was stopped in mid-stream: start it again"
)


def _stalled(stall: Stall) -> str:
    stands_at = datetime.fromtimestamp(stall.stands_at_ms / 1000, UTC)
    return (
        f"the frontier stalls: partition {stall.partition} of {stall.kind} stands at "
        f"{stands_at:%Y-%m-%d %H:%M:%S}, {stall.behind_ms / 1000:,.0f} s behind what the newest "
        f"transactions need: {RULES} those"
    )


def life_condition(about: str, note: Note | None, now: float) -> Condition | None:
    """How a pipeline ended, when it did not end in order."""
    if note is None or note.body["state"] == STOPPED:
        return None
    ago = now - note.said_at
    if note.body["state"] == FAILED:
        text = f"ended {_ago(ago)}: {note.body['text']}"
        return Condition(about, text, note.body["remedy"] or f"See `fraud logs {about}`")
    if ago > SILENT_SECONDS:
        remedy = f"It was killed, or hangs: see `fraud logs {about}` and start it again"
        return Condition(about, f"has said nothing since {_ago(ago)}", remedy)
    return None


def is_alive(note: Note | None, now: float) -> bool:
    """Whether a pipeline decides transactions now."""
    return note is not None and life_condition("", note, now) is None and not _has_stopped(note)


def _has_stopped(note: Note) -> bool:
    return bool(note.body["state"] == STOPPED)


def _ago(seconds: float) -> str:
    return f"{seconds:,.0f} s ago" if seconds < 600 else f"{seconds / 60:,.0f} min ago"


def model_condition(
    about: str, champion: str | FraudError | None, note: Note | None
) -> Condition | None:
    """Why something else than the registry's champion decides; `champion` is the alias's version,
    or why the registry did not tell it.
    """
    body = {} if note is None else note.body
    held = body.get("held")
    decides = f"version {held} goes on deciding" if held else RULES
    if isinstance(champion, FraudError):
        text = f"the registry is out of reach: {champion.said}; {decides}"
        return Condition(about, text, champion.remedy or "See `fraud logs mlflow`")
    if champion is None:
        return _without_champion(about, held, decides)
    if held != champion and "trouble" in body:
        text = f"champion {champion} cannot be used: {body['trouble']}; {decides}"
        return Condition(about, text, body["remedy"] or "Promote another: `fraud models promote`")
    return None


def _without_champion(about: str, held: str | None, decides: str) -> Condition:
    if held is None:
        remedy = "Train and promote one: `fraud airflow dags trigger train_fraud_detection_model`"
        return Condition(about, f"no champion yet: {decides}", remedy)
    return Condition(
        about,
        f"the champion was deleted from the registry: {decides}, until a restart",
        f"Promote it again, or another: `fraud models promote {held}`",
    )


def counted_conditions(about: str, sums: Mapping[str, int], now: float) -> Iterator[Condition]:
    """What the scorers have counted within the last minute, and in all."""
    for name, trouble in TROUBLES.items():
        ago = now - sums.get(LAST + name, 0)
        if ago < RECENT_SECONDS:
            text = f"{trouble.text} ({sums[name]:,} so far, the last {_ago(ago)})"
            yield Condition(about, text, trouble.remedy)


def pipeline_conditions(
    about: str,
    notes: Mapping[str, Note],
    sums: Mapping[str, int],
    champion: str | FraudError | None,
    now: float,
) -> Iterator[Condition]:
    """All about one pipeline; of a stopped one nothing, of a dead one how it ended."""
    life = notes.get(LIFE)
    ended = life_condition(about, life, now)
    if ended is not None:
        yield ended
    if is_alive(life, now):
        by_model = model_condition(about, champion, notes.get(MODEL))
        if by_model is not None:
            yield by_model
        yield from counted_conditions(about, sums, now)
