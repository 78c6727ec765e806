"""Remove the outputs of an earlier command from the folder that a command writes to.

They are removed before the command begins. A command that fails or is killed then leaves no files
that look like its own. Files that swath did not write are neither removed nor replaced.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from swath.errors import InputError

GENERATOR = '<meta name="generator" content="swath">'
"""HTML in the head of each page that swath writes."""
VECTOR_DESCRIPTION = "Detections that swath wrote"
"""Beginning of the description in each GeoPackage, GeoJSON and FlatGeobuf file of swath."""

_MAX_HEAD_BYTES = 4096
_MAX_METADATA_BYTES = 1 << 20
_PARQUET_TAIL = struct.Struct("<I4s")
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Output:
    """File or folder that a command writes.

    Attributes:
        name: Name in the command's output folder.
        is_own: Function that returns whether swath wrote the file or folder at a path.
    """

    name: str
    is_own: Callable[[Path], bool]


def remove_outputs(out: Path, outputs: Sequence[Output]) -> None:
    """Remove the outputs of an earlier command, all of them or none.

    Args:
        out: Output folder; it need not exist.
        outputs: Outputs to remove, in this order.

    Raises:
        InputError: One of them exists, and swath did not write it.
    """
    existing = [(out / output.name, output) for output in outputs if _exists(out / output.name)]
    for path, output in existing:
        if not output.is_own(path):
            raise InputError(
                f"{path} would be replaced, but swath did not write it; move it, or choose another "
                "folder with --out"
            )
    for path, _ in existing:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def has_json_keys(*keys: str) -> Callable[[Path], bool]:
    """Return a function that tests whether a file is a JSON object with these keys."""

    def is_own(path: Path) -> bool:
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and content.keys() >= set(keys)

    return is_own


def is_html_page(path: Path) -> bool:
    """Return whether a file is a page that swath wrote."""
    return GENERATOR.encode() in _read(path, 0, _MAX_HEAD_BYTES)


def is_detections(path: Path) -> bool:
    """Return whether a file is a GeoParquet file that swath wrote, by the keys of its footer.

    A Parquet file ends with the footer, its length and `PAR1`
    (https://parquet.apache.org/docs/file-format/).
    """
    try:
        size = path.stat().st_size
    except OSError:
        return False
    end = _read(path, max(0, size - _PARQUET_TAIL.size), _PARQUET_TAIL.size)
    if len(end) < _PARQUET_TAIL.size:
        return False
    length, magic = _PARQUET_TAIL.unpack(end)
    footer = _read(path, max(0, size - _PARQUET_TAIL.size - length), length)
    return magic == _PARQUET_MAGIC and b"swath:" in footer


def is_mask(path: Path) -> bool:
    """Return whether a file is a mask that swath wrote: a band whose labels have names."""
    # A cloud-optimized GeoTIFF begins with its metadata.
    return b'name="CLASS_0"' in _read(path, 0, _MAX_METADATA_BYTES)


def is_vector(path: Path) -> bool:
    """Return whether a file is GeoJSON or FlatGeobuf that swath wrote, by its description."""
    return VECTOR_DESCRIPTION.encode() in _read(path, 0, _MAX_HEAD_BYTES)


def is_geopackage(path: Path) -> bool:
    """Return whether a file is a GeoPackage that swath wrote, without any further layer."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            layers = database.execute("SELECT description FROM gpkg_contents").fetchall()
    except sqlite3.Error:
        return False
    return len(layers) == 1 and str(layers[0][0]).startswith(VECTOR_DESCRIPTION)


def is_geopackage_sidecar(path: Path) -> bool:
    """Return whether an SQLite file such as `x.gpkg-wal` belongs to swath's GeoPackage or to none.

    SQLite would apply a leftover file to the GeoPackage that replaces the earlier one.
    """
    geopackage = path.with_name(path.name.rpartition("-")[0])
    return not geopackage.exists() or is_geopackage(geopackage)


def has_only_entries(*names: str) -> Callable[[Path], bool]:
    """Return a function that tests whether a folder has only entries of these names."""

    def is_own(path: Path) -> bool:
        return path.is_dir() and {entry.name for entry in path.iterdir()} <= set(names)

    return is_own


def _read(path: Path, start: int, count: int) -> bytes:
    """Return up to `count` bytes of a file from `start`; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(count)
    except OSError:
        return b""
