"""Bad days of the stream: each is noticed, has a defined behaviour, and is said with its remedy."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from inference_fakes import TIME_US, FakeModel, FakeRegistry, source, transaction
from scorer_rig import decisions, scorer

from contracts.errors import BundleError, RegistryError, StreamError
from features.definition import FEATURE_SET
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_reader import TileReader
from features.tile_sign import Stall, TileSign
from features.tile_store import MemoryTileStore, TileManifest
from inference.conditions import (
    Condition,
    counted_conditions,
    model_condition,
    pipeline_conditions,
    tile_conditions,
)
from inference.model_pool import ModelPool
from inference.notes import (
    DECIDING,
    FAILED,
    LIFE,
    MODEL,
    STOPPED,
    Life,
    MemoryNotes,
    Note,
    shown_life,
)
from inference.start_offsets import patient, snapshot_ends
from inference.tallies import LAST, MemoryTallies, Meter
from inference.troubles import TROUBLES

NOW = 2_000_000.0
AWAY = RegistryError("MLflow does not answer", remedy="Start it")


class LoadFails(FakeRegistry):
    """Names a champion, but its bundles cannot be had."""

    tries = 0

    def load(self, version: str) -> FakeModel:
        """Fails from version 2 on."""
        if version == "1":
            return super().load(version)
        self.tries += 1
        raise BundleError("golden rows score differently", value=0.5, remedy="Train again")


def seen(registry: FakeRegistry, champion: object, *looks: str | None) -> Condition | None:
    """What is said when a pool has looked, the alias naming each of `looks` in turn."""
    notes = MemoryNotes()
    pool = ModelPool(registry, FEATURE_SET.hash, notes=notes)
    for look in looks or (registry.champion,):
        registry.champion = look
        pool.refresh()
    return model_condition("stream", champion, notes.read()[0])  # type: ignore[arg-type]


def test_no_champion_yet() -> None:
    """Without a champion the rules decide, and it is said how to get one."""
    found = seen(FakeRegistry(), None)
    assert found is not None
    assert found.text == "no champion yet: the rules decide"
    assert "train_fraud_detection_model" in found.remedy


def test_a_champion_that_was_deleted() -> None:
    """The loaded version goes on, and is named in the remedy."""
    registry = FakeRegistry(models={"1": FakeModel("1")})
    found = seen(registry, None, "1", None)
    assert found is not None
    assert "deleted from the registry: version 1 goes on deciding" in found.text
    assert found.remedy.endswith("`fraud models promote 1`")


def test_a_registry_out_of_reach_at_the_start() -> None:
    """The rules decide until it answers; the reason and the remedy are the error's own."""
    found = seen(FakeRegistry(failure=AWAY), AWAY)
    assert found is not None
    assert found.text == "the registry is out of reach: MLflow does not answer; the rules decide"
    assert found.remedy == "Start it"


def test_a_registry_that_goes_away_later() -> None:
    """What is loaded decides on."""
    found = seen(FakeRegistry("1", {"1": FakeModel("1")}), AWAY)
    assert found is not None
    assert found.text.endswith("; version 1 goes on deciding")


def test_a_corrupt_bundle_is_named_with_what_decides_instead() -> None:
    """The old version stays, and the bundle's own trouble and remedy are said."""
    found = seen(LoadFails(models={"1": FakeModel("1")}), "2", "1", "2")
    assert found is not None
    assert found.text == (
        "champion 2 cannot be used: golden rows score differently (got 0.5); "
        "version 1 goes on deciding"
    )
    assert found.remedy == "Train again"


def test_a_corrupt_bundle_is_fetched_once_until_the_alias_moves() -> None:
    """A version never changes: it is not downloaded at every look."""
    registry = LoadFails("2")
    pool = ModelPool(registry, FEATURE_SET.hash)
    for champion in ("2", "2", "2", "3", "2"):
        registry.champion = champion
        pool.refresh()
    assert registry.tries == 3


def test_a_corrupt_bundle_stays_known_while_the_registry_is_away() -> None:
    """After the registry's return it is not fetched again, and its own trouble is said again."""
    registry = LoadFails("2", {"1": FakeModel("1")})
    notes = MemoryNotes()
    pool = ModelPool(registry, FEATURE_SET.hash, notes=notes)
    for failure in (None, AWAY, None):
        registry.failure = failure
        pool.refresh()
    assert registry.tries == 1
    found = model_condition("stream", "2", notes.read()[0])
    assert found is not None
    assert "golden rows score differently" in found.text


def test_a_champion_that_decides_is_nothing_to_attend_to() -> None:
    """Nothing is said when all is well."""
    assert seen(FakeRegistry("1", {"1": FakeModel("1")}), "1") is None


def answering(answers: Iterable[object]) -> Callable[[], object]:
    """Gives one after the other; errors are raised."""
    left = iter(answers)

    def ask() -> object:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


