"""The imbalance table as a picture: a row per history, a panel per figure, a bar per arm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TITLES = {"world": "Synthetic world", "handbook": "Handbook"}
BRIER_TICKS = (0.003, 0.01, 0.03, 0.1)
PLAIN, TREATED, FAINT = "#2f6f9f", "#d08a2e", "#b9c4cc"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Average precision with its interval, Brier before and after calibration, money a day."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(found), 3, figsize=(12, 4.2 * len(found)), squeeze=False, layout="constrained"
    )
    for row, (name, case) in zip(axes, found.items(), strict=True):
        _draw_row(row, TITLES[name], case["arms"])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_row(row: Any, title: str, arms: Mapping[str, Any]) -> None:
    names = sorted(arms, key=lambda name: arms[name]["ap"])
    place = np.arange(len(names))
    colours = [TREATED if _is_treated(name) else PLAIN for name in names]
    precision = np.array([arms[name]["ap"] for name in names])
    interval = np.array([arms[name]["ap_interval"] for name in names])
    errors = np.maximum(np.abs(interval - precision[:, None]).T, 0.0)
    row[0].barh(place, precision, color=colours, xerr=errors, error_kw={"ecolor": "#444444"})
    row[0].set_yticks(place, names, fontsize=8)
    row[0].set_title(f"{title}: average precision, 95 % interval", fontsize=9)
    _brier_panel(row[1], place, [arms[name] for name in names])
    saved = [arms[name]["saved_per_day_minor"] / 100 for name in names]
    row[2].barh(place, saved, color=colours)
    row[2].set_yticks(place, [])
    row[2].set_title("money saved a day, currency units (orange: treated)", fontsize=9)


def _brier_panel(axis: Any, place: Any, arms: list[Any]) -> None:
    before = [arm["brier_before"] for arm in arms]
    after = [arm["brier_after"] for arm in arms]
    axis.hlines(place, after, before, color=FAINT, linewidth=3)
    axis.plot(before, place, "o", mfc="white", mec=PLAIN, label="before")
    axis.plot(after, place, "o", color=PLAIN, label="after")
    axis.set_xscale("log")
    axis.set_xticks(BRIER_TICKS, [f"{tick:g}" for tick in BRIER_TICKS])
    axis.set_xticks([], minor=True)
    axis.set_ylim(-0.8, len(arms) - 0.2)
    axis.set_yticks(place, [])
    axis.grid(axis="x", color="#e5e9ec")
    axis.legend(fontsize=8, loc="lower right")
    axis.set_title("Brier score before and after calibration", fontsize=9)


def _is_treated(name: str) -> bool:
    return any(word in name for word in ("smote", "weight"))
