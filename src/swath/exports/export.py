"""Export detections of files or of the database to one file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from swath import storage
from swath.detection.geoparquet import CLASSES_KEY, MEDIA_TYPE, SCHEMA
from swath.detection.geoparquet_file import BBOX, EDGES, GeoParquetFile
from swath.detection.scene_facts import VERSION_KEY
from swath.detection.spatial_order import SpatialSorter, center_cells, gather_from
from swath.errors import InputError
from swath.exports.selection import Selection
from swath.exports.sources import DATABASE_SCHEMA, read_database, read_files
from swath.exports.text_formats import require_boxes, write_coco, write_csv
from swath.observability.version import __version__


class ExportFormat(StrEnum):
    """Format of an exported file."""

    PARQUET = "parquet"
    GPKG = "gpkg"
    GEOJSON = "geojson"
    GEOJSONL = "geojsonl"
    FGB = "fgb"
    CSV = "csv"
    COCO = "coco"


_SUFFIXES = {
    **{f".{one}": one for one in ExportFormat if one is not ExportFormat.COCO},
    ".geoparquet": ExportFormat.PARQUET,
    ".json": ExportFormat.COCO,
}
_MEDIA_TYPES = {
    ExportFormat.PARQUET: MEDIA_TYPE,
    ExportFormat.GPKG: "application/geopackage+sqlite3",
    ExportFormat.GEOJSON: "application/geo+json",
    ExportFormat.GEOJSONL: "application/geo+json-seq",
    ExportFormat.FGB: "application/octet-stream",
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.COCO: "application/json",
}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Result of an export."""

    rows: int
    """Number of detections in the file."""
    classes: Mapping[str, int]
    """Number of detections of each class that has any, by name."""
    warnings: list[str] = field(default_factory=list)
    """Warnings about the file, a sentence each."""


def export_files(
    source: str,
    target: str,
    *,
    export_format: ExportFormat | None = None,
    selection: Selection | None = None,
    replace: bool = False,
) -> ExportReport:
    """Export the selected detections of runs' files.

    Args:
        source: File of detections, folder of a run, or results of many runs; an S3 URI or a path.
        target: File to write; an S3 URI or a local path.
        export_format: Format; None if the suffix of `target` names it.
        selection: Conditions; None for all detections.
        replace: Whether an existing file is replaced.

    Returns:
        The numbers of detections, and warnings.

    Raises:
        InputError: There are no such files, or the target exists or has no known suffix.
        OSError: The file could not be written.
    """
    rows = read_files(source, selection or Selection())
    return _export(rows, SCHEMA, target, export_format, replace=replace)


def export_database(
    dsn: str,
    target: str,
    *,
    export_format: ExportFormat | None = None,
    selection: Selection | None = None,
    replace: bool = False,
) -> ExportReport:
    """Export the selected detections of a database; see `export_files`.

    Args:
        dsn: URL or libpq string of the database.
        target: File to write; an S3 URI or a local path.
        export_format: Format; None if the suffix of `target` names it.
        selection: Conditions; None for the detections of all current runs.
        replace: Whether an existing file is replaced.

    Returns:
        The numbers of detections, and warnings.

    Raises:
        InputError: The target exists, has no known suffix, or the format needs boxes in px.
        SettingsError: The database cannot be used.
        TransientError: The connection was lost.
        OSError: The file could not be written.
    """
    rows = read_database(dsn, selection or Selection())
    return _export(rows, DATABASE_SCHEMA, target, export_format, replace=replace)


def choose_format(target: str, export_format: ExportFormat | None) -> ExportFormat:
    """Return the format of a file.

    Raises:
        InputError: No format is given, and the suffix of the file names none.
    """
    if export_format is not None:
        return export_format
    suffix = Path(storage.file_name(target)).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(
            f"the name of {target} states no format; end it with {', '.join(_SUFFIXES)}, or give "
            "--format"
        )
    return _SUFFIXES[suffix]


def _export(
    rows: Iterator[pa.Table],
    schema: pa.Schema,
    target: str,
    export_format: ExportFormat | None,
    *,
    replace: bool,
) -> ExportReport:
    chosen = choose_format(target, export_format)
    if chosen is ExportFormat.COCO:
        require_boxes(schema)
    if not replace and storage.exists(target):
        raise InputError(f"{target} exists; choose another file, or give --replace")
    with storage.writing(target, content_type=_MEDIA_TYPES[chosen]) as path:
        if chosen is ExportFormat.PARQUET:
            return _write_sorted(rows, schema, path)
        # Beside the target there is space for it; the folder for temporary files may be small.
        with tempfile.TemporaryDirectory(prefix=".swath-", dir=path.parent) as folder:
            sorted_path = Path(folder, "sorted.parquet")
            report = _write_sorted(rows, schema, sorted_path)
            written = Path(folder, f"export.{chosen}")
            warnings = _convert(sorted_path, written, chosen, [*report.classes])
            written.replace(path)
        return ExportReport(report.rows, report.classes, warnings)


def _convert(source: Path, target: Path, chosen: ExportFormat, classes: list[str]) -> list[str]:
    match chosen:
        case ExportFormat.CSV:
            write_csv(source, target)
            return []
        case ExportFormat.COCO:
            return write_coco(source, target, classes)
    # Imported here, since GDAL is slow to import.
    from swath.detection.vector_formats import GdalFormat, write_vector  # noqa: PLC0415

    return write_vector(source, target, cast("GdalFormat", chosen.value))


def _write_sorted(rows: Iterable[pa.Table], schema: pa.Schema, path: Path) -> ExportReport:
    """Write rows as GeoParquet, sorted along the space-filling curve."""
    counts: dict[str, int] = {}
    with closing(GeoParquetFile(path, schema)) as file, SpatialSorter(gather_from) as sorter:
        for table in rows:
            _count_classes(table, counts)
            sorter.add(
                table,
                _cells(table),
                tile=table["tile"].fill_null(-1).to_numpy(),
                score=table["score"].to_numpy(),
                size=table.nbytes,
            )
        for table in sorter.read_sorted():
            file.write(table)
        classes = dict(sorted(counts.items()))
        file.finish({CLASSES_KEY: json.dumps(classes), VERSION_KEY: __version__})
    return ExportReport(file.count, classes)


def _count_classes(rows: pa.Table, counts: dict[str, int]) -> None:
    for entry in pc.value_counts(rows["class"].cast(pa.string())).to_pylist():
        counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]


def _cells(rows: pa.Table) -> np.ndarray:
    bounds = rows[BBOX].combine_chunks()
    return center_cells(np.stack([bounds.field(name).to_numpy() for name in EDGES]))
