"""Labels that cannot be read become dead letters, once, on a real Kafka."""

import pytest

from contracts.columns import BadRow
from contracts.kafka import RawRecord
from contracts.settings import Settings
from inference.dead_letters import read_letters
from models.refusals import send_refused

pytestmark = pytest.mark.integration


def test_a_record_is_refused_once_however_many_snapshots_meet_it(kafka_settings: Settings) -> None:
    """A second snapshot adds only what is new; bytes, coordinates and reason are kept."""
    kafka = kafka_settings.kafka
    first = (RawRecord(1, 7, 0, b"t1", b"{not json"), BadRow(0, "json_invalid", "line 1"))
    second = (RawRecord(2, 7, 0, None, b"\xff"), BadRow(1, "json_invalid", "line 1"))
    assert send_refused(kafka, kafka.labels_topic, [first]) == 1
    assert send_refused(kafka, kafka.labels_topic, [first, second]) == 1
    assert send_refused(kafka, kafka.outcomes_topic, [first]) == 1
    letters = {
        (letter.rejected.source.topic, letter.rejected.source.partition): letter
        for letter in read_letters(kafka)
    }
    assert len(letters) == 3
    kept = letters[kafka.labels_topic, 1]
    assert (kept.raw, kept.key, kept.rejected.error_message) == (b"{not json", b"t1", "line 1")
