"""Write the table in `docs/benchmarks.md` from the result files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.metrics import METRICS, Metric
from benchmarks.results import Result
from benchmarks.worker import ROOT

PAGE_PATH = ROOT / "docs" / "benchmarks.md"
_START = "<!-- results: written by make bench -->\n"
_LINE_LENGTH = 100
_END = "<!-- end of results -->\n"


def update_page(results: Mapping[str, Result], page: Path = PAGE_PATH) -> None:
    """Write the table into the page, between its two markers.

    Raises:
        ValueError: The page lacks a marker.
    """
    text = page.read_text()
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise ValueError(f"{page} needs the lines {_START.strip()!r} and {_END.strip()!r}")
    page.write_text(before + start + "\n" + make_table(results) + "\n" + end + after)


def make_table(results: Mapping[str, Result]) -> str:
    """Return the metrics as a Markdown table, and the machine of the measurements."""
    lines = ["| metric | measured | goal | result |", "|---|---|---|---|"]
    lines += [_format_row(metric, results.get(name)) for name, metric in METRICS.items()]
    return "\n".join([*lines, "", _describe_machines(results.values())]) + "\n"


def terminal_lines(results: Iterable[Result]) -> list[str]:
    """Return the table's lines for a terminal."""
    return [
        f"  {result.name:22} {_format_number(result.value):>8} {result.metric.unit:2} "
        f"(goal {_format_goal(result.metric)}){'' if result.is_met else '  MISSED'}"
        for result in results
    ]


def _format_row(metric: Metric, result: Result | None) -> str:
    if result is None:
        return f"| {metric.description} | not measured | {_format_goal(metric)} | open |"
    measured = f"{_format_number(result.value)} {metric.unit}".strip()
    outcome = "met" if result.is_met else "missed"
    return f"| {metric.description} | {measured} | {_format_goal(metric)} | {outcome} |"


def _format_goal(metric: Metric) -> str:
    sign = "≥" if metric.better == "higher" else "≤"
    return f"{sign} {_format_number(metric.goal)} {metric.unit}".strip()


def _format_number(value: float) -> str:
    """Format a number with three significant digits and without trailing zeros."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _describe_machines(results: Iterable[Result]) -> str:
    """Return a sentence for each machine and set of versions among the results."""
    sentences = []
    for result in results:
        machine = result.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
        sentences.append(
            f"Measured on {machine['cores']} cores of {machine['cpu']} with "
            f"{machine['memory_gb']:.0f} GB, {machine['system']}, Python {machine['python']}, "
            f"{versions}."
        )
    return textwrap.fill(" ".join(dict.fromkeys(sentences)), _LINE_LENGTH)
