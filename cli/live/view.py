"""Draws a tally for a terminal."""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.live.tally import Tally

_CAUGHT_UP_MS = 1_800_000
COLOURS = {"approve": "green", "review": "yellow", "decline": "red"}


def render(tally: Tally, *, now_ms: int, lag: int, hint: str) -> RenderableType:
    """The live view: rates, decisions and money, what labels have confirmed, who decides."""
    panels = Table.grid(expand=True, padding=(0, 1))
    panels.add_row(_stream(tally, now_ms, lag), _decisions(tally), _knowledge(tally))
    return Group(panels, Text(hint, style="dim"))


def clock_hint(tally: Tally, now_ms: int, hint: str) -> str:
    """`hint`, and once the world has caught up with the wall clock why it has become slow."""
    if tally.world_time_us < (now_ms - _CAUGHT_UP_MS) * 1000:
        return hint
    return (
        "the world has caught up with the wall clock and goes on in real time; "
        f"`make demo ARGS=--fresh` starts anew; {hint}"
    )


def money(minor: int) -> str:
    """Minor units as major units, for people."""
    return f"{minor / 100:,.2f}"


def _stream(tally: Tally, now_ms: int, lag: int) -> Panel:
    latency = tally.latency()
    shown = "…" if latency is None else f"{latency.p50:.0f} / {latency.p95:.0f} / {latency.p99:.0f}"
    rows = [
        ("champion", f"v{tally.last_version}" if tally.last_version else "…"),
        ("decided", f"{tally.decided:,}"),
        ("per second", f"{tally.rate(now_ms):,.0f}"),
        ("p50/p95/p99 ms", shown),
        ("lag", f"{lag:,}"),
        ("world time", _day(tally.world_time_us)),
    ]
    return _panel("stream", rows)


def _decisions(tally: Tally) -> Panel:
    table = Table(box=None, expand=True)
    for title in ("", "count", "share", "money"):
        table.add_column(title, justify="left" if title == "" else "right")
    for kind, colour in COLOURS.items():
        count = tally.decisions[kind]
        share = f"{count / tally.decided:.2%}" if tally.decided else "…"
        table.add_row(f"[{colour}]{kind}[/]", f"{count:,}", share, money(tally.money_minor[kind]))
    fallback = tally.tiers["fallback"]
    table.add_row("[dim]by rules alone[/]", f"{fallback:,}", "", "")
    return Panel(table, title="decisions", border_style="dim")


def _knowledge(tally: Tally) -> Panel:
    stopped = tally.confirmed["decline"] + tally.confirmed["review"]
    caught, matured = tally.matured_recall()
    recall = f"{caught / matured:.0%} of {matured}" if matured else "no day has matured yet"
    prevented = tally.confirmed_money_minor["decline"] + tally.confirmed_money_minor["review"]
    rows = [
        ("frauds confirmed so far", f"{tally.confirmed.total():,}"),
        ("of them stopped", f"{stopped:,}"),
        ("money stopped", money(prevented)),
        ("money missed", money(tally.confirmed_money_minor["approve"])),
        ("recall, matured days", recall),
    ]
    return _panel("labels", rows)


def _panel(title: str, rows: list[tuple[str, str]]) -> Panel:
    table = Table(box=None, show_header=False, expand=True)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, value)
    return Panel(table, title=title, border_style="dim")


def _day(time_us: int) -> str:
    if time_us == 0:
        return "…"
    return datetime.fromtimestamp(time_us / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M")
