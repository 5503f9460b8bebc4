"""Faults under load, by the code of `benchmarks/faults.py`: nothing lost, nothing decided twice."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fault_kinds import Fault, World, faults
from fault_rig import STREAMS, SupervisedRig, supervised_rig
from faults import Pace, Row, rows_of, suffer, trial
from inference_rig import register_model as register_small_model
from stream_rig import register_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SHORT = ("consumer killed", "tiles killed", "redis emptied")
SHORT_PACE, RECOVERY_SECONDS = Pace(lead=2.0, least=4.0, rest=1.0), 90.0


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers, and two versions of the model."""

    rig: SupervisedRig
    versions: tuple[str, str]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """All servers, for the whole matrix."""
    with supervised_rig() as rig:
        yield Ground(rig, (register_model(rig.rig, seed=1), register_model(rig.rig, seed=2)))


def assert_harmless(row: Row) -> None:
    """Every transaction has one decision, from the right features, and the model soon decides."""
    assert (row.lost, row.duplicated_effects, row.feature_mismatches) == (0, 0, 0), row
    assert row.audited >= row.events - row.by_rules, row
    assert row.recovery_seconds is not None, row
    assert row.recovery_seconds < RECOVERY_SECONDS, row


@pytest.mark.chaos
@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_under_load_loses_nothing(ground: Ground, fault: Fault) -> None:
    """No fault loses a transaction, changes a decision or a feature, or lasts for long."""
    row = trial(ground.rig, ground.versions, fault)
    assert_harmless(row)
    assert ("No space left on device" in row.said) == (fault.name == "disk full"), row


def test_three_faults_in_one_run_lose_nothing() -> None:
    """Nor do consumer, tile service and store when they die one after the other: the short form."""
    chosen = [fault for fault in faults() if fault.name in SHORT]
    with supervised_rig(with_registry=False) as rig:
        fresh = rig.with_topics()
        version = register_small_model(rig.rig.settings, rig.rig.home / "bundle", seed=1)
        world = World(fresh, STREAMS["direct"], (version, version))
        rows = rows_of(fresh.rig, suffer(world, chosen, SHORT_PACE))
    assert len(rows) == len(SHORT)
    for row in rows:
        assert_harmless(row)
