"""What the thief learned, what it won and what that cost."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from producer.hacker import Answer, Hacker
from producer.hacker_tactics import DIMENSIONS
from producer.spec import DAY_US


@dataclass(frozen=True, slots=True)
class HackerDay:
    """A day since the thief began; `caught_share` is the share of attempts that were declined."""

    day: int
    attempts: int
    caught_share: float
    gained_minor: int
    spent_minor: int


@dataclass(frozen=True, slots=True)
class OptionLearned:
    """One option of a dimension: the approval it met, and how its use changed."""

    dimension: str
    option: str
    tries: int
    approval: float
    share_at_first: float
    share_at_last: float


@dataclass(frozen=True, slots=True)
class HackerReport:
    """The whole raid."""

    days: tuple[HackerDay, ...]
    learned: tuple[OptionLearned, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values for a JSON file."""
        return asdict(self)

    def summary(self) -> str:
        """The raid in a sentence."""
        if not self.days:
            return "the thief met no answer"
        first, last = self.days[0].caught_share, self.days[-1].caught_share
        won, spent = (
            sum(getattr(day, name) for day in self.days) for name in ("gained_minor", "spent_minor")
        )
        return (
            f"declined {first:.0%} on the first day and {last:.0%} on the last; won "
            f"{won / 100:,.2f} for {spent / 100:,.2f}"
        )

    def lines(self) -> list[str]:
        """The report for a reader, a line each."""
        by_day = [
            f"day {day.day}: {day.attempts} attempts, {day.caught_share:.0%} declined, won "
            f"{day.gained_minor / 100:,.2f}, spent {day.spent_minor / 100:,.2f}"
            for day in self.days
        ]
        learned = [
            f"{found.dimension} {found.option}: approved {found.approval:.0%} of {found.tries}, "
            f"used {found.share_at_first:.0%} at first and {found.share_at_last:.0%} in the end"
            for found in self.learned
        ]
        return [*by_day, *learned, self.summary()]


def report_on(hacker: Hacker) -> HackerReport:
    """The raid so far; attempts without an answer are left out."""
    days: dict[int, list[Answer]] = defaultdict(list)
    for answer in hacker.answers:
        at_us = int(answer.attempt.purchase.event_us[0])
        days[(at_us - hacker.from_us) // DAY_US].append(answer)
    return HackerReport(
        days=tuple(_day(number, days[number]) for number in sorted(days)),
        learned=tuple(
            _option(hacker.answers, dimension, option)
            for dimension, options in DIMENSIONS.items()
            for option in options
        ),
    )


def _day(number: int, answers: Sequence[Answer]) -> HackerDay:
    approved = [answer.attempt for answer in answers if answer.is_approved]
    return HackerDay(
        day=number,
        attempts=len(answers),
        caught_share=1.0 - len(approved) / len(answers),
        gained_minor=sum(int(attempt.purchase.amount_minor[0]) for attempt in approved),
        spent_minor=sum(answer.attempt.cost_minor for answer in answers),
    )


def _option(answers: Sequence[Answer], dimension: str, option: str) -> OptionLearned:
    mine = [answer for answer in answers if answer.attempt.tactic.chosen(dimension) == option]
    third = max(1, len(answers) // 3)
    return OptionLearned(
        dimension=dimension,
        option=option,
        tries=len(mine),
        approval=sum(answer.is_approved for answer in mine) / max(1, len(mine)),
        share_at_first=_share(answers[:third], dimension, option),
        share_at_last=_share(answers[-third:], dimension, option),
    )


def _share(answers: Sequence[Answer], dimension: str, option: str) -> float:
    used = sum(answer.attempt.tactic.chosen(dimension) == option for answer in answers)
    return used / max(1, len(answers))
