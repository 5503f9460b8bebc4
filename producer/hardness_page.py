"""The hardness report as one HTML file with its plots inside."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from producer.hardness import Hardness

_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)
_BEST_FEATURES = 20
_ROWS: tuple[tuple[str, str], ...] = (
    ("Transactions", "transactions"),
    ("Fraud rate", "fraud_rate"),
    ("Best single raw field, AP", "max_raw_field_ap"),
    ("Reference model without history, AP", "reference_ap_no_history"),
    ("Reference model with history, AP", "reference_ap_with_history"),
)


def page(reports: Sequence[Hardness]) -> str:
    """The whole report; the first of `reports` is the world that the page is about."""
    world = reports[0]
    parts = [
        "<h1>How hard is this world?</h1>",
        "<p>AP is average precision on the last third of time; a random guess reaches the fraud "
        "rate. A world is worth learning from when no single field gives fraud away and history "
        "helps.</p>",
        _comparison(reports),
        "<h2>Campaigns</h2>",
        _bars({"recall at 1 % alerts": world.campaign_recall, "share": world.campaign_share}),
        "<h2>Raw fields</h2>",
        _bars({"AP of the field alone": world.raw_field_ap}),
        "<h2>Engineered features</h2>",
        _bars({"AP of the feature alone": _largest(world.feature_ap)}),
        "<h2>Labels</h2>",
        _facts({**world.labels, **_from_labels(world)}),
    ]
    body = "\n".join(parts)
    head = f"<meta charset='utf-8'><title>World report</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>\n"


def _comparison(reports: Sequence[Hardness]) -> str:
    names = "".join(f"<th>{html.escape(report.name)}</th>" for report in reports)
    rows = "".join(
        f"<tr><td>{title}</td>{''.join(_cell(getattr(report, field)) for report in reports)}</tr>"
        for title, field in _ROWS
    )
    return f"<table><tr><th></th>{names}</tr>{rows}</table>"


def _cell(value: float) -> str:
    return f"<td>{value:,}</td>" if isinstance(value, int) else f"<td>{value:.4f}</td>"


def _facts(facts: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{value:.3f}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _from_labels(world: Hardness) -> dict[str, float]:
    return {
        f"AP of the model trained on labels, measured {name.replace('_', ' ')}": value
        for name, value in world.reference_ap_from_labels.items()
    }


def _largest(values: Mapping[str, float]) -> dict[str, float]:
    ranked = sorted(values.items(), key=lambda item: -item[1])
    return dict(ranked[:_BEST_FEATURES])


def _bars(panels: Mapping[str, Mapping[str, float]]) -> str:
    """Horizontal bars, a panel beside the other, as an inline image."""
    height = 1.2 + 0.28 * max(len(values) for values in panels.values())
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        _draw(axis, title, values)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    text = base64.b64encode(image.getvalue()).decode()
    caption = html.escape(", ".join(panels))
    return f"<img alt='{caption}' src='data:image/png;base64,{text}'>"


def _draw(axis: Axes, title: str, values: Mapping[str, float]) -> None:
    names = [name.replace("_", " ") for name in values]
    axis.barh(names[::-1], list(values.values())[::-1], color="#33658a")
    axis.set_title(title)
    axis.spines[["top", "right"]].set_visible(False)
