"""The demo: start, backfill, train in Airflow, promote, stream, show; then check and stop."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from cli.airflow_client import AirflowClient, RunState
from cli.live.challenge import Challenge, challenge_steps
from cli.live.checks import Check, count, stream_checks
from cli.live.doors import doors
from cli.live.feed import Feed
from cli.live.keys import Keys
from cli.live.phases import Phase, Phases
from cli.live.sources import Source
from cli.live.stack_control import sole_demo
from cli.live.tally import Tally
from cli.live.view import clock_hint, render
from cli.signals import noted_interrupts
from contracts.errors import BrokerError, StackError
from contracts.settings import Settings

TRAIN_DAG = "train_fraud_detection_model"
STREAM_DAG = "run_fraud_inference"
DAG_SECONDS = 900.0
DRAIN_SECONDS = 120.0
AUDIT_SAMPLE = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; `seconds` None means until Ctrl-C."""

    seconds: float | None
    keep: bool
    fresh: bool


@dataclass(slots=True)
class Summary:
    """What a demo reports at its end; `ok` only if every check held."""

    data: str
    seconds_by_phase: dict[str, float] = field(default_factory=dict)
    up_seconds: float | None = None
    first_decision_seconds: float | None = None
    pss_mb: float | None = None
    champion: str = ""
    live: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every check held, and there were any."""
        return bool(self.checks) and all(check.held for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON-able values, `ok` first."""
        return {"ok": self.ok, **asdict(self)}


class Demo:
    """One demo from start to stop on the checkout at `root`."""

    def __init__(self, root: Path, options: Options, source: Source, console: Console) -> None:
        self._root = root
        self._options = options
        self._source = source
        self._console = console
        self._started = time.monotonic()
        self._has_begun = False
        self._phases = Phases(console, root / ".fraud" / "run" / "demo-seconds.json")
        self.summary = Summary(data=source.name, seconds_by_phase=self._phases.seconds)

    def run(self) -> Summary:
        """The whole demo; whatever happens, no process is left unless asked to keep them.

        A demo that is refused before it begins leaves a stack that runs as it is.
        """
        with sole_demo(self._root):
            try:
                settings = self._start()
                self._backfill(settings)
                self._train(settings)
                self._show(settings)
            finally:
                if self._has_begun:
                    self._stop()
        return self.summary

    def _start(self) -> Settings:
        from cli.live.stack_control import prepare_data, start_stack
        from contracts.settings import load_settings

        with self._phases.phase("start", 30) as phase:
            prepare_data(self._root, self._source.name, fresh=self._options.fresh)
            self._has_begun = True
            start_stack(self._root, phase.update)
            phase.update("every service is healthy")
        self.summary.up_seconds = self._phases.seconds["start"]
        return load_settings(self._root)

    def _backfill(self, settings: Settings) -> None:
        with self._phases.phase("backfill", 15) as phase:
            phase.update(self._source.backfill(settings, phase.update), 1.0)

    def _train(self, settings: Settings) -> None:
        from cli.live.stack_control import warm_up_stream

        warm_up_stream(self._root)
        with self._phases.phase("train", 90) as phase, AirflowClient(settings.airflow) as airflow:
            run_id = _run_dag(airflow, TRAIN_DAG, self._source.training, phase)
            phase.update(f"{TRAIN_DAG} {run_id} succeeded")
        from models.registry import champion_version

        self.summary.champion = champion_version(settings) or ""
        if not self.summary.champion:
            raise StackError(
                "training ended without a champion: the gate did not pass",
                remedy=f"Read the gate's report in MLflow, {settings.mlflow.page}",
            )

    def _stream(self, settings: Settings, watch: Callable[[], None]) -> None:
        with self._phases.phase("stream", 25) as phase, AirflowClient(settings.airflow) as airflow:
            _run_dag(airflow, STREAM_DAG, {"action": "start"}, phase, watch)
            phase.update(
                f"decisions by v{self.summary.champion} go to {settings.kafka.scores_topic}"
            )

    def _show(self, settings: Settings) -> None:
        since_ms = int(time.time() * 1000)
        self._source.go_live(settings)
        tally = Tally(self._source.maturity_days)
        feed = Feed(settings.kafka, tally, since_ms=since_ms)
        try:
            self._stream(settings, lambda: self._look(feed, tally))
            self._console.print(doors(settings))
            self._watch(settings, feed, tally)
            self._conclude(settings, feed, tally)
        finally:
            feed.close()

    def _watch(self, settings: Settings, feed: Feed, tally: Tally) -> None:
        view = LiveView(self._console, feed, tally, self._hint())
        challenge = Challenge(challenge_steps(settings, TRAIN_DAG, self._source.training))
        deadline = time.monotonic() + (self._options.seconds or float("inf"))
        with noted_interrupts() as interrupt, view, Keys() as keys:
            while time.monotonic() < deadline and not interrupt.has_come:
                self._look(feed, tally)
                if keys.pressed() == "p":
                    challenge.press()
                challenge.saw(tally.last_version)
                view.refresh(challenge.words if keys.can_be_pressed else "")
        if interrupt.has_come:
            if self._options.seconds is not None:
                raise KeyboardInterrupt
            self._console.print("Stopping: a second Ctrl-C skips the checks.")

    def _hint(self) -> str:
        seconds = self._options.seconds
        return "Ctrl-C checks and stops" if seconds is None else f"ends after {seconds:.0f} s"

    def _look(self, feed: Feed, tally: Tally) -> None:
        """Take in what has arrived, and tell of the first decision as soon as it is there."""
        feed.poll()
        if self.summary.first_decision_seconds is None and tally.tiers["model"]:
            self.summary.first_decision_seconds = round(time.monotonic() - self._started, 1)
            self._console.print(
                f"[green]✓[/] first live decision by a champion that the DAG trained, "
                f"{self.summary.first_decision_seconds:.0f} s after the start",
                highlight=False,
            )

    def _conclude(self, settings: Settings, feed: Feed, tally: Tally) -> None:
        from cli.live.conclusion import audit_check, tell_story
        from cli.live.stack_control import memory_mb
        from cli.live.stream_start import stream_start
        from models.registry import champion_version

        with self._phases.phase("check", 20) as phase:
            self.summary.champion = champion_version(settings) or ""
            self.summary.pss_mb = memory_mb(self._root)
            self._source.stop(settings)
            start = stream_start(self._root, settings.kafka.topic)
            counts = count(feed.coverage, start, _drain(feed, phase, start))
            self.summary.counts = asdict(counts)
            self.summary.live = _figures(tally)
            self.summary.checks = stream_checks(
                counts, tally, self.summary.champion, self._source.minimum_decisions
            )
            phase.update("recomputing served features from Kafka")
            self.summary.checks.append(audit_check(settings, AUDIT_SAMPLE))
        tell_story(settings, tally.last_decline, self._console)
        for check in self.summary.checks:
            mark = "[green]✓[/]" if check.held else "[red]✗[/]"
            self._console.print(f"{mark} {check.rule}: {check.seen}", highlight=False)

    def _stop(self) -> None:
        from cli.live.stack_control import stop_stack

        self._source.abandon()
        if self._options.keep:
            self._console.print("The stack goes on running; `fraud down` stops it.")
            return
        with self._phases.phase("stop", 10) as phase:
            stop_stack(self._root, phase.update)


