"""Draw the plots of a report, as SVG that is embedded in the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from swath.evaluation.results import CurvePoints, Evaluation

_STYLE: Any = {
    # Keep text as text: it has the page's font, and the file is a tenth of the size.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.edgecolor": "#8a9199",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
# Colors of Okabe and Ito, which color-blind readers can distinguish.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_OVERALL_COLOR = "#1b1f23"
_MAX_CLASSES = 7
_SIZE_INCHES = (4.6, 3.4)


def precision_recall(evaluation: Evaluation) -> str:
    """Plot precision over recall for all classes together and for each class, as SVG."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "precision-recall"}):
        figure, axes = _axes("recall", "precision")
        classes = evaluation.classes[:_MAX_CLASSES]
        for color, item in zip(_COLORS, classes if len(classes) > 1 else [], strict=False):
            _line(axes, item.curve, color=color, linewidth=1.2, label=item.name)
        label = "all classes" if len(classes) > 1 else classes[0].name
        _line(axes, evaluation.curve, color=_OVERALL_COLOR, linewidth=1.8, label=label)
        recall, precision = (evaluation.metrics[name] for name in ("recall", "precision"))
        if recall is not None and precision is not None:
            threshold = evaluation.package.score_threshold
            at = f"at the package's threshold, {threshold:g}"
            axes.plot([recall], [precision], "o", color=_COLORS[5], label=at)
        axes.legend(loc="upper right", fontsize=8)
        return _svg(figure)


def metrics_by_threshold(evaluation: Evaluation) -> str:
    """Plot precision, recall and F1 over the score threshold, as SVG."""
    curve, floor = evaluation.curve, evaluation.package.reported_from
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "by-threshold"}):
        figure, axes = _axes("score threshold", "")
        for name, color in zip(("precision", "recall", "f1"), _COLORS, strict=False):
            label = "F1" if name == "f1" else name
            values = getattr(curve, name)
            # Extend the curve to the floor, since there are no more detections above it.
            score = [*curve.score, *([floor] if values else [])]
            axes.step(score, values + values[-1:], where="pre", color=color, label=label)
        threshold = evaluation.package.score_threshold
        axes.axvline(threshold, color=_COLORS[5], linestyle="--", linewidth=1)
        axes.annotate(
            "package",
            (threshold, 1.02),
            xytext=(4, 0),
            textcoords="offset points",
            color=_COLORS[5],
            fontsize=8,
        )
        axes.legend(loc="best", fontsize=8)
        return _svg(figure)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1.01), ylim=(0, 1.08), xlabel=x, ylabel=y)
    return figure, axes


def _line(axes: Axes, curve: CurvePoints, **style: Any) -> None:
    # A curve of one point needs a marker to be visible.
    marker = "o" if len(curve.score) == 1 else None
    axes.plot(curve.recall, curve.precision, marker=marker, markersize=4, **style)


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element, without a date, so that equal figures give equal files."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]
