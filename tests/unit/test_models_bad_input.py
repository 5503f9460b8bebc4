"""Histories that cannot teach are refused before anything is stored."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from models_history import MemoryLog, make_log
from models_world import settings_with

from contracts.errors import TrainingError
from contracts.settings import Settings
from models.build import build_training_table
from models.snapshot import take_snapshot

LEARNING = {"maturity_days": 3, "test_days": 10, "validation_days": 10, "train_days": 30}


def refused(settings: Settings, log: MemoryLog, folder: Path) -> str:
    """The refusal's text; there must be no table afterwards."""
    manifest = take_snapshot(settings, reference="r", log=log)
    with pytest.raises(TrainingError) as told:
        build_training_table(settings, manifest.uri)
    assert not list((folder / "s3").rglob("table.json"))
    return str(told.value)


def test_a_schema_that_changes_half_way_is_refused(tmp_path: Path) -> None:
    """A publisher renames a field: the records are counted by cause, not trained around."""
    settings = settings_with(tmp_path, **LEARNING)
    log = make_log(settings.kafka)
    records = log.topics[settings.kafka.topic]
    for place in range(len(records) // 2, len(records)):
        body = orjson.loads(records[place].value or b"")
        body["amount"] = body.pop("amount_minor")
        records[place] = replace(records[place], value=orjson.dumps(body))
    text = refused(settings, log, tmp_path)
    assert "4500 of 9000" in text and "schema" in text


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    """Every transaction a fraud: there is nothing to tell apart."""
    settings = settings_with(tmp_path, **LEARNING)
    log = make_log(settings.kafka)
    labels = log.topics[settings.kafka.labels_topic]
    pattern = orjson.loads(labels[0].value or b"")
    labels.clear()
    for place, record in enumerate(log.topics[settings.kafka.topic]):
        body = orjson.loads(record.value or b"")
        names = ("transaction_id", "card_id", "merchant_id", "event_time")
        known = {name: body[name] for name in names} | {"label_time": body["event_time"]}
        value = orjson.dumps(pattern | known)
        labels.append(replace(record, offset=place, value=value))
    assert "one class only" in refused(settings, log, tmp_path)


def test_too_short_a_history_says_how_much_is_missing(tmp_path: Path) -> None:
    """A week of transactions cannot be cut into folds; the message counts the days."""
    settings = settings_with(tmp_path, **LEARNING)
    text = refused(settings, make_log(settings.kafka, days=7), tmp_path)
    assert "more are needed" in text
