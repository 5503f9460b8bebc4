"""The end of a demo: an audit of what was served, and one real decline told as a story."""

from rich.console import Console

from cli.live.checks import Check
from contracts.errors import FraudError
from contracts.settings import Settings


def audit_check(settings: Settings, sample: int) -> Check:
    """Recompute the features of sampled decisions from Kafka; any difference fails."""
    from features.audit import audit_decisions

    report = audit_decisions(settings, sample)
    return Check(
        "served features equal recomputed ones, bit for bit",
        report.is_clean and report.checked > 0,
        f"{report.checked:,} decisions recomputed, {report.mismatched} mismatches",
    )


def tell_story(settings: Settings, transaction_id: str, console: Console) -> None:
    """Print one decline: the card's history, the reasons, the amount, the model and its run."""
    if not transaction_id:
        console.print("Nothing was declined while you watched, so there is no story to tell.")
        return
    from inference.explain import tell

    try:
        console.print(tell(settings, transaction_id))
    except FraudError as error:
        console.print(f"[yellow]The story of {transaction_id} cannot be told:[/] {error}")
