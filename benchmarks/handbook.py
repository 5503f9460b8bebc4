"""Our learning beside the Fraud-Detection-Handbook's published results, on its own protocol.

    python benchmarks/handbook.py [handbook_transactions.parquet]

First everything is chosen on four validation folds, from rows up to 2018-07-31 alone, and written
to `.fraud/handbook_choices.json`. Only then are later rows read, the published counts and figures
reproduced, and the choices tested once on the four test folds.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from handbook_baselines import (
    PUBLISHED,
    TOLERANCE,
    Baseline,
    choose_baselines,
    run_chosen,
)
from handbook_candidates import Candidate, Lab, brier_scores, choose, run_candidate
from handbook_data import DELAY_DAYS, Transactions, day_of, find_file, load
from handbook_ours import our_features
from handbook_pool import Part, Pool
from handbook_protocol import TEST_STARTS, VALIDATION_STARTS, split
from handbook_windows import DAY, Floats, history

CHOICES = Path(__file__).resolve().parent.parent / ".fraud" / "handbook_choices.json"
VALIDATION_END, TEST_END = "2018-07-31", "2018-09-04"
GOALS = {"ap": 0.742, "cp100": 0.312}
COUNTS = {"train": [67240, 598], "test": [58264, 385]}


def say(text: str) -> None:
    """A line of progress on standard error; standard output is for the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def make_part(rows: Transactions) -> Part:
    """Rows with our features, and whether the customer's card was known to be stolen."""
    say(f"features of {len(rows):,} transactions")
    values, _ = our_features(rows)
    return Part(rows, values, known_before(rows))


def known_before(rows: Transactions) -> Floats:
    """Per row: frauds of the customer known by then, a week late, within 30 days."""
    past = history(rows.customer, rows.seconds)
    fraud, delay = past.take(rows.fraud.astype(float)), DELAY_DAYS * DAY
    return past.restore(past.totals(fraud, delay + 30 * DAY) - past.totals(fraud, delay))


def make_choices(path: Path) -> None:
    """Choose baselines, candidate and calibration on the validation folds; write them down."""
    part = make_part(load(path, day_of(VALIDATION_END)))
    with Pool(part) as pool:
        lab = Lab(part, pool)
        baselines = choose_baselines(pool, VALIDATION_STARTS, say)
        candidate, told = choose(lab, VALIDATION_STARTS, say)
        brier = brier_scores(lab, candidate, VALIDATION_STARTS)
    told |= {"brier": brier, "calibration": min(brier, key=lambda name: brier[name])}
    told["baselines"] = {
        family: {name: asdict(baseline) for name, baseline in chosen.items()}
        for family, chosen in baselines.items()
    }
    told["last_row"] = VALIDATION_END
    CHOICES.parent.mkdir(exist_ok=True)
    CHOICES.write_text(json.dumps(told, indent=1))
    say(f"chosen: {candidate.name}, {told['calibration']}; written to {CHOICES}")


def check_counts(rows: Transactions) -> dict[str, list[int]]:
    """Chapter 3's training and test set, as we make them."""
    fold = split(rows, "2018-07-25")
    return {
        name: [len(part), int(rows.fraud[part].sum())]
        for name, part in (("train", fold.train), ("test", fold.test))
    }


def test_choices(path: Path) -> dict[str, Any]:
    """Everything on the test folds, once."""
    told = json.loads(CHOICES.read_text())
    part = make_part(load(path, day_of(TEST_END)))
    result: dict[str, Any] = {"counts": check_counts(part.rows), "counts_published": COUNTS}
    tree = told["candidate"]
    candidate = Candidate(**(tree | {"recipes": tuple(tree["recipes"])}))
    with Pool(part) as pool:
        result["baselines"] = reproduce(pool, told["baselines"])
        say(f"testing {candidate.name}")
        lab = Lab(part, pool)
        found = run_candidate(lab, candidate, TEST_STARTS)
        brier = brier_scores(lab, candidate, TEST_STARTS)[told["calibration"]]
    fit_seconds = lab.fit_seconds(candidate, TEST_STARTS)
    goals = {name: {"goal": goal, "reached": found[name] >= goal} for name, goal in GOALS.items()}
    ours = found | {"brier": brier, "fit_seconds": fit_seconds, "goals": goals, "chosen": told}
    return ours | result


def reproduce(pool: Pool, chosen: dict[str, Any]) -> dict[str, Any]:
    """The published models on the test folds beside what was published."""
    table: dict[str, Any] = {}
    for family, points in chosen.items():
        given = {name: Baseline(**tree) for name, tree in points.items()}
        ours = run_chosen(pool, given, TEST_STARTS)
        worst = max(abs(ours[name] - PUBLISHED[family][name]) for name in ours)
        is_close = bool(np.round(worst, 4) <= TOLERANCE[family])
        table[family] = {"ours": ours, "published": PUBLISHED[family], "within": is_close}
        say(f"{family}: {table[family]}")
    return table


def main() -> None:
    """Choose, then test; the last line is one JSON object."""
    path = find_file(__doc__)
    if path is None:
        print(json.dumps({"skipped": "no handbook_transactions.parquet; give its path"}))
        return
    make_choices(path)
    result = test_choices(path)
    print(json.dumps(result | {"published": PUBLISHED}))


if __name__ == "__main__":
    main()
