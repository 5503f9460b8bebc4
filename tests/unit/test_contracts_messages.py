"""Messages: what is accepted, what is refused, and that nothing changes on the way."""

import pytest
from pydantic import ValidationError

from contracts.errors import FraudError
from contracts.messages import Label, Transaction

EVENT = {
    "transaction_id": "t1",
    "event_time": 1_750_000_000_000_000,
    "card_id": "c1",
    "merchant_id": "m1",
    "amount_minor": 1234,
}
LABEL = {
    "transaction_id": "t1",
    "card_id": "c1",
    "merchant_id": "m1",
    "event_time": 1_750_000_000_000_000,
    "is_fraud": True,
    "label_time": 1_750_400_000_000_000,
    "source": "chargeback",
}


def test_a_transaction_survives_the_wire() -> None:
    """JSON and back gives the same transaction; what a source lacks stays null."""
    transaction = Transaction.model_validate(EVENT)
    assert Transaction.model_validate_json(transaction.model_dump_json()) == transaction
    assert transaction.country is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_time", "2025-06-15T00:00:00Z"),
        ("event_time", 1_750_000_000),
        ("event_time", 1.75e15),
        ("amount_minor", 12.34),
        ("amount_minor", 10**13),
        ("card_id", ""),
        ("card_id", "x" * 65),
        ("merchant_category", "54"),
        ("country", "Germany"),
        ("latitude", 91),
        ("channel", "pigeon"),
        ("is_fraud", True),
        ("schema_version", 2),
    ],
)
def test_a_transaction_out_of_bounds_is_refused(field: str, value: object) -> None:
    """Seconds for microseconds, euros for cents, labels in events and the like are errors."""
    with pytest.raises(ValidationError):
        Transaction.model_validate(EVENT | {field: value})


def test_a_message_cannot_be_changed() -> None:
    """A fact is frozen once it is read."""
    transaction = Transaction.model_validate(EVENT)
    with pytest.raises(ValidationError):
        transaction.amount_minor = 1


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_label_says_fraud_with_a_boolean_alone(value: object) -> None:
    """Numbers and words that look like yes are refused, so a swapped column is noticed."""
    assert Label.model_validate(LABEL).is_fraud
    with pytest.raises(ValidationError):
        Label.model_validate(LABEL | {"is_fraud": value})


def test_an_error_tells_cause_value_and_remedy() -> None:
    """The project's errors read as one message that says what to do."""
    error = FraudError("the port is taken", value=9092, remedy="Stop the other one")
    assert str(error) == "the port is taken (got 9092). Stop the other one"
    assert error.exit_code == 2
