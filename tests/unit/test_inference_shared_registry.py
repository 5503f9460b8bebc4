"""The champion is looked up by one process for all; each asks itself where nobody tells."""

from dataclasses import dataclass

import pytest
from inference_fakes import FakeModel, FakeRegistry

from contracts.errors import RegistryError, StoreError
from features.definition import FEATURE_SET
from inference.model_pool import ModelPool
from inference.shared_registry import (
    LONGEST_LOOK_SECONDS,
    LOOK_SECONDS,
    TOLD_SECONDS,
    SharedRegistry,
    Told,
    Turn,
)

MODELS = {version: FakeModel(version) for version in "123"}


class CountedRegistry(FakeRegistry):
    """Counts looks; one takes so many seconds of the board's clock, and may see the board go."""

    looks = 0
    seconds = 0.0
    ends_board = False
    board: "FakeBoard"

    def champion_version(self) -> str | None:
        """Count, take time, answer."""
        self.looks += 1
        self.board.now += self.seconds
        self.board.is_away |= self.ends_board
        return FakeRegistry.champion_version(self)


@dataclass
class FakeBoard:
    """A store's two keys by a clock that the test moves; `is_away`: nobody reaches it.

    `set_back` seconds its time of day lies behind `now`, by which the processes count.
    """

    now: float = 0.0
    set_back: float = 0.0
    is_away: bool = False
    told: Told | None = None
    looks_told: int = 0
    told_until: float = 0.0
    turn_until: float = 0.0

    @property
    def time_of_day(self) -> float:
        """By what keys end."""
        return self.now - self.set_back

    def take_turn(self) -> Turn:
        """See `Board`."""
        self._refuse()
        is_ours = self.time_of_day >= self.turn_until
        if is_ours:
            self.turn_until = self.time_of_day + LONGEST_LOOK_SECONDS
        return Turn(is_ours, self.told if self.time_of_day < self.told_until else None)

    def end_turn(self, found: str | None, next_seconds: float) -> None:
        """See `Board`."""
        self._refuse()
        self.turn_until = self.time_of_day + next_seconds
        if found is not None:
            self.looks_told += 1
            self.told = Told(str(self.looks_told), found)
            self.told_until = self.time_of_day + TOLD_SECONDS

    def _refuse(self) -> None:
        if self.is_away:
            raise StoreError("Redis failed")


class Fleet:
    """Three processes over one registry and one board."""

    def __init__(self) -> None:
        self.board = FakeBoard()
        self.registry = CountedRegistry("1", MODELS)
        self.registry.board = self.board
        self.processes = [self.process() for _ in range(3)]

    def process(self) -> SharedRegistry:
        """One that has just started."""
        return SharedRegistry(self.registry, self.board, lambda: self.board.now)

    def look(self) -> list[str | None]:
        """What each process believes, one after the other."""
        return [process.champion_version() for process in self.processes]


@pytest.fixture
def fleet() -> Fleet:
    """Processes that have not looked yet."""
    return Fleet()


def test_one_look_serves_all_processes(fleet: Fleet) -> None:
    """However many processes ask however often, the registry is asked once in LOOK_SECONDS."""
    tenths = 2 * round(TOLD_SECONDS * 10)
    for tenth in range(tenths):
        fleet.board.now = tenth / 10
        assert fleet.look() == ["1"] * 3
    assert fleet.registry.looks == pytest.approx(tenths / 10 / LOOK_SECONDS, abs=2)


@pytest.mark.parametrize("champion", ["2", None])
def test_a_move_reaches_everybody_with_the_next_look(fleet: Fleet, champion: str | None) -> None:
    """A promotion, and that the alias is gone, are news to all."""
    fleet.look()
    fleet.registry.champion = champion
    fleet.board.now = LOOK_SECONDS
    assert fleet.look() == [champion] * 3


def test_without_the_board_each_asks_the_registry(fleet: Fleet) -> None:
    """Redis away changes nothing but the number of looks."""
    fleet.board.is_away = True
    assert fleet.look() == ["1"] * 3
    assert fleet.registry.looks == 3


def test_a_board_that_goes_away_during_a_look_loses_no_answer(fleet: Fleet) -> None:
    """Who looked knows, though it cannot tell."""
    fleet.registry.ends_board = True
    assert fleet.look() == ["1"] * 3


def test_a_registry_that_is_away_is_noticed_by_all(fleet: Fleet) -> None:
    """What was told counts for a moment; then each finds the trouble itself, and the end of it."""
    fleet.look()
    fleet.registry.failure = RegistryError("MLflow does not answer")
    fleet.board.now = TOLD_SECONDS
    for process in fleet.processes:
        with pytest.raises(RegistryError):
            process.champion_version()
    fleet.registry.failure = None
    assert fleet.look() == ["1"] * 3


def test_a_process_that_dies_in_its_look_holds_nobody_up(fleet: Fleet) -> None:
    """Its turn is not over, but what was told before runs out, and the others ask."""
    fleet.look()
    fleet.board.now = LOOK_SECONDS
    assert fleet.board.take_turn().is_ours
    fleet.registry.champion = "2"
    fleet.board.now = TOLD_SECONDS
    assert fleet.look() == ["2"] * 3


@pytest.mark.parametrize("seconds", [TOLD_SECONDS, LONGEST_LOOK_SECONDS])
def test_an_answer_that_comes_too_late_is_not_told(fleet: Fleet, seconds: float) -> None:
    """The others have asked for themselves by then and may know better; the next one looks."""
    fleet.registry.seconds = seconds
    assert fleet.processes[0].champion_version() == "1"
    assert fleet.board.told is None
    assert fleet.board.take_turn().is_ours


def test_a_redis_whose_clock_is_set_back_freezes_nobody(fleet: Fleet) -> None:
    """Its keys do not end; each asks for itself once it has heard nothing new for so long."""
    fleet.look()
    fleet.board.set_back = 3600.0
    fleet.board.now = LOOK_SECONDS
    assert fleet.look() == ["1"] * 3
    fleet.registry.champion = "2"
    fleet.board.now += TOLD_SECONDS
    assert fleet.look() == ["2"] * 3
    late = fleet.process()
    assert late.champion_version() == "1"
    fleet.board.now += TOLD_SECONDS
    assert late.champion_version() == "2"


def test_sharing_goes_on_when_a_clock_that_was_set_back_has_caught_up(fleet: Fleet) -> None:
    """Keys end again, so one looks for all."""
    fleet.look()
    fleet.board.set_back = 60.0
    fleet.board.now = 61.0
    assert fleet.look() == ["1"] * 3
    looks = fleet.registry.looks
    fleet.board.now += LOOK_SECONDS
    assert fleet.look() == ["1"] * 3
    assert fleet.registry.looks == looks + 1


def test_the_time_of_a_slow_look_counts(fleet: Fleet) -> None:
    """The next one begins LOOK_SECONDS after the beginning of the last."""
    fleet.registry.seconds = LOOK_SECONDS / 2
    fleet.look()
    assert fleet.board.turn_until == pytest.approx(LOOK_SECONDS)
    assert fleet.registry.looks == 1


def test_a_pool_follows_the_shared_champion(fleet: Fleet) -> None:
    """Processes that only hear of a move load the version themselves and take it over."""
    pools = [ModelPool(process, FEATURE_SET.hash) for process in fleet.processes]
    for now, champion in ((0.0, "1"), (1.0, "2")):
        fleet.board.now, fleet.registry.champion = now, champion
        for pool in pools:
            pool.refresh()
        assert [pool.champion and pool.champion.version for pool in pools] == [champion] * 3
    assert fleet.registry.looks == 2
