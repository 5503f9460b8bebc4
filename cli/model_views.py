"""Model versions and their history as terminal tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from models.listing import VersionSummary
    from models.promotion import AliasMove

FIGURES = ("ap", "auc", "cp100", "brier", "ece", "oe", "saved_per_day_minor", "alerts_per_day")


def versions_table(versions: "Sequence[VersionSummary]") -> Table:
    """One row per version, newest first."""
    table = Table("version", "aliases", "arm", "AP", "gate", "features", "made")
    for version in versions:
        table.add_row(
            version.version,
            ", ".join(version.aliases) or "-",
            version.arm,
            version.tags.get("test_ap", "-"),
            version.tags.get("gate.outcome", "-"),
            version.tags.get("feature_set", "-"),
            version.created,
        )
    return table


def comparison_table(first: "VersionSummary", second: "VersionSummary") -> Table:
    """The test figures of two versions side by side; each on its own test days."""
    table = Table("figure", f"version {first.version}", f"version {second.version}")
    for name in ("arm", "policy_version", "feature_set", "gate.outcome"):
        table.add_row(name, first.tags.get(name, "-"), second.tags.get(name, "-"))
    for name in FIGURES:
        table.add_row(name, *(_with_interval(version, name) for version in (first, second)))
    return table


def _with_interval(version: "VersionSummary", name: str) -> str:
    figures = version.figures
    if name not in figures:
        return "-"
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    interval = "" if low is None or high is None else f" [{low:,.4g} to {high:,.4g}]"
    return f"{figures[name]:,.4g}{interval}"


def history_table(moves: "Sequence[AliasMove]") -> Table:
    """Every move of the champion, oldest first."""
    table = Table("when", "what", "version", "before", "who", "why")
    for move in moves:
        table.add_row(move.at, move.action, move.version, move.previous or "-", move.who, move.why)
    return table
