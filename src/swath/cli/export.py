"""Define `swath export`, which writes detections to a file of any format."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from swath.cli.console import print_line, print_warning
from swath.cli.options import exports, inputs
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.database.queries.filters import DetectionFilter
    from swath.exports.selection import Selection


def export(
    source: exports.Source = None,
    *,
    target: exports.Target,
    export_format: exports.Format = None,
    database: inputs.Database = None,
    class_names: exports.ClassNames = None,
    min_score: exports.MinScore = None,
    bbox: exports.Bbox = None,
    area: exports.Area = None,
    start: exports.Start = None,
    end: exports.End = None,
    model: exports.ModelName = None,
    run: exports.RunId = None,
    replace: exports.Replace = False,
) -> None:
    """Write detections of runs or of the database to one file, all of them or a selection."""
    from swath.database.queries.filters import DetectionFilter
    from swath.exports.export import ExportFormat, export_database, export_files
    from swath.exports.selection import parse_bbox

    asked = DetectionFilter(
        classes=tuple(class_names or ()),
        min_score=min_score,
        bbox=None if bbox is None else parse_bbox(bbox),
        start=start,
        end=end,
        model=model,
        run_id=None if run is None else _parse_run(run),
    )
    selection = _select(asked, area)
    chosen = None if export_format is None else ExportFormat(export_format.value)
    if source is None and database is None:
        raise InputError(
            "there is nothing to export: give a run's folder, or a database with --database"
        )
    write = partial(export_files, source) if source else partial(export_database, database or "")
    report = write(target, export_format=chosen, selection=selection, replace=replace)
    for warning in report.warnings:
        print_warning(warning)
    counts = ", ".join(f"{count} {name}" for name, count in report.classes.items())
    print_line(f"{report.rows} detections{f' ({counts})' if counts else ''}: {target}")


def _select(asked: DetectionFilter, area: str | None) -> Selection:
    from swath.exports.selection import Selection, read_area

    return Selection(asked) if area is None else Selection.from_area(asked, read_area(area))


def _parse_run(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"the run {text!r} is no run's id; `swath run` prints the id") from None
