"""The model card: one page of Markdown about a version, for people who must answer for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.evaluation import Figure
from models.table import TableDescription

TEXT = {
    "ap": "average precision",
    "auc": "area under ROC",
    "cp100": "card precision@100",
    "recall_fpr_0.1pct": "recall at 0.1 % false positives",
    "recall_fpr_1pct": "recall at 1 % false positives",
    "brier": "Brier score",
    "brier_uncalibrated": "Brier score before calibration",
    "ece": "calibration error (20 bins of equal size)",
    "oe": "observed over expected frauds",
    "saved_per_day_minor": "money saved per day, minor units",
    "alerts_per_day": "alerts per day",
    "declines_per_day": "declines per day",
}


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card reports; `every` are the figures with known compromised cards left in."""

    title: str
    arm: str
    calibrator: str
    policy_version: str
    arms: Mapping[str, float]
    figures: Mapping[str, Figure]
    every: Mapping[str, float]
    description: TableDescription


def model_card(facts: CardFacts) -> str:
    """The whole page."""
    parts = (_identity(facts), _data(facts.description), _arms(facts), _figures(facts), _limits())
    return "\n\n".join(parts) + "\n"


def _identity(facts: CardFacts) -> str:
    return "\n".join(
        (
            f"# {facts.title}",
            "",
            "Scores card transactions for fraud; decides approve, review or decline by money.",
            "",
            f"Arm `{facts.arm}`, calibrated by {facts.calibrator}, {facts.policy_version}, "
            f"feature set `{facts.description.feature_hash}`.",
        )
    )


def _data(description: TableDescription) -> str:
    days = description.folds.as_days()
    lines = [
        "## Data",
        "",
        f"Snapshot `{description.content_hash[:16]}`, {description.manifest_uri}.",
        "",
        "| fold | transactions | frauds |",
        "|---|---|---|",
    ]
    for name, count in description.counts.items():
        lines.append(f"| {name} | {count['transactions']:,} | {count['frauds']:,} |")
    lines += ["", ", ".join(f"{name} {value}" for name, value in days.items()) + "."]
    lines += [f"- {name}: {_shown(value)}" for name, value in description.notes.items()]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _arms(facts: CardFacts) -> str:
    lines = ["## Arms", "", "| arm | average precision, first half of validation |", "|---|---|"]
    ranked = sorted(facts.arms.items(), key=lambda item: -item[1])
    return "\n".join([*lines, *(f"| {name} | {value:.4f} |" for name, value in ranked)])


def _figures(facts: CardFacts) -> str:
    lines = [
        "## Test",
        "",
        "Seen once, by the chosen arm alone. Intervals: 95 %, bootstrap over cards and days. Cards "
        "leave the test the day after their first fraud label; the last column keeps them in.",
        "",
        "| figure | value | 95 % interval | known cards kept |",
        "|---|---|---|---|",
    ]
    for name, figure in facts.figures.items():
        interval = f"{figure.low:,.4g} to {figure.high:,.4g}" if figure.low == figure.low else "-"
        kept = f"{facts.every[name]:,.4g}" if name in facts.every else "-"
        lines.append(f"| {TEXT.get(name, name)} | {figure.value:,.4g} | {interval} | {kept} |")
    return "\n".join(lines)


def _limits() -> str:
    return "\n".join(
        (
            "## Limits",
            "",
            "- Labels come late and some never: figures describe transactions older than the "
            "maturity, and count an unreported fraud as legitimate.",
            "- Declines that nobody investigated are outside the evaluated population; its share "
            "stands above.",
            "- Money figures use the configured costs, not booked losses.",
        )
    )
