"""The one look at the test fold: figures with intervals, pictures and the model card."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from contracts.settings import PolicySettings
from models.card import CardFacts, model_card
from models.evaluation import Figure, figures
from models.folds import Fold
from models.plots import Test, draw_all
from models.selection import Decider, Judged, judged_metrics
from models.table import TrainingTable

EXPLAINED_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the test said; `every` keeps cards that were already known to be compromised."""

    figures: Mapping[str, Figure]
    every: Mapping[str, float]
    card: str


def assess(
    decider: Decider,
    table: TrainingTable,
    costs: PolicySettings,
    *,
    arm: str,
    arms: Mapping[str, float],
    seed: int,
    folder: Path,
) -> Assessment:
    """Judge the chosen decider once and write card, figures and pictures into `folder`."""
    test = table.of(Fold.TEST)
    rows, every_card = test.judging(), test.where(test.is_evaluated)
    judged = Judged.by(decider, rows)
    found = figures(judged, rows, costs, seed)
    every = judged_metrics(Judged.by(decider, every_card), every_card, costs)
    card = model_card(
        CardFacts(
            title="Fraud detection model",
            arm=arm,
            calibrator=decider.calibration.calibrator.kind,
            policy_version=decider.policy.version,
            arms=arms,
            figures=found,
            every=every,
            description=table.description,
        )
    )
    (folder / "model_card.md").write_text(card)
    tree = {name: asdict(figure) for name, figure in found.items()}
    (folder / "figures.json").write_text(json.dumps(tree, indent=1))
    explained = np.linspace(0, len(rows) - 1, min(len(rows), EXPLAINED_ROWS)).astype(int)
    _, contributions = decider.predictor.explained(rows.values[explained])
    names = table.description.feature_names
    draw_all(Test(rows, judged, contributions, names, costs), folder)
    return Assessment(found, every, card)
