"""A decision with everything behind it, and how that is told on a terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contracts.messages import Decision, Transaction

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

HISTORY_ROWS = 8
COLOURS = {"approve": "green", "review": "yellow", "decline": "red"}


@dataclass(frozen=True, slots=True)
class Because:
    """A reason with the card's own past beside it; `normal` is the median over earlier events."""

    code: str
    feature: str
    description: str
    value: float | None
    normal: float | None
    contribution: float
    method: str


@dataclass(frozen=True, slots=True)
class Story:
    """One decision rebuilt from Kafka and the registry.

    `features_equal` says whether the recomputed vector has the bytes of the served one,
    `score_equal` the same of the score; None when the model could not be asked.
    """

    decision: Decision
    transaction: Transaction
    history: tuple[Transaction, ...]
    reasons: tuple[Because, ...]
    features_equal: bool
    score_equal: bool | None
    run_url: str | None
    note: str = ""

    def __rich_console__(
        self, console: "Console", options: "ConsoleOptions"
    ) -> Iterator["RenderableType"]:
        yield self._headline()
        yield self._table_of_history()
        yield self._table_of_reasons()
        yield from self._evidence()

    def _headline(self) -> str:
        asked, told = self.transaction, self.decision
        kind = told.decision.value
        score = (
            "by the rules" if told.score is None else f"at a fraud probability of {told.score:.2%}"
        )
        return (
            f"\n[bold {COLOURS[kind]}]{kind.upper()}[/] {money(asked)} at {asked.merchant_id} "
            f"({asked.merchant_category or 'no category'}, {asked.country or 'no country'}, "
            f"{asked.channel.value if asked.channel else 'no channel'}) on {when(asked)}, {score}; "
            f"expected loss if approved {told.expected_loss_minor / 100:,.2f}\n"
            f"[dim]transaction {asked.transaction_id}, card {asked.card_id}[/]"
        )

    def _table_of_history(self) -> "Table":
        table = _table(
            "What the card did before", ("when", "amount", "merchant", "where", "how", "")
        )
        for event in (*self.history, self.transaction):
            table.add_row(
                when(event),
                money(event),
                f"{event.merchant_id} ({event.merchant_category or '-'})",
                event.country or "-",
                event.channel.value if event.channel else "-",
                "[bold]this one[/]" if event is self.transaction else "",
            )
        return table

    def _table_of_reasons(self) -> "Table":
        columns = ("reason", "what it says", "now", "card's normal", "log-odds")
        table = _table("Why", columns)
        for reason in self.reasons:
            table.add_row(
                f"[bold]{reason.code}[/]",
                reason.description,
                number(reason.value),
                number(reason.normal),
                f"{reason.contribution:+.2f}",
            )
        return table

    def _evidence(self) -> Iterator[str]:
        told, source = self.decision, self.decision.source
        yield (
            f"Decided by {told.tier.value} {told.model_version}, {told.policy_version}, from "
            f"{source.topic}-{source.partition} at offset {source.offset}"
        )
        yield _verdict(self.features_equal, "features recomputed from Kafka: the served bytes")
        if self.score_equal is not None:
            yield _verdict(self.score_equal, f"score recomputed by version {told.model_version}")
        if self.run_url:
            yield f"Training run: {self.run_url}"
        if self.note:
            yield f"[yellow]{self.note}[/]"


def _table(title: str, columns: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        right = column in ("amount", "now", "card's normal", "log-odds")
        table.add_column(column, justify="right" if right else "left")
    return table


def _verdict(held: bool, what: str) -> str:
    return f"[green]✓ {what}[/]" if held else f"[bold red]✗ {what}: they differ[/]"


def money(event: Transaction) -> str:
    """The amount in major units of the billing currency."""
    return f"{event.amount_minor / 100:,.2f}"


def when(event: Transaction) -> str:
    """Event time to the second, UTC."""
    moment = datetime.fromtimestamp(event.event_time / 1e6, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None) -> str:
    """At most three digits after the point, none where there is nothing to show."""
    return "-" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")
