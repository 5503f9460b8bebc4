"""The stream's state in words: what is not as it should be, and how to mend it.

Each function turns what was found out into conditions; `stream_state` finds it out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import FraudError, TopicError
from contracts.kafka import refuse_topics
from contracts.settings import KafkaSettings
from features.tile_sign import Stall, TileSign
from inference.notes import (
    DECIDING,
    FAILED,
    KEPT_SECONDS,
    LIFE,
    LIFE_SECONDS,
    MODEL,
    STOPPED,
    WAITING,
    Note,
)
from inference.tallies import LAST
from inference.troubles import TROUBLES

SILENT_SECONDS = 5 * LIFE_SECONDS
HANG_SECONDS = 60.0
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


def life_conditions(about: str, lives: Sequence[Note], now: float) -> Iterator[Condition]:
    """Who decides nothing: those that wait or hang, and those that died and were not followed."""
    begun_at = max((_began_at(life) for life in lives), default=0.0)
    for life in lives:
        if is_alive(life, now):
            yield from _held_up(about, life)
        elif life.body["state"] != STOPPED and life.said_at >= begun_at:
            yield _death(about, life, now)


def _began_at(life: Note) -> float:
    return life.said_at - float(life.body["age"])


def _held_up(about: str, life: Note) -> Iterator[Condition]:
    body = life.body
    if body["state"] == WAITING:
        text = f"nothing is decided yet ({life.who}): {body['text']}"
        yield Condition(about, text, body["remedy"])
    elif body["round"] > HANG_SECONDS:
        text = f"its round has gone on for {_span(body['round'])} ({life.who}): nothing is decided"
        yield Condition(about, text, f"It rebuilds state, or hangs: see {_log(about)}")


def _death(about: str, life: Note, now: float) -> Condition:
    ago = _span(now - life.said_at)
    if life.body["state"] == FAILED:
        text = f"ended {ago} ago ({life.who}): {life.body['text']}"
        return Condition(about, text, life.body["remedy"] or f"See {_log(about)}")
    text = f"has said nothing for {ago} ({life.who})"
    return Condition(about, text, f"It was killed: see {_log(about)} and start it again")


def _log(about: str) -> str:
    return "`fraud logs stream`" if about == "stream" else "its log, where it was started"


def is_alive(life: Note, now: float) -> bool:
    """Whether the process is still there, whatever it does."""
    return life.body["state"] in (WAITING, DECIDING) and now - life.said_at <= SILENT_SECONDS


def _span(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


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
    if held == champion or note is None:
        return None
    if "trouble" in body:
        text = f"champion {champion} cannot be used: {body['trouble']}; {decides}"
        return Condition(about, text, body["remedy"] or "Promote another: `fraud models promote`")
    text = f"champion {champion} is not loaded yet: {decides}"
    return Condition(about, text, f"It takes seconds; if this stays, see {_log(about)}")


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
            text = f"{trouble.text} ({sums[name]:,} so far, the last {_span(ago)} ago)"
            yield Condition(about, text, trouble.remedy)


def pipeline_conditions(
    about: str,
    notes: Sequence[Note],
    sums: Mapping[str, int],
    champion: str | FraudError | None,
    now: float,
) -> Iterator[Condition]:
    """All about one pipeline; what decides, and how well, only while somebody does."""
    recent = [note for note in notes if now - note.said_at < KEPT_SECONDS]
    lives = [note for note in recent if note.name == LIFE]
    yield from life_conditions(about, lives, now)
    if any(is_alive(life, now) and life.body["state"] == DECIDING for life in lives):
        yield from _by_models(about, recent, champion, now)
        yield from counted_conditions(about, sums, now)


def _by_models(
    about: str, notes: Sequence[Note], champion: str | FraudError | None, now: float
) -> Iterator[Condition]:
    """What the processes that hold models say, each thing once; of nobody: as if without models."""
    fresh = [n for n in notes if n.name == MODEL and now - n.said_at < RECENT_SECONDS]
    found = [model_condition(about, champion, note) for note in fresh]
    found = found or [model_condition(about, champion, None)]
    yield from filter(None, dict.fromkeys(found))
