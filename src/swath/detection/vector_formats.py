"""Write a file of detections as GeoPackage, GeoJSON, GeoJSON Text Sequence or FlatGeobuf.

GDAL and QGIS as Debian packages them cannot read Parquet. The rows are read from the
GeoParquet file, one row group at a time, so memory does not grow with their number. GDAL writes
them. pyogrio includes a GDAL with the drivers of these formats; rasterio's GDAL lacks them.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio

from swath.errors import RunIncompleteError
from swath.storage.earlier_outputs import VECTOR_DESCRIPTION
from swath.storage.output_folder import VECTOR_FILES, VectorFormat

GdalFormat = VectorFormat | Literal["geojsonl"]
"""Format that GDAL writes."""
LAYER = "detections"
MAX_INDEXED_FLATGEOBUF_ROWS = 10_000_000
"""Most rows of a FlatGeobuf file with an index. GDAL sorts the index in memory: 105 bytes a row, or
1 GB for this number."""

_BATCH_ROWS = 16384
_MAX_GROWTH = 4
"""Largest ratio of a file's size to that of the GeoParquet file; GeoJSON is the largest."""
_GEOMETRY = "geometry"
_NOT_WRITTEN = {"bbox"}
"""Columns that only GeoParquet has: the other formats have an index, or compute the values."""
_DEGREE_DIGITS = "9"
"""Decimals of degrees in GeoJSON. GDAL drops the last ones if they follow five digits 0 or 9."""
_GEOJSON_END = b"]\n}\n"
_POLYGON = b"\x03"
"""First byte of the type number of a Polygon in WKB, little-endian."""
_MULTI_HEAD = b"\x01\x06\x00\x00\x00\x01\x00\x00\x00"
"""Start of the WKB, little-endian, of a MultiPolygon with one Polygon, whose WKB follows."""


@dataclass(frozen=True, slots=True)
class _Driver:
    """Driver of a format, and the options that GDAL writes it with.

    Attributes:
        name: Name of the driver in GDAL.
        is_typed: Whether all geometries of a layer have one type.
        options: Layer creation options.
        has_description: Whether a layer has a description.
    """

    name: str
    is_typed: bool
    options: dict[str, str] = field(default_factory=dict)
    has_description: bool = True


_DRIVERS: dict[GdalFormat, _Driver] = {
    "gpkg": _Driver("GPKG", is_typed=True, options={"GEOMETRY_NAME": _GEOMETRY}),
    "geojson": _Driver(
        "GeoJSON",
        is_typed=False,
        options={"RFC7946": "YES", "COORDINATE_PRECISION": _DEGREE_DIGITS, "WRITE_NAME": "NO"},
    ),
    "geojsonl": _Driver(
        "GeoJSONSeq",
        is_typed=False,
        options={"COORDINATE_PRECISION": _DEGREE_DIGITS},
        has_description=False,
    ),
    "fgb": _Driver("FlatGeobuf", is_typed=True),
}


def write_vector(source: Path, target: Path, vector_format: GdalFormat) -> list[str]:
    """Write the detections of a GeoParquet file in another format.

    Columns keep their names and types; `bbox` is left out. Positions stay in
    EPSG:4326 as longitude and latitude; GeoJSON rounds them to 1e-8 degrees, 1 mm. In GeoPackage
    and FlatGeobuf, all geometries are MultiPolygons if one of them is. FlatGeobuf orders its rows
    by position.

    Args:
        source: GeoParquet file to read.
        target: File to write, which must not exist yet.
        vector_format: Format of the file.

    Returns:
        Warnings about the file, a sentence each.

    Raises:
        OSError: The file could not be written.
        RunIncompleteError: GDAL wrote a different number of rows.
    """
    file = pq.ParquetFile(source)
    rows, driver = file.metadata.num_rows, _DRIVERS[vector_format]
    max_bytes = _MAX_GROWTH * source.stat().st_size
    options = {**driver.options}
    if driver.has_description:
        options["DESCRIPTION"] = f"{VECTOR_DESCRIPTION}, {rows} rows"
    warnings = []
    if vector_format == "fgb" and rows > MAX_INDEXED_FLATGEOBUF_ROWS:
        options["SPATIAL_INDEX"] = "NO"
        warnings.append(
            f"{VECTOR_FILES[vector_format]} has no spatial index, as its {rows} rows are more than "
            f"{MAX_INDEXED_FLATGEOBUF_ROWS}: programs will read it slowly; prefer --format gpkg"
        )
    types = json.loads(file.metadata.metadata[b"geo"])["columns"][_GEOMETRY]["geometry_types"]
    is_mixed = types not in ([], ["Polygon"])
    is_promoted = is_mixed and driver.is_typed
    schema = _schema(file.schema_arrow, has_float32=not driver.name.startswith("GeoJSON"))
    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(
                schema, _batches(file, schema, is_promoted=is_promoted)
            ),
            target,
            layer=LAYER,
            driver=driver.name,
            geometry_name=_GEOMETRY,
            geometry_type="MultiPolygon" if is_promoted else "Unknown" if is_mixed else "Polygon",
            crs="EPSG:4326",
            layer_options=options,
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise _os_error(target, max_bytes, str(error)) from error
    _check(target, vector_format, rows, max_bytes)
    return warnings


