"""Counting what has matured since the champion learned."""

from typing import Any

from models.maturity import count_matured


def _label(
    transaction: str, event_time: int, *, label_time: int = 0, fraud: bool = True
) -> dict[str, Any]:
    return {
        "card_id": "c",
        "transaction_id": transaction,
        "event_time": event_time,
        "label_time": label_time,
        "is_fraud": fraud,
    }


def test_only_what_matured_in_between_counts() -> None:
    """The champion has seen what is older than `since`; what is younger than `until` may change."""
    labels = [_label(f"t{time}", time) for time in (9, 10, 19, 20)]
    assert count_matured(labels, 10, 20) == 2


def test_the_newest_label_of_a_transaction_counts() -> None:
    """A correction takes a fraud back, whatever the order of arrival; a repeat counts once."""
    corrected = [_label("a", 12, label_time=2, fraud=False), _label("a", 12, label_time=1)]
    repeated = [_label("b", 12, label_time=1), _label("b", 12, label_time=3)]
    assert count_matured(corrected + repeated, 10, 20) == 1


def test_the_same_id_on_another_card_is_another_transaction() -> None:
    """Ids are unique per card only."""
    other = _label("a", 12) | {"card_id": "d"}
    assert count_matured([_label("a", 12), other], 10, 20) == 2
