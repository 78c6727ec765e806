"""Write the report of a training: its metrics as JSON, and a page with its curves."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath import storage
from swath.messages import Payload
from swath.storage.earlier_outputs import Output, has_json_keys, is_html_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS_FILE, REPORT_FILE = "metrics.json", "report.html"
REPORT_OUTPUTS = (
    Output(METRICS_FILE, has_json_keys("options", "data", "metrics")),
    Output(REPORT_FILE, is_html_page),
)

END_REASONS = {
    "epochs": "all epochs are complete",
    "patience": "validation did not improve any more (patience)",
    "minutes": "the time limit was reached (minutes)",
    "stopped": "it was stopped",
}
_TITLES = {
    "ap50": "AP at IoU 0.5",
    "ap": "AP at IoU 0.5 to 0.95",
    "miou": "mean IoU",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
_COLORS = ("#1f5fa8", "#c2571a", "#3b8252", "#7a4f9a", "#8a8a8a")
_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="swath">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.name }}: training</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
         padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin-bottom: .2rem }
  h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
  p.sub { color: #666; margin-top: 0 }
  .metrics { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0 }
  .metric { border: 1px solid #ddd; border-radius: 6px; padding: .5rem .9rem; min-width: 6rem }
  .metric b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums }
  .metric span { color: #666; font-size: .85rem }
  svg { max-width: 100%; height: auto }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums }
  td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top;
           border-bottom: 1px solid #eee }
  th { font-weight: 500; color: #555; white-space: nowrap }
  td { overflow-wrap: anywhere }
</style>
</head>
<body>
<h1>{{ report.name }}</h1>
<p class="sub">{{ report.network }}, {{ "{:,}".format(report.parameters) }} parameters.
Training ended after {{ report.epochs }} epochs and {{ "{:,}".format(report.steps) }} steps,
{{ "%.1f" | format(report.seconds / 60) }} minutes: {{ ends[report.ended] }}.</p>
{% if report.metrics %}
<div class="metrics">
{% for name, value in report.metrics.items() %}
  <div class="metric"><b>{{ "%.3f" | format(value) }}</b>
  <span>{{ titles.get(name, name) }}</span></div>
{% endfor %}
</div>
<p class="sub">Metrics of the exported weights on the validation scenes
{%- if report.options.keep == "best" %}; the weights are those after epoch {{ report.best_epoch }}
{%- endif %}.</p>
{% else %}
<p>There are no validation scenes. The last weights are exported.</p>
{% endif %}
{{ curves }}
<h2>Data</h2>
<table>
{% for kind, data in report.data.items() if data %}
<tr><th>{{ kind }}</th><td>{{ data.objects }} objects in
{{ data.scenes | length }} scene{{ "s" if data.scenes | length != 1 }}:
{{ data.scenes[:40] | join(", ") }}{% if data.scenes | length > 40 %} …{% endif %}<br>
digest {{ data.digest }}</td></tr>
{% endfor %}
<tr><th>bands</th><td>{{ report.bands | join(", ") }}</td></tr>
<tr><th>package</th><td>digest {{ report.digest }}</td></tr>
</table>
<h2>Options</h2>
<table>
{% for name, value in report.options.items() %}
<tr><th>{{ name }}</th><td>{{ value if value is string else value | tojson }}</td></tr>
{% endfor %}
</table>
</body>
</html>
"""


class TrainReport(Payload, frozen=True, kw_only=True):
    """Results of a training: the content of `metrics.json`."""

    name: str
    """Name of the model."""
    package: str
    """Folder of the model package."""
    digest: str
    """Digest of the package."""
    network: str
    """Architecture of the network."""
    parameters: int
    """Number of weights of the network."""
    bands: list[str]
    """Names of the bands, in the model's order."""
    ended: str
    """Reason why training ended: `epochs`, `patience`, `minutes` or `stopped`."""
    epochs: int
    """Number of finished epochs."""
    steps: int
    """Number of updates of the weights."""
    best_epoch: int
    """Epoch with the best validation, counted from 1; 0 without validation."""
    seconds: float
    """Duration of the training in seconds, over all its processes."""
    metrics: dict[str, float]
    """Validation metrics of the exported weights; empty without validation."""
    score_threshold: float | None
    """Score from which a detection counts; None where the package states none."""
    data: dict[str, Any]
    """Digests, scenes and numbers of objects of the collections `training` and `validation`."""
    options: dict[str, Any]
    """Options of the training."""
    curves: list[dict[str, float]]
    """Metrics of each epoch."""


def write_report(report: TrainReport, folder: Path) -> None:
    """Write `metrics.json` and `report.html`."""
    text = json.dumps(report.to_json(), indent=2) + "\n"
    storage.write_bytes(str(folder / METRICS_FILE), text.encode())
    storage.write_bytes(str(folder / REPORT_FILE), render_page(report).encode())


def render_page(report: TrainReport) -> str:
    """Return the report as an HTML page that needs no other file."""
    # Imported here, because code that only reads a report needs neither.
    from jinja2 import Environment  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(
        report=report,
        titles=_TITLES,
        ends=END_REASONS,
        curves=Markup(draw_curves(report.curves, report.best_epoch)),  # noqa: S704 (generated here)
    )


def draw_curves(curves: Sequence[dict[str, float]], best_epoch: int) -> str:
    """Return an SVG element with the curves of loss, validation metrics and learning rate.

    Args:
        curves: Metrics of each epoch.
        best_epoch: Epoch to mark as the best, counted from 1; 0 for none.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = [
        ("mean loss per epoch", [n for n in _metric_names(curves) if n.startswith("loss")]),
        ("validation", [n for n in _metric_names(curves) if n in _TITLES]),
        ("learning rate", ["learning_rate"]),
    ]
    panels = [(title, names) for title, names in panels if names]
    # Keep text as text, and give the same bytes for the same curves.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "swath", "font.size": 9}):
        figure = Figure(figsize=(9, 2.6 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for axis, (title, names) in zip(axes, panels, strict=True):
            _draw_panel(axis, title, names, curves)
        if best_epoch and len(panels) > 2:  # noqa: PLR2004 (one panel is the validation)
            axes[1].axvline(best_epoch, color="#999", linewidth=1, linestyle=":", label="best")
            axes[1].set_ylim(0, 1.03)
            _add_legend(axes[1])
        axes[-1].set_xlabel("epoch")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _draw_panel(
    axis: Axes, title: str, names: Sequence[str], curves: Sequence[dict[str, float]]
) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    for name, color in zip(names, _COLORS, strict=False):
        points = [(point["epoch"], point[name]) for point in curves if name in point]
        x, y = zip(*points, strict=True)
        axis.plot(x, y, color=color, linewidth=1.6, marker=".", markersize=4, label=_label(name))
    axis.set_title(title, loc="left", fontsize=10)
    axis.grid(color="#eee")
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(names) > 1:
        _add_legend(axis)


def _add_legend(axis: Axes) -> None:
    """Put the legend beside the plot, so that it hides no curve."""
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _label(name: str) -> str:
    return _TITLES.get(name, name.removeprefix("loss_").replace("_", " "))


def _metric_names(curves: Sequence[dict[str, float]]) -> list[str]:
    """Return the names of all metrics, in the order of their first occurrence."""
    return list(dict.fromkeys(name for point in curves for name in point))
