"""Rebuilds a decision from Kafka and the registry: state as of then, the model of then."""

from collections.abc import Iterator

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import DataError, FraudError, RegistryError
from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.messages import Decision, Reason, Tier, Transaction
from contracts.settings import KafkaSettings, Settings
from features.definition import FEATURE_SET
from features.recompute import WholeTopics, recompute
from inference.ports import Model
from inference.reasons import ReasonMap, top_reasons
from inference.story import HISTORY_ROWS, Because, Story

Vector = NDArray[np.float64]


def tell(settings: Settings, transaction_id: str) -> Story:
    """The story of a transaction's decision; of several records with the id, the first decided.

    Raises:
        DataError: no decision has that transaction id.
        BrokerError: Kafka is out of reach.
    """
    decision = find_decision(settings.kafka, transaction_id)
    events, values = card_events(settings.kafka, decision)
    model, run_url, note = _model_of(settings, decision)
    reasons = _reasons(model, values[-1:]) if model else decision.reasons
    return Story(
        decision=decision,
        transaction=_transaction(events, -1),
        history=tuple(_recent(events)),
        reasons=tuple(_because(reason, values[:-1]) for reason in reasons),
        features_equal=encoded(values[-1]) == encoded_served(decision),
        score_equal=None if model is None else float(model.score(values[-1:])[0]) == decision.score,
        run_url=run_url,
        note=note,
    )


def find_decision(kafka: KafkaSettings, transaction_id: str) -> Decision:
    """The first decision in the score topic with this transaction id.

    Raises:
        DataError: there is none.
    """
    needle = orjson.dumps(transaction_id)
    for span in full_ranges(kafka, kafka.scores_topic):
        for record in _matching(kafka, span, needle):
            decision = Decision.model_validate_json(record.value or b"")
            if decision.transaction_id == transaction_id:
                return decision
    raise DataError(
        "no decision has this transaction id",
        value=transaction_id,
        remedy="Copy an id from the score topic, or wait until the stream has decided it",
    )


def card_events(kafka: KafkaSettings, decision: Decision) -> tuple[pa.Table, Vector]:
    """The card's events up to and including the decided one, in offset order, and their features.

    Both topics are read whole: features across cards need everybody's events.
    """
    topics, source = WholeTopics(kafka), decision.source
    again = recompute(topics.transactions(), topics.labels(), [decision.card_id])
    events = again.events
    mask = (events["partition"].to_numpy() == source.partition) & (
        events["offset"].to_numpy() <= source.offset
    )
    return events.filter(mask), again.features.values[mask]


def _matching(kafka: KafkaSettings, span: OffsetRange, needle: bytes) -> Iterator[RawRecord]:
    for records in read_range(kafka, span):
        yield from (record for record in records if record.value and needle in record.value)


def _transaction(events: pa.Table, row: int) -> Transaction:
    fields = events.slice(len(events) + row if row < 0 else row, 1).to_pylist()[0]
    return Transaction(**{name: fields[name] for name in Transaction.model_fields})


def _recent(events: pa.Table) -> Iterator[Transaction]:
    before = len(events) - 1
    for row in range(max(0, before - HISTORY_ROWS), before):
        yield _transaction(events, row)


def _model_of(settings: Settings, decision: Decision) -> tuple[Model | None, str | None, str]:
    """The model that decided, its training run's address, and what stood in the way."""
    if decision.tier is not Tier.MODEL:
        return None, None, "The rules decided: no model was asked."
    if decision.feature_set != FEATURE_SET.hash:
        return None, None, f"Decided with feature set {decision.feature_set}, which this is not."
    try:
        from models.registry import load_bundle

        model = load_bundle(settings, decision.model_version)
        return model, run_url(settings, decision.model_version), ""
    except FraudError as error:
        return None, None, str(error)


def run_url(settings: Settings, version: str) -> str:
    """The page of the training run behind a model version.

    Raises:
        RegistryError: the registry does not answer, or has no such version.
    """
    from mlflow.exceptions import MlflowException

    from models.tracking import tracking_client

    client = tracking_client(settings.mlflow)
    try:
        run_id = client.get_model_version(settings.mlflow.model_name, version).run_id
        experiment = client.get_run(run_id).info.experiment_id
    except MlflowException as error:
        raise RegistryError(f"the training run is not known: {error}", value=version) from error
    return f"{settings.mlflow.page}/#/experiments/{experiment}/runs/{run_id}"


def _reasons(model: Model, values: Vector) -> tuple[Reason, ...]:
    contributions = model.exact_contributions(values)
    found = top_reasons(values, contributions, ReasonMap.of(FEATURE_SET), "tree_shap")
    return tuple(Reason(**reason) for reason in found.of_row(0))


def _because(reason: Reason, earlier: Vector) -> Because:
    names = FEATURE_SET.names
    if reason.feature not in names:
        return Because(
            reason.code, reason.feature, "a rule", reason.value, None, 0.0, reason.method
        )
    column = names.index(reason.feature)
    known = earlier[:, column][~np.isnan(earlier[:, column])]
    return Because(
        code=reason.code,
        feature=reason.feature,
        description=FEATURE_SET.features[column].description,
        value=reason.value,
        normal=float(np.median(known)) if len(known) else None,
        contribution=reason.contribution,
        method=reason.method,
    )


def encoded(values: Vector) -> bytes:
    """A feature vector in the bytes of a decision record."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)


def encoded_served(decision: Decision) -> bytes:
    """The served vector in the same bytes."""
    return orjson.dumps(list(decision.features))