class LiveView:
    """Redraws a terminal four times a second; elsewhere a line every four seconds."""

    def __init__(self, console: Console, feed: Feed, tally: Tally, hint: str) -> None:
        self._console = console
        self._feed = feed
        self._tally = tally
        self._hint = hint
        self._next_look = 0.0
        self._next_line = 0.0
        self._lag = 0
        self._live = Live(console=console, refresh_per_second=4, auto_refresh=False)

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def refresh(self, words: str = "") -> None:
        """Show the tally as it is now, and `words` below it."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + 1.0
            with suppress(BrokerError):  # a broker that restarts leaves the last figure standing
                self._lag = self._undecided()
        if self._console.is_terminal:
            now_ms = int(time.time() * 1000)
            hint = clock_hint(self._tally, now_ms, f"{words}; {self._hint}")
            view = render(self._tally, now_ms=now_ms, lag=self._lag, hint=hint)
            self._live.update(view, refresh=True)
        elif now >= self._next_line:
            self._next_line = now + 4.0
            self._console.print(_line(self._tally, self._lag), highlight=False, soft_wrap=True)

    def _undecided(self) -> int:
        ends = self._feed.transaction_ends()
        answered = self._feed.coverage.highest()
        return sum(end - answered.get(p, end) for p, end in ends.items())


def _line(tally: Tally, lag: int) -> str:
    latency = tally.latency()
    shown = "" if latency is None else f", p50/p99 {latency.p50:.0f}/{latency.p99:.0f} ms"
    return (
        f"  {tally.decided:,} decided by v{tally.last_version or '?'}, "
        f"{tally.rate(int(time.time() * 1000)):,.0f} per second{shown}, lag {lag:,}; "
        f"{tally.decisions['decline']:,} declined, {tally.decisions['review']:,} for review; "
        f"{tally.confirmed.total():,} frauds confirmed so far"
    )


def _run_dag(
    airflow: AirflowClient,
    dag: str,
    conf: Mapping[str, Any],
    phase: Phase,
    meanwhile: Callable[[], None] = lambda: None,
) -> str:
    phase.update(f"triggering {dag}")
    run_id = airflow.trigger(dag, conf)
    for state in airflow.follow(dag, run_id, timeout_seconds=DAG_SECONDS):
        phase.update(_tasks(state))
        meanwhile()
    return run_id


def _tasks(state: RunState) -> str:
    done = sum(task.state in ("success", "skipped") for task in state.tasks)
    running = [task.task_id for task in state.tasks if task.state == "running"]
    names = ", ".join(dict.fromkeys(running)) or "waiting for the scheduler"
    return f"{names} ({done} of {len(state.tasks)} tasks done)"


def _drain(feed: Feed, phase: Phase, start: Mapping[int, int]) -> dict[int, int]:
    """Read on until every transaction that was sent has its answer, or the deadline passes."""
    deadline = time.monotonic() + DRAIN_SECONDS
    ends = feed.transaction_ends()
    while time.monotonic() < deadline:
        if feed.poll() == 0:
            begin = {p: start.get(p, 0) for p in ends}
            missing = feed.coverage.unanswered(begin, ends)
            phase.update(f"waiting for {missing:,} answers")
            if missing == 0:
                break
    return ends


def _figures(tally: Tally) -> dict[str, Any]:
    caught, matured = tally.matured_recall()
    return {
        "decided": tally.decided,
        "decisions": dict(tally.decisions),
        "money_minor": dict(tally.money_minor),
        "tiers": dict(tally.tiers),
        "versions": dict(tally.versions),
        "latency_ms": asdict(latency) if (latency := tally.latency()) else None,
        "frauds_confirmed_so_far": dict(tally.confirmed),
        "matured_frauds": matured,
        "matured_frauds_stopped": caught,
    }