def _schema(stored: pa.Schema, *, has_float32: bool) -> pa.Schema:
    """Return the columns to write; text is plain, since the formats have no dictionaries."""

    def to_written_type(arrow_type: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(arrow_type):
            return arrow_type.value_type
        # GDAL writes a float32 in 8 digits of text, which does not identify it.
        return pa.float64() if pa.types.is_float32(arrow_type) and not has_float32 else arrow_type

    return pa.schema(
        [
            pa.field(column.name, to_written_type(column.type), nullable=column.nullable)
            for column in stored
            if column.name not in _NOT_WRITTEN
        ]
    )


def _batches(
    file: pq.ParquetFile, schema: pa.Schema, *, is_promoted: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches."""
    for group in range(file.num_row_groups):
        # One call for all row groups would hold each of them in memory until the last is read.
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=schema.names):
            columns = {
                column.name: _cast(batch.column(column.name), column.type) for column in schema
            }
            if is_promoted:
                columns[_GEOMETRY] = _to_multi(columns[_GEOMETRY])
            yield pa.record_batch([*columns.values()], schema=schema)


def _cast(values: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Return values as another type; a float32 becomes the float64 of its shortest decimals."""
    if pa.types.is_float32(values.type) and pa.types.is_float64(arrow_type):
        return values.cast(pa.string()).cast(arrow_type)
    return values.cast(arrow_type)


def _to_multi(wkb: pa.Array) -> pa.Array:
    """Return WKB (n,) of Polygons and MultiPolygons as WKB of MultiPolygons only."""
    multi = pc.binary_join_element_wise(_MULTI_HEAD, wkb, b"")
    return pc.if_else(pc.equal(pc.binary_slice(wkb, 1, 2), _POLYGON), multi, wkb)


def _os_error(target: Path, max_bytes: int, message: str) -> OSError:
    """Return the system's error for a file that GDAL could not write.

    GDAL's message does not say when a disk is full.

    Args:
        target: File that GDAL could not write.
        max_bytes: Bytes that the file may need.
        message: Message of GDAL.
    """
    try:
        with target.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, max_bytes)
    except OSError as error:
        return OSError(error.errno, error.strerror, str(target))
    return OSError(errno.EIO, f"GDAL could not write the file: {message}", str(target))


def _check(target: Path, vector_format: GdalFormat, rows: int, max_bytes: int) -> None:
    """Refuse an incomplete file, even if GDAL reported no error.

    Raises:
        OSError: The end of the file or its index is missing.
        RunIncompleteError: The file has a different number of rows.
    """
    if vector_format == "geojson":
        # To count its rows, GDAL would read all of them.
        with target.open("rb") as file:
            file.seek(-min(len(_GEOJSON_END), target.stat().st_size), os.SEEK_END)
            if file.read() != _GEOJSON_END:
                raise _os_error(target, max_bytes, "the end of the file is missing")
        return
    if vector_format == "geojsonl":
        with target.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        if lines != rows:
            raise _os_error(target, max_bytes, f"it has {lines} rows instead of {rows}")
        return
    info = pyogrio.read_info(target, layer=LAYER, force_feature_count=True)
    if info["features"] != rows:
        raise RunIncompleteError(
            f"{target} has {info['features']} rows instead of {rows}; run the command again"
        )
    # Without disk space for the index, GDAL leaves it out and reports no error.
    if vector_format == "gpkg" and not info["capabilities"]["fast_spatial_filter"]:
        raise _os_error(target, max_bytes, "the spatial index is missing")