class Impatient(threading.Event):
    """An event whose waits pass at once; set after so many of them."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left = waits
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """No time passes."""
        self.pauses.append(timeout)
        self.left -= 1
        if self.left == 0:
            self.set()
        return self.is_set()


def test_a_first_start_waits_for_a_registry_that_does_not_answer() -> None:
    """Where to begin is the registry's to say: guessing the topic's end would skip transactions."""
    stop = Impatient(5)
    assert patient(answering([AWAY, AWAY, "3"]), stop) == "3"
    assert patient(answering([AWAY] * 9), stop) is None
    with pytest.raises(BundleError):
        patient(answering([AWAY, BundleError("damaged")]), Impatient(5))


class Snapshots:
    """A registry whose champion's bundle is damaged beyond reading."""

    def champion_version(self) -> str:
        """There is one."""
        return "2"

    def snapshot_ranges(self, version: str) -> dict[int, int]:
        """Nobody can read where its data ended."""
        raise BundleError("damaged")


def test_a_first_start_that_cannot_know_where_to_begin_is_refused() -> None:
    """Waiting would not mend it, and beginning at the topic's end is for a person to choose."""
    with pytest.raises(StreamError, match=r"champion 2 .* damaged.*--starting latest"):
        snapshot_ends(Snapshots(), threading.Event())


def test_a_registry_is_asked_less_and_less_often() -> None:
    """A download that fails is not repeated twice a second; ten seconds is the longest pause."""
    stop = Impatient(8)
    patient(answering([AWAY] * 9), stop)
    assert stop.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_skewed_clocks_are_counted() -> None:
    """Records stamped beyond this machine's clock and some slack, whatever was sent with them."""
    tallies = MemoryTallies()
    meter = Meter(tallies, wall_ms=lambda: TIME_US / 1000 + 30_000)
    meter.count({}, source([transaction(0), transaction(1), transaction(2)]))
    meter.flush()
    assert tallies.read()["ahead_of_clock"] == 2


def test_a_minute_of_skew_leaves_the_decision_to_the_rules() -> None:
    """Tiles follow the wall on a live topic, so those of a record's future never close in time."""
    tiles, now_ms = MemoryTileStore(), TIME_US // 1000
    tiles.begin(TileManifest("g", now_ms, now_ms))
    features = FeatureServer(
        MemoryStateStore(), "transactions", tiles=TileReader(tiles, wait_seconds=0)
    )
    judge = scorer(features)
    tiers = []
    for offset, minutes in enumerate((0, 5)):
        stamps = np.array([TIME_US + minutes * 60_000_000])
        batch = replace(source([transaction(minutes)], first=offset), timestamps_us=stamps)
        answers = judge.score(batch, committed={0: offset}, model=FakeModel())
        tiers.append(decisions(answers)[0].tier.value)
    assert tiers == ["model", "fallback"]
    assert answers.tally["tiles_late"] == 1
    assert answers.tally["store_failures"] == 0


@pytest.mark.parametrize("name", TROUBLES)
def test_what_was_counted_is_said_while_it_is_recent(name: str) -> None:
    """Each trouble by its own words and remedy; a minute later it is over."""
    sums = {name: 7, LAST + name: int(NOW) - 20}
    (found,) = counted_conditions("stream", sums, NOW)
    assert found.text == f"{TROUBLES[name].text} (7 so far, the last 20 s ago)"
    assert found.remedy == TROUBLES[name].remedy
    assert list(counted_conditions("stream", sums, NOW + 60)) == []


def test_a_stalled_frontier_names_the_partition() -> None:
    """Which partition, since when in the stream's time, how far behind, and what decides."""
    sign = TileSign(0, 0, 0, Stall("events", 2, 1_750_000_000_000, 340_000))
    (found,) = tile_conditions(TileSign.from_json(sign.to_json()))
    assert "partition 2 of events stands at 2025-06-15 15:06:40, 340 s behind" in found.text
    assert "the rules decide" in found.text
    assert "promis" in found.remedy


def test_broken_promises_are_said() -> None:
    """So many records, and that recomputed features will differ."""
    (found,) = tile_conditions(TileSign(0, 0, 12))
    assert found.text.startswith("12 records are stamped before what a publisher had promised")
    assert list(tile_conditions(TileSign(0, 0, 0))) == []
    assert list(tile_conditions(None)) == []


def said_of(*notes: Note, at: float = NOW, champion: str | None = "1") -> list[str]:
    """What is said of a pipeline that left these notes."""
    return [c.text for c in pipeline_conditions("stream", notes, {}, champion, at)]


def life(
    state: str, *, ago: float = 0.0, age: float = 500.0, who: str = "a", **more: object
) -> Note:
    """A process's word about itself."""
    body = {"state": state, "age": age, "round": 0.2, "text": "why", "remedy": "", **more}
    return Note(LIFE, who, NOW - ago, body)


