"""Plots of the hardness report as HTML and SVG that need nothing from elsewhere."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
COLOURS = ("var(--a)", "var(--b)", "var(--c)")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 280, 46, 40


def bars(values: Mapping[str, float], *, bound: float | None = None, colour: int = 0) -> str:
    """A horizontal bar for each value, in the order given; a line where `bound` is."""
    top = max([*values.values(), bound or 0.0, 1e-9]) * 1.05
    mark = "" if bound is None else f"<i class='bound' style='left:{100 * bound / top:.2f}%'></i>"
    rows = "".join(
        f"<div class='name'>{plain(name)}</div><div class='track'>{mark}"
        f"<b style='width:{100 * value / top:.2f}%;background:{COLOURS[colour]}'></b></div>"
        f"<div class='value'>{value:.3f}</div>"
        for name, value in values.items()
    )
    return f"<div class='bars'>{rows}</div>"


@dataclass(frozen=True, slots=True)
class Axis:
    """One side of a plot, from 0 to `most`; `ticks` are labelled with `unit`."""

    title: str
    most: float
    ticks: tuple[float, ...]
    unit: str = ""


def curves(lines: Mapping[str, Points], across: Axis, up: Axis) -> str:
    """Lines over two axes, with their names beneath."""
    drawn = "".join(
        f"<polyline points='{_path(points, across, up)}' stroke='{COLOURS[number]}'/>"
        for number, points in enumerate(lines.values())
    )
    names = "".join(
        f"<span><i style='background:{COLOURS[number]}'></i>{plain(name)}</span>"
        for number, name in enumerate(lines)
    )
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    picture = f"<svg viewBox='{box}' role='img'>{_grid(across, up)}{drawn}</svg>"
    return f"<figure>{picture}<figcaption>{names}</figcaption></figure>"


def plain(name: str) -> str:
    """A field's or campaign's name for a reader."""
    return html.escape(name.replace("_", " "))


def _grid(across: Axis, up: Axis) -> str:
    lines = [_tick_across(across, tick) for tick in across.ticks]
    lines += [_tick_up(up, tick) for tick in up.ticks]
    middle = _LEFT + (_WIDTH - _LEFT) / 2
    lines.append(f"<text x='{middle:.0f}' y='{_HEIGHT - 4}'>{plain(across.title)}</text>")
    centre = (_HEIGHT - _BOTTOM) / 2
    turned = f"transform='rotate(-90 11 {centre:.0f})'"
    lines.append(f"<text x='11' y='{centre:.0f}' {turned}>{plain(up.title)}</text>")
    return "".join(lines)


def _tick_across(axis: Axis, tick: float) -> str:
    x, bottom = _x(tick, axis), _HEIGHT - _BOTTOM
    text = f"<text x='{x:.1f}' y='{bottom + 16}'>{tick:g}{axis.unit}</text>"
    return f"<line x1='{x:.1f}' y1='8' x2='{x:.1f}' y2='{bottom}'/>{text}"


def _tick_up(axis: Axis, tick: float) -> str:
    y = _y(tick, axis)
    text = f"<text x='{_LEFT - 6}' y='{y + 4:.1f}' class='end'>{tick:g}{axis.unit}</text>"
    return f"<line x1='{_LEFT}' y1='{y:.1f}' x2='{_WIDTH - 12}' y2='{y:.1f}'/>{text}"


def _path(points: Points, across: Axis, up: Axis) -> str:
    return " ".join(f"{_x(x, across):.1f},{_y(y, up):.1f}" for x, y in points)


def _x(value: float, axis: Axis) -> float:
    return _LEFT + (_WIDTH - 12 - _LEFT) * min(value / axis.most, 1.0)


def _y(value: float, axis: Axis) -> float:
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - 8) * min(value / axis.most, 1.0)
