"""Plots as inline SVG; ink takes the colour of the page's text, so that they follow light, dark and print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from fedpsma.evaluation.calibration import ReliabilityBin
from fedpsma.evaluation.report import Curve, ModelResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE_INCHES = (4.4, 3.5)
# A colour that no series has: it is replaced by the page's own ink.
_INK = "#010203"
_SERIES = ("#0b84a5", "#d1642e", "#7a5fb0", "#2f9560", "#b8860b", "#a83b62")


def froc_plot(models: Sequence[ModelResult]) -> str:
    """Draw sensitivity against false positives a scan, with the band over patients; empty where nothing is ranked."""
    curves = [(one.name, one.froc) for one in models if one.froc is not None]

    def draw(axes: Axes) -> None:
        for (name, curve), colour in zip(curves, _colours(len(curves)), strict=True):
            axes.plot(curve.x, curve.y, color=colour, label=name)
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        axes.set(xlabel="false positives a scan", ylabel="sensitivity", ylim=(0, 1.02), xlim=(0, None))
        axes.legend(loc="lower right", frameon=False, labelcolor=_INK)

    return _svg("froc", "Sensitivity against false positives a scan", draw) if curves else ""


def precision_recall_plot(models: Sequence[ModelResult]) -> str:
    """Draw precision against recall over all thresholds; empty where nothing is ranked."""
    curves = [(one.name, one.precision_recall) for one in models if one.precision_recall is not None]

    def draw(axes: Axes) -> None:
        for (name, curve), colour in zip(curves, _colours(len(curves)), strict=True):
            axes.step(*_from_zero(curve), where="post", color=colour, label=name)
        axes.set(xlabel="recall (lesions found)", ylabel="precision", ylim=(0, 1.02), xlim=(0, 1.02))

    return _svg("precision-recall", "Precision against recall", draw) if curves else ""


def bland_altman_plot(model: ModelResult) -> str:
    """Draw found minus true tumour volume against their mean, each scan a point; empty without any volume."""
    pairs = np.array(model.volumes_ml, dtype=np.float64).reshape(-1, 2)
    pairs = pairs[pairs.sum(axis=1) > 0]
    figures = model.groups[0].figures
    lines = [figures.get(f"volume_{name}_ml") for name in ("lower_limit", "bias", "upper_limit")]

    def draw(axes: Axes) -> None:
        axes.scatter(pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0], s=14, color=_SERIES[0], alpha=0.75, linewidth=0)
        for line, style in zip(lines, ("--", "-", "--"), strict=True):
            if line is not None and line.value is not None:
                axes.axhline(line.value, color=_SERIES[1], linestyle=style, linewidth=1.1)
        axes.set(xlabel="mean of true and found (ml)", ylabel="found minus true (ml)")
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(0, None)
        axes.xaxis.set_major_formatter("{x:g}")

    return _svg(f"bland-altman-{model.name}", f"Tumour volume, {model.name}", draw) if len(pairs) else ""


def reliability_plot(name: str, bins: Sequence[ReliabilityBin]) -> str:
    """Draw the share of lesions against the probability, the dots as large as the bins; empty without a bin."""
    most = max((one.foci for one in bins), default=1.0)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.5, linewidth=0.9, linestyle=":")
        x, y = [one.probability for one in bins], [one.observed for one in bins]
        axes.plot(x, y, color=_SERIES[0], linewidth=1.1)
        axes.scatter(x, y, s=[12 + 40 * one.foci / most for one in bins], color=_SERIES[0], linewidth=0)
        axes.set(xlabel="probability given", ylabel="share that is a lesion", xlim=(0, 1.02), ylim=(-0.02, 1.02))

    return _svg(f"reliability-{name}", f"Reliability, {name}", draw) if bins else ""


def _from_zero(curve: Curve) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (0.0, *curve.x), (*curve.y[:1], *curve.y)


def _colours(count: int) -> tuple[str, ...]:
    return tuple(_SERIES[at % len(_SERIES)] for at in range(count))


def _svg(name: str, title: str, draw: Callable[[Axes], None]) -> str:
    """Return one plot as ``<svg>``; ``name`` keeps its ids apart from those of other plots on the page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    ink = {key: _INK for key in ("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "text.color")}
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif", "font.size": 9.5, **ink}
    with mpl.rc_context(style):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        figure.patch.set_alpha(0.0)
        axes = FigureCanvasSVG(figure).figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.18, color=_INK, linewidth=0.7)
        draw(axes)
        axes.set_title(title)
        stream = StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    drawing = stream.getvalue()
    return drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
