"""`docs/features.md`, written from the definition."""

# ruff: noqa: E501 - Markdown prose is wrapped by its reader

from features import layout
from features.definition import FEATURE_SET, FeatureSet

RULES = f"""# Features

Generated from `features/catalogue.py` by `python -m features.documentation`; a test holds the two
together. The oracle in `benchmarks/feature_oracle.py` is written from this page.

## Rules

- **Integers.** Money is minor units. An amount enters statistics within plus or minus
  {layout.AMOUNT_CLAMP:,}; the transaction's own amount is not limited. Sums are integers, turned into
  doubles before the one division at the end. Identifiers are remembered as the low
  {layout.HASH_BITS} bits of XXH64.
- **Effective time** t, whole milliseconds: the event's own time, but at most
  {layout.FUTURE_ALLOWANCE // layout.SECOND} s after its record's timestamp, and not more than
  {layout.LATENESS // layout.HOUR} h behind the card's clock (then the event is *late*). The card's clock
  is the largest effective time among its remembered events. Hour, weekday, night and holiday use the
  time before that last limit, local by `utc_offset_minutes` (UTC when unknown).
- **Memory.** A card's events, in order of effective time, then of offset. One is remembered while its
  hour is less than {layout.MEMORY_HOURS} hours behind the hour of the card's clock, the new event
  included, and among the newest {layout.CAP}. Beyond that cap the earliest goes, and is counted.
- **Visible** to an event are the remembered ones with smaller offset and effective time <= t.
- **Windows** `(t - w, t]` hold the event itself and the visible ones. 'Earlier' events are the others.
- **Duplicate**: a remembered event of the card has the same `transaction_id`. It is described and
  flagged, never remembered, and does not move the clock.
- **Missing** (NaN in a matrix, null in a decision): the event lacks the field, there is no earlier
  event to compare with, or a divisor is not positive. A missing device or country is not counted
  among the distinct ones; a missing or `0000` category is no category. A place needs both
  coordinates, rounded to 1/10,000 degree.
- **Standard deviation** of a population of amounts x about the event's own amount a:
  sqrt(max(sum((x - a)^2) / n - (sum(x - a) / n)^2, 0)).
- **Across cards**: merchants, devices and networks (IP prefixes) have *tiles* of a minute, an hour
  and a day, UTC. A partition's **clock** is the largest record timestamp among its readable
  transactions so far, this one included. A transaction counts in the tiles of its clock, whatever its
  own time says; duplicates, refunds and late ones count too.
- A transaction with clock c reads, over all partitions, the tiles that ended by c - {layout.TILE_DELAY // layout.SECOND} s, so
  nothing that it reads can still change. A window of 1 h is the last 60 tiles of a minute that have
  ended by then, one of 24 h the last 24 of an hour, of 7 or 30 d the last 7 or 30 of a day.
- **Cards, about**: bit XXH64(card_id) mod {layout.BITS} is set for each card; of k bits set the number is
  -{layout.BITS} ln(({layout.BITS} - k) / {layout.BITS}) to the nearest integer; when all are set, {layout.BITS} ln {layout.BITS}.
- **Fraud** is known by labels, in tiles of a day of the labels partition's clock, at the merchant
  that the label names. A day can be read {layout.LABEL_DELAY // layout.HOUR} h after its end. Of a transaction's labels, in
  the order of their offsets, one counts unless another with a later label time came before: fraud
  adds one, and what the label before it said is taken back. Below zero is zero.
- **Fraud risk** is (frauds + {layout.RISK_FRAUDS}) / (events + {layout.RISK_EVENTS}) of the same days.
- **Night** is 00:00 to {layout.NIGHT_HOURS:02d}:00; **small** is below {layout.SMALL_AMOUNT}; **cash-like** are
  the categories {", ".join(str(code) for code in layout.CASH_CATEGORIES)}.

## Bad input

| input | what happens |
|---|---|
| time in the future (up to 2099) | placed at most {layout.FUTURE_ALLOWANCE // layout.SECOND} s after its record |
| time far in the past | placed {layout.LATENESS // layout.HOUR} h behind the card's clock, flagged late |
| negative amount | a refund: enters sums with its sign |
| huge amount | limited in statistics, whole in `transaction_amount` |
| record stamped before what its publisher promised | its tiles may have closed: counted as an incident |
| no device or network | features across its cards are missing |
| no coordinates, country, device, category, channel | features that need them are missing, or false |
| empty, over-long or absent identifier, other bad fields | rejected before features, to the dead-letter topic |
"""


def document(feature_set: FeatureSet = FEATURE_SET) -> str:
    """The page, with a table of all features in vector order."""
    rows = [
        f"| {index} | `{f.name}` | {f.group} | {f.kind} | {f.description} |"
        for index, f in enumerate(feature_set.features)
    ]
    head = ["| # | name | group | kind | meaning |", "|---|---|---|---|---|"]
    title = f"\n## The {len(rows)} features (hash `{feature_set.hash}`)\n"
    return "\n".join([RULES + title, *head, *rows]) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    Path("docs/features.md").write_text(document(), encoding="utf-8")
