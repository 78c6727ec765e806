"""The table in `docs/benchmarks.md`, made from the result files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.figures import FIGURES, Figure
from benchmarks.results import Result
from benchmarks.worker import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
_START = "<!-- results: written by make bench -->\n"
_END = "<!-- end of results -->\n"


def update_page(results: Mapping[str, Result], page: Path = PAGE) -> None:
    """Write the table into the page, between its two marks.

    Raises:
        ValueError: the page has lost one of them.
    """
    text = page.read_text()
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise ValueError(f"{page} needs the lines {_START.strip()!r} and {_END.strip()!r}")
    page.write_text(before + start + "\n" + make_table(results) + "\n" + end + after)


def make_table(results: Mapping[str, Result]) -> str:
    """Return the figures as a Markdown table, and the machine of the measurements."""
    lines = ["| what | measured | goal | result |", "|---|---|---|---|"]
    lines += [_row(figure, results.get(name)) for name, figure in FIGURES.items()]
    return "\n".join([*lines, "", *_machines(results.values())]) + "\n"


def plain_lines(results: Iterable[Result]) -> list[str]:
    """Return the table's lines for a terminal."""
    return [
        f"  {one.name:22} {_number(one.value):>8} {one.figure.unit:2} "
        f"(goal {_goal(one.figure)}){'' if one.met else '  MISSED'}"
        for one in results
    ]


def _row(figure: Figure, found: Result | None) -> str:
    if found is None:
        return f"| {figure.what} | not measured | {_goal(figure)} | open |"
    measured = f"{_number(found.value)} {figure.unit}".strip()
    return f"| {figure.what} | {measured} | {_goal(figure)} | {'met' if found.met else 'missed'} |"


def _goal(figure: Figure) -> str:
    sign = "≥" if figure.better == "higher" else "≤"
    return f"{sign} {_number(figure.goal)} {figure.unit}".strip()


def _number(value: float) -> str:
    """Three digits, and no more zeros than it needs."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _machines(results: Iterable[Result]) -> list[str]:
    """One line for each machine and set of versions among the results."""
    lines = []
    for one in results:
        machine = one.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
        lines.append(
            f"Measured on {machine['cores']} cores of {machine['cpu']} with "
            f"{machine['memory_gb']:.0f} GB, {machine['system']}, Python {machine['python']}, "
            f"{versions}."
        )
    return list(dict.fromkeys(lines))
