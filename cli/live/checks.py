"""What must hold at the end of a demo; each check says what it saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from cli.live.feed import Coverage
from cli.live.tally import Tally


@dataclass(frozen=True, slots=True)
class Check:
    """A rule and whether it held; `seen` is the figure behind it."""

    rule: str
    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Transactions since the stream's first offset, and what answered them."""

    transactions: int
    decisions: int
    rejects: int
    unanswered: int


def count(coverage: Coverage, start: Mapping[int, int], end: Mapping[int, int]) -> Counts:
    """Count answers by distinct source, so that a repeat cannot hide a gap."""
    begin = {p: start.get(p, 0) for p in end}
    return Counts(
        transactions=sum(end[p] - begin[p] for p in end),
        decisions=coverage.count(coverage.decided, begin),
        rejects=coverage.count(coverage.rejected, begin),
        unanswered=coverage.unanswered(begin, dict(end)),
    )


def stream_checks(counts: Counts, tally: Tally, champion: str, minimum: int) -> list[Check]:
    """The checks on what the stream did."""
    return [
        Check(
            "every transaction is answered exactly once: transactions = decisions + rejects",
            counts.unanswered == 0 and counts.transactions == counts.decisions + counts.rejects,
            f"{counts.transactions:,} = {counts.decisions:,} + {counts.rejects:,}",
        ),
        Check(
            "no repeated decision differs from the first",
            tally.differing_repeats == 0,
            f"{tally.repeats} repeats, {tally.differing_repeats} differ",
        ),
        Check(
            "the champion decides",
            tally.last_version == champion and tally.tiers["model"] > 0,
            f"v{tally.last_version or '?'}; {tally.tiers['fallback']:,} decided by rules alone",
        ),
        Check("enough was decided live", tally.decided >= minimum, f"{tally.decided:,}"),
    ]
