"""The plots of a report, as SVG that stands within a page."""

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
    # Text stays text: the page's font, and a tenth of the size.
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
# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_WHOLE = "#1b1f23"
_MOST_CLASSES = 7
_SIZE = (4.6, 3.4)


def precision_recall(evaluation: Evaluation) -> str:
    """Precision over recall: of all classes together, and of each."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "precision-recall"}):
        figure, axes = _axes("recall", "precision")
        classes = evaluation.classes[:_MOST_CLASSES]
        for colour, one in zip(_COLOURS, classes if len(classes) > 1 else [], strict=False):
            _line(axes, one.curve, color=colour, linewidth=1.2, label=one.name)
        label = "all classes" if len(classes) > 1 else classes[0].name
        _line(axes, evaluation.curve, color=_WHOLE, linewidth=1.8, label=label)
        recall, precision = (evaluation.figures[name] for name in ("recall", "precision"))
        if recall is not None and precision is not None:
            threshold = evaluation.package.score_threshold
            at = f"at the package's threshold, {threshold:g}"
            axes.plot([recall], [precision], "o", color=_COLOURS[5], label=at)
        axes.legend(loc="upper right", fontsize=8)
        return _svg(figure)


def by_threshold(evaluation: Evaluation) -> str:
    """Precision, recall and F1 over the threshold."""
    curve, floor = evaluation.curve, evaluation.package.reported_from
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "by-threshold"}):
        figure, axes = _axes("score threshold", "")
        for name, colour in zip(("precision", "recall", "f1"), _COLOURS, strict=False):
            label = "F1" if name == "f1" else name
            values = getattr(curve, name)
            # Down to the floor nothing more was found.
            score = [*curve.score, *([floor] if values else [])]
            axes.step(score, values + values[-1:], where="pre", color=colour, label=label)
        threshold = evaluation.package.score_threshold
        axes.axvline(threshold, color=_COLOURS[5], linestyle="--", linewidth=1)
        axes.annotate(
            "package",
            (threshold, 1.02),
            xytext=(4, 0),
            textcoords="offset points",
            color=_COLOURS[5],
            fontsize=8,
        )
        axes.legend(loc="best", fontsize=8)
        return _svg(figure)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1.01), ylim=(0, 1.08), xlabel=x, ylabel=y)
    return figure, axes


def _line(axes: Axes, curve: CurvePoints, **style: Any) -> None:
    # One point alone makes no line.
    marker = "o" if len(curve.score) == 1 else None
    axes.plot(curve.recall, curve.precision, marker=marker, markersize=4, **style)


def _svg(figure: Figure) -> str:
    """Without a date, so that the same figures give the same file; from its first tag on."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]
