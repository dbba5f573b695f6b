"""Line charts over rounds as inline SVG; ink takes the colour of the page's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 28, 34
_COLOURS = ("#0b84a5", "#d1642e", "#7a5fb0", "#2f9560", "#b8860b", "#a83b62", "#5b7083", "#c2185b")
_TICKS = 4


@dataclass(frozen=True)
class Line:
    """One curve: its points (round, value) in the order of the rounds; a ``thick`` one is the sum of the others."""

    name: str
    points: Sequence[tuple[int, float]]
    thick: bool = False


def chart(title: str, lines: Sequence[Line], *, limit: float | None = None, top: float | None = None) -> str:
    """Return a chart of curves over rounds with a legend; empty without a point.

    Args:
        title: What the values are.
        lines: The curves.
        limit: A value that is not to be passed, drawn across.
        top: Upper end of the axis; the largest value where left out.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return ""
    values = [value for line in drawn for _, value in line.points]
    height = top or 1.08 * max([*values, limit or 0.0, 1e-9])
    last = max(number for line in drawn for number, _ in line.points)
    frame = _Frame(last, height)
    colours = {line.name: _COLOURS[at % len(_COLOURS)] for at, line in enumerate(drawn)}
    parts = [_axes(frame), *(_curve(frame, line, colours[line.name]) for line in drawn)]
    if limit is not None:
        parts.append(_limit(frame, limit))
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" fill="none" '
        f'stroke="currentColor" font-size="11" font-family="system-ui, sans-serif">'
        f'<text x="{_LEFT}" y="16" fill="currentColor" stroke="none" font-size="13">{escape(title)}</text>'
        f"{''.join(parts)}</svg>"
    )
    return f"<figure>{svg}<figcaption>{_legend(drawn, colours)}</figcaption></figure>"


@dataclass(frozen=True)
class _Frame:
    last: int
    height: float

    def at(self, number: float, value: float) -> tuple[float, float]:
        """Return the place of a value of a round on the drawing."""
        across = (number - 1) / max(self.last - 1, 1)
        up = min(max(value / self.height, 0.0), 1.0)
        width, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return round(_LEFT + across * width, 1), round(_TOP + (1 - up) * tall, 1)


def _axes(frame: _Frame) -> str:
    parts = []
    for tick in range(_TICKS + 1):
        value = frame.height * tick / _TICKS
        _, y = frame.at(1, value)
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke-opacity=".15"/>')
        parts.append(_text(_LEFT - 5, y + 4, f"{value:.2g}", "end"))
    for number in sorted({1, (frame.last + 1) // 2, frame.last}):
        x, _ = frame.at(number, 0)
        parts.append(_text(x, _HEIGHT - _BOTTOM + 15, str(number), "middle"))
    parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 4, "round", "end"))
    return "".join(parts)


def _curve(frame: _Frame, line: Line, colour: str) -> str:
    places = [frame.at(number, value) for number, value in line.points]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}" stroke="none"/>' for x, y in places)
    width = 3 if line.thick else 1.4
    title = f"<title>{escape(line.name)}</title>"
    return f'<g>{title}<path d="{path}" stroke="{colour}" stroke-width="{width}"/>{dots}</g>'


def _limit(frame: _Frame, limit: float) -> str:
    _, y = frame.at(1, limit)
    line = f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke-dasharray="5 4"/>'
    return line + _text(_WIDTH - _RIGHT, y - 4, f"budget {limit:g}", "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x}" y="{round(y, 1)}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor" stroke="none">{escape(text)}</text>'


def _legend(lines: Sequence[Line], colours: dict[str, str]) -> str:
    return " ".join(
        f'<span class="key"><i style="background:{colours[line.name]}"></i>{escape(line.name)}</span>' for line in lines
    )
