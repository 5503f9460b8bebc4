"""The gate: may a version be champion? Decided on labelled test days after both models learned."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.rule_settings import FallbackSettings
from contracts.settings import PolicySettings
from models.bundle import Bundle
from models.evaluation import replicate_weights
from models.metrics import average_precision, rank, saved_minor
from models.rules import RuleTier
from models.table import Rows

Floats = NDArray[np.float64]
REPLICATES = 400
MIN_FRAUDS = 100
AP_MARGIN = -0.01
MONEY_MARGIN = -0.02
OE_RANGE = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a contender says about test rows; `probability` is None for the rule tier."""

    name: str
    score: Floats
    decision: NDArray[np.int8]
    probability: Floats | None


class Contender(Protocol):
    """Anything that can judge rows."""

    def judge(self, rows: Rows) -> Opinion:
        """Scores and decisions for rows."""
        ...


@dataclass(frozen=True, slots=True)
class ModelContender:
    """A registered bundle."""

    bundle: Bundle

    def judge(self, rows: Rows) -> Opinion:
        """Margins rank, probabilities decide."""
        margin = self.bundle.raw(rows.values)
        probability = self.bundle.calibrator.probability(margin)
        decision = self.bundle.policy.choose(probability, rows.amount_minor)
        return Opinion(f"version {self.bundle.version}", margin, decision, probability)


@dataclass(frozen=True, slots=True)
class RuleContender:
    """The rule tier, which decides when no champion is usable; `instead_of` says why it is not."""

    rules: FallbackSettings
    instead_of: str = ""

    def judge(self, rows: Rows) -> Opinion:
        """The decision is the score: declines rank above reviews above approvals."""
        columns = {
            "amount_minor": pa.array(rows.amount_minor),
            "merchant_category": pa.array(rows.category, pa.string(), from_pandas=True),
            "country": pa.array(rows.country, pa.string(), from_pandas=True),
        }
        decision = RuleTier(self.rules).decide(columns, len(rows)).decision
        why = f" ({self.instead_of})" if self.instead_of else ""
        name = f"rule tier {self.rules.version}{why}"
        return Opinion(name, decision.astype(float), decision, None)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: what was measured, what is asked, whether it holds."""

    name: str
    measured: str
    asked: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` is passed, failed or inconclusive."""

    outcome: str
    checks: tuple[Check, ...]
    challenger: str
    champion: str
    figures: dict[str, float]

    @property
    def passed(self) -> bool:
        """Only this moves the champion without a person."""
        return self.outcome == "passed"


def run_gate(
    challenger: Contender, champion: Contender, rows: Rows, costs: PolicySettings, seed: int
) -> Verdict:
    """Compare on the same rows and the same bootstrap replicates.

    Passes if the one-sided 95 % bound of the differences is at least -0.01 in average precision and
    -2 % of the money the champion saves, and if the 95 % interval of observed over expected frauds
    meets [0.8, 1.25]. With fewer than 100 matured frauds it is inconclusive.
    """
    new, old = challenger.judge(rows), champion.judge(rows)
    frauds = int(rows.target.sum())
    enough = Check("matured frauds", str(frauds), f"at least {MIN_FRAUDS}", frauds >= MIN_FRAUDS)
    if not enough.holds:
        return Verdict("inconclusive", (enough,), new.name, old.name, {"frauds": float(frauds)})
    samples = _samples(new, old, rows, costs, seed)
    checks = (enough, _precision_check(samples), _money_check(samples), _calibration_check(samples))
    outcome = "passed" if all(check.holds for check in checks) else "failed"
    return Verdict(outcome, checks, new.name, old.name, _figures(new, old, rows, costs, samples))


@dataclass(frozen=True, slots=True)
class _Samples:
    """Bootstrap replicates: difference in AP, money saved by each, observed over expected."""

    ap_difference: Floats
    new_saved: Floats
    old_saved: Floats
    oe: Floats


def _samples(new: Opinion, old: Opinion, rows: Rows, costs: PolicySettings, seed: int) -> _Samples:
    new_rank, old_rank = rank(new.score), rank(old.score)
    base = np.where(rows.weight > 0, rows.weight, 1.0)
    new_saved = saved_minor(costs, rows, new.decision) / base
    old_saved = saved_minor(costs, rows, old.decision) / base
    expected = new.score if new.probability is None else new.probability

    def measure(w: Floats) -> tuple[float, ...]:
        return (
            average_precision(new_rank, rows.target, w)
            - average_precision(old_rank, rows.target, w),
            float(np.dot(w, new_saved)),
            float(np.dot(w, old_saved)),
            float(np.dot(w, rows.target) / max(np.dot(w, expected), 1e-12)),
        )

    drawn = np.array([measure(weight) for weight in replicate_weights(rows, seed, REPLICATES)])
    return _Samples(*drawn[~np.isnan(drawn).any(axis=1)].T)


def _precision_check(samples: _Samples) -> Check:
    bound = float(np.quantile(samples.ap_difference, 0.05))
    return Check(
        "average precision, challenger minus champion",
        f"lower bound {bound:+.4f}",
        f"at least {AP_MARGIN}",
        bound >= AP_MARGIN,
    )


def _money_check(samples: _Samples) -> Check:
    floor = MONEY_MARGIN * abs(float(samples.old_saved.mean()))
    bound = float(np.quantile(samples.new_saved - samples.old_saved, 0.05))
    return Check(
        "money saved, challenger minus champion, minor units",
        f"lower bound {bound:+,.0f}",
        f"at least {floor:,.0f} (2 % of the champion's)",
        bound >= floor,
    )


def _calibration_check(samples: _Samples) -> Check:
    low, high = (float(q) for q in np.quantile(samples.oe, (0.025, 0.975)))
    return Check(
        "observed over expected frauds",
        f"interval {low:.2f} to {high:.2f}",
        f"meets {OE_RANGE[0]} to {OE_RANGE[1]}",
        low <= OE_RANGE[1] and high >= OE_RANGE[0],
    )


def _figures(
    new: Opinion, old: Opinion, rows: Rows, costs: PolicySettings, samples: _Samples
) -> dict[str, float]:
    return {
        "frauds": float(rows.target.sum()),
        "transactions": float(len(rows)),
        "challenger_ap": average_precision(rank(new.score), rows.target, rows.weight),
        "champion_ap": average_precision(rank(old.score), rows.target, rows.weight),
        "challenger_saved_minor": float(saved_minor(costs, rows, new.decision).sum()),
        "champion_saved_minor": float(saved_minor(costs, rows, old.decision).sum()),
        "ap_difference_p05": float(np.quantile(samples.ap_difference, 0.05)),
        "oe_median": float(np.median(samples.oe)),
    }


def report(verdict: Verdict) -> str:
    """The verdict in Markdown, for people."""
    lines = [
        f"## Gate: {verdict.outcome}",
        "",
        f"Challenger {verdict.challenger} against {verdict.champion}.",
        "",
        "| condition | measured | asked | holds |",
        "|---|---|---|---|",
    ]
    for check in verdict.checks:
        holds = "yes" if check.holds else "**no**"
        lines.append(f"| {check.name} | {check.measured} | {check.asked} | {holds} |")
    lines += ["", "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {value:,.4f} |" for name, value in verdict.figures.items()]
    return "\n".join(lines)


def verdict_tags(verdict: Verdict) -> dict[str, Any]:
    """The verdict as tags of the model version."""
    return {
        "gate.outcome": verdict.outcome,
        "gate.champion": verdict.champion,
        **{f"gate.{name}": f"{value:.6g}" for name, value in verdict.figures.items()},
    }
