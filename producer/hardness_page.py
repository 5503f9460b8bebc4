"""The hardness report as one HTML file with its plots inside."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from producer.hardness import ALERT_SHARE, RAW_FIELD_BOUND, Hardness
from producer.hardness_charts import Axis, bars, curves, plain

_STYLE = """
:root{--ink:#1d2733;--soft:#5c6b7a;--line:#dfe5eb;--paper:#fff;--card:#f6f8fa;
--a:#2f6690;--b:#d1495b;--c:#3a9188}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa8b5;--line:#33404d;
--paper:#141a21;--card:#1c242d;--a:#6aa9d8;--b:#ef7f8e;--c:#63bdb3}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:66rem;margin:2.5rem auto;padding:0 1.2rem}
h1{font-size:2rem;margin:0 0 .3rem}h2{margin:2.4rem 0 .6rem;font-size:1.3rem}
h3{margin:1.4rem 0 .5rem;font-size:1rem}p{color:var(--soft);max-width:46rem;margin:.3rem 0 1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.8rem}
.tile{background:var(--card);border-radius:.6rem;padding:.9rem 1rem}
.tile b{display:block;font-size:1.7rem;line-height:1.2}
.tile span{color:var(--soft);font-size:.86rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft)}td:first-child,th:first-child{text-align:left}
.worlds td:nth-child(2),.worlds th:nth-child(2){background:var(--card)}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));gap:0 2.4rem}
.bars{display:grid;grid-template-columns:minmax(9rem,auto) 1fr 3.2rem;gap:.28rem .7rem;
align-items:center;font-size:.88rem}.name{text-align:right;color:var(--soft)}
.value{font-variant-numeric:tabular-nums}.track{position:relative;background:var(--card);
height:1rem;border-radius:.2rem}.track b{display:block;height:100%;border-radius:.2rem}
.bound{position:absolute;top:-.15rem;bottom:-.15rem;width:0;border-left:2px dashed var(--b)}
figure{margin:0}svg{width:100%;height:auto}svg line{stroke:var(--line)}
svg polyline{fill:none;stroke-width:2.5;stroke-linejoin:round}
svg text{font-size:11px;fill:var(--soft);text-anchor:middle}svg .end{text-anchor:end}
figcaption{display:flex;gap:1.2rem;font-size:.86rem;color:var(--soft)}
figcaption i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;
margin-right:.4rem;vertical-align:-.05rem}
details{border-top:1px solid var(--line);margin-top:2rem;padding-top:.6rem}
details details{border:0;margin-top:1rem}details details summary{font-size:1rem}
summary{cursor:pointer;font-size:1.1rem;font-weight:600}
@media(max-width:40rem){.two{grid-template-columns:1fr}}
"""
_BEST_FEATURES = 18
_PERCENT = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("Transactions", "transactions", ",d"),
    ("Fraud rate", "fraud_rate", ".2%"),
    ("Best single raw field, AP", "max_raw_field_ap", ".3f"),
    ("Best single engineered feature, AP", "max_feature_ap", ".3f"),
    ("Reference model without history, AP", "reference_ap_no_history", ".3f"),
    ("Reference model with history, AP", "reference_ap_with_history", ".3f"),
    ("History multiplies AP by", "history_gain", ".1f"),
    ("With history, learned from labels, AP on truth", "from_labels_on_truth", ".3f"),
    ("With history, learned from labels, AP on labels", "from_labels_on_labels", ".3f"),
    ("Frauds that are never labelled", "unreported_share", ".1%"),
    ("Fraud labels that are wrong", "wrong_share_of_labels", ".1%"),
    ("Median delay of a label, hours", "median_delay_hours", ".0f"),
    ("95 in 100 labels come within, hours", "p95_delay_hours", ".0f"),
)


def page(reports: Sequence[Hardness]) -> str:
    """The whole report; the first of `reports` is the world that the page is about."""
    world, *others = reports
    parts = [
        "<h1>How hard is this world?</h1>",
        "<p>AP is average precision on the last third of time, after training on the first two; "
        "guessing reaches the fraud rate. A world is worth learning from when no single field "
        "gives fraud away, when history helps, and when even a good model misses some.</p>",
        _tiles(world),
        "<h2>Beside other worlds</h2>",
        "<p>The same model with the same settings on each; features know labels from when they "
        "came. Learned from labels, it sees those known at the cut, and leaves out transactions "
        "too young to have theirs. A tutorial's fraud is the toss of a "
        "coin, so nothing can be learned from it; the Handbook's is partly given away by the "
        "amount alone.</p>",
        _comparison(reports),
        f"<h2>{plain(world.name).capitalize()} in detail</h2>",
        _details(world),
        *(
            f"<details><summary>{plain(other.name).capitalize()} in detail</summary>"
            f"{_details(other)}</details>"
            for other in others
        ),
    ]
    body = "\n".join(parts)
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>World report</title><style>{_STYLE}</style>"
    )
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>\n"


def _tiles(world: Hardness) -> str:
    facts = (
        (f"{world.fraud_rate:.2%}", f"of {world.transactions:,} transactions are fraud"),
        (f"{world.max_raw_field_ap:.3f}", f"AP of the best raw field; bound {RAW_FIELD_BOUND}"),
        (f"{world.reference_ap_no_history:.2f}", "AP of a model that sees the event alone"),
        (f"{world.reference_ap_with_history:.2f}", "AP of the same model with history"),
        (f"{world.labels['unreported_share']:.0%}", "of frauds are never labelled"),
    )
    tiles = "".join(
        f"<div class='tile'><b>{value}</b><span>{text}</span></div>" for value, text in facts
    )
    return f"<div class='tiles'>{tiles}</div>"


def _comparison(reports: Sequence[Hardness]) -> str:
    names = "".join(f"<th>{html.escape(report.name)}</th>" for report in reports)
    rows = "".join(
        _row(title, [_figures(report)[field] for report in reports], form)
        for title, field, form in _ROWS
    )
    return f"<table class='worlds'><tr><th></th>{names}</tr>{rows}</table>"


def _figures(report: Hardness) -> dict[str, Any]:
    """Everything that a row of the comparison may show, by name."""
    from_labels = report.reference_ap_from_labels
    named = {f"from_labels_{where}": value for where, value in from_labels.items()}
    return report.as_json() | report.labels | named


def _row(title: str, values: Sequence[float], form: str) -> str:
    cells = "".join(f"<td>{value:{form}}</td>" for value in values)
    return f"<tr><td>{title}</td>{cells}</tr>"


def _details(world: Hardness) -> str:
    alerts = f"{ALERT_SHARE:.0%} of transactions"
    features = _ranked(world.feature_ap)
    columns = [
        (f"Campaigns: recall with alerts on {alerts}", bars(world.campaign_recall)),
        ("Campaigns: share of all fraud", bars(world.campaign_share, colour=2)),
        ("Raw fields: AP of each alone", bars(_ranked(world.raw_field_ap), bound=RAW_FIELD_BOUND)),
        (
            f"Engineered features: AP of the best {_BEST_FEATURES} alone",
            bars(dict([*features.items()][:_BEST_FEATURES]), colour=2),
        ),
        ("Precision at each recall", _precision(world)),
        ("How late labels come", _delays(world)),
    ]
    cells = "".join(f"<div><h3>{title}</h3>{plot}</div>" for title, plot in columns)
    rest = bars(dict([*features.items()][_BEST_FEATURES:]), colour=2)
    title = f"{plain(world.name).capitalize()}: all other features alone"
    others = f"<details><summary>{title}</summary>{rest}</details>"
    return f"<div class='two'>{cells}</div>{others}"


def _precision(world: Hardness) -> str:
    across = Axis("recall", 1.0, _PERCENT)
    return curves(world.precision_recall, across, Axis("precision", 1.0, _PERCENT))


def _delays(world: Hardness) -> str:
    if not world.delay_days:
        return "<p>Labels are there at once: this world knows no delay.</p>"
    across = Axis("days after the transaction", 20.0, (0, 5, 10, 15, 20))
    up = Axis("share of labels known", 1.0, _PERCENT)
    line = [(0.0, 0.0), *world.delay_days, (across.most, 1.0)]
    return curves({"labels of fraud": line}, across, up)


def _ranked(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: -item[1]))