def test_a_stream_that_failed_says_why_after_its_death() -> None:
    """The error's cause, value and remedy outlive the process, for an hour."""
    notes = MemoryNotes(lambda: NOW)
    with pytest.raises(StreamError), shown_life(notes):
        raise StreamError("the streaming query ended", value="disk full", remedy="Make room")
    (found,) = pipeline_conditions("stream", notes.read(), {}, "1", NOW + 90)
    assert found.text == "ended 90 s ago (me): the streaming query ended (got 'disk full')"
    assert found.remedy == "Make room"
    assert said_of(*notes.read(), at=NOW + 3_601) == []


def test_a_stream_that_was_stopped_says_nothing() -> None:
    """Ending in order is no trouble."""
    notes = MemoryNotes(lambda: NOW)
    with shown_life(notes) as own:
        own.decided()
    assert said_of(*notes.read()) == []
    assert said_of(*notes.read(), at=NOW + 600) == []


def test_a_stream_that_was_killed_falls_silent() -> None:
    """Without a sign for a while it is said to be dead, and nothing else of it is believed."""
    notes = [life(DECIDING, ago=20), Note(MODEL, "a", NOW - 20, {"held": None})]
    assert said_of(*notes, champion=None) == ["has said nothing for 20 s (a)"]


def test_a_dead_process_is_not_spoken_of_once_another_was_started() -> None:
    """The start of another is the operator's answer; one that ran beside it answers nothing."""
    for dead in (life(DECIDING, ago=60, who="b"), life(FAILED, ago=60, who="b")):
        assert said_of(dead, life(DECIDING, age=30)) == []
        assert said_of(dead, life(STOPPED, ago=10, age=30)) == []
        assert len(said_of(dead, life(DECIDING, age=90))) == 1


def test_an_orderly_end_of_one_does_not_hide_the_death_of_another() -> None:
    """Each process of a group has a note of its own."""
    dead, stopped = life(DECIDING, ago=20, who="b"), life(STOPPED, ago=1, age=500)
    assert said_of(dead, stopped) == ["has said nothing for 20 s (b)"]


def test_only_a_service_has_a_log_of_the_stack() -> None:
    """A direct consumer writes where it was started."""
    for about, word in (("stream", "`fraud logs stream`"), ("direct g", "where it was started")):
        (found,) = pipeline_conditions(about, [life(DECIDING, ago=20)], {}, "1", NOW)
        assert word in found.remedy


def test_whoever_waits_decides_nothing_and_says_for_what() -> None:
    """Neither the rules nor a model are said to decide meanwhile."""
    own = Life(lambda: 0.0)
    own.waits("there is no champion", "Train one")
    notes = [Note(LIFE, "a", NOW, own.body()), Note(MODEL, "a", NOW, {"held": None})]
    (found,) = pipeline_conditions("stream", notes, {}, None, NOW)
    assert found.text == "nothing is decided yet (a): there is no champion"
    assert found.remedy == "Train one"


def test_a_loop_that_hangs_is_told_from_one_that_decides() -> None:
    """The sign goes on from a thread of its own, and says when the last round ended."""
    seconds = [0.0, 0.0, 59.0, 75.0]
    own = Life(lambda: seconds.pop(0))
    own.decided()
    hangs = "its round has gone on for 75 s (a): nothing is decided"
    for words in ([], [hangs]):
        assert said_of(Note(LIFE, "a", NOW, own.body())) == words


def test_a_pipeline_that_never_ran_is_nothing_to_attend_to() -> None:
    """A fresh stack without a champion is well."""
    assert said_of(champion=None) == []


def test_a_running_pipeline_says_what_holds_it_up() -> None:
    """The model's condition and what was counted come together."""
    notes = [life(DECIDING), Note(MODEL, "a", NOW, {"held": None})]
    sums = {"tiles_late": 1, LAST + "tiles_late": int(NOW)}
    found = list(pipeline_conditions("stream", notes, sums, None, NOW))
    assert [c.text.partition(":")[0] for c in found] == [
        "no champion yet",
        "features across cards are not complete in time",
    ]


def test_a_champion_that_is_still_loading_is_not_said_to_decide() -> None:
    """Between the alias's move and the first decision of what it names, it is said who decides."""
    for held, who in ((None, "the rules decide"), ("1", "version 1 goes on deciding")):
        note = Note(MODEL, "a", NOW, {"held": held})
        assert said_of(life(DECIDING), note, champion="2") == [
            f"champion 2 is not loaded yet: {who}"
        ]


def test_a_worker_whose_model_is_damaged_is_not_hidden_by_one_that_is_well() -> None:
    """Each process that holds models says its own; what several say is said once."""
    trouble = {"held": "1", "trouble": "golden rows differ", "remedy": ""}
    bodies = [trouble, {"held": "2"}, trouble]
    models = [Note(MODEL, str(who), NOW, body) for who, body in enumerate(bodies)]
    assert said_of(life(DECIDING), *models, champion="2") == [
        "champion 2 cannot be used: golden rows differ; version 1 goes on deciding"
    ]
