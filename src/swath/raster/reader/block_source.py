"""Choose the decoder of a raster's blocks: swath's where its result is sure, otherwise GDAL's."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from swath.raster.dataset import Dataset, pixel_dtype
from swath.raster.files.byte_ranges import Head
from swath.raster.files.tiff_header import NotReadableError
from swath.raster.files.tiff_layout import scene_layout
from swath.raster.reader.block_cache import Source
from swath.raster.reader.gdal_rows import Bands
from swath.raster.reader.memory_check import need_here, need_of_gdal
from swath.raster.reader.validity import Wanted
from swath.raster.reader.workers import Workers

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.reader.geotiff_blocks import Blocks


def source_of(dataset: Dataset, wanted: Wanted, windows: Ints, workers: Workers) -> Source:
    """Return the source of the blocks that windows need.

    Args:
        dataset: Dataset to read.
        wanted: Layers to read.
        windows: Windows (n, 4) x, y, width and height in px.
        workers: Owner of the threads and files.

    Raises:
        SceneError: Memory does not suffice to read the dataset.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    blocks = _blocks(dataset, wanted, windows, workers)
    if blocks is not None:
        return blocks
    workers.claim(dataset, need_of_gdal(dataset, wanted.layers, windows))
    handles = workers.handles(dataset)
    return Bands(handles, wanted, windows, readers=workers.readers(len(handles)))


def _blocks(dataset: Dataset, wanted: Wanted, windows: Ints, workers: Workers) -> Blocks | None:
    """Return the source that decodes a GeoTIFF in swath; None where GDAL must read the file."""
    if dataset.reader.driver != "GTiff" or importlib.util.find_spec("imagecodecs") is None:
        return None
    from swath.raster.reader.geotiff_blocks import Blocks  # noqa: PLC0415 (images without imagecodecs use GDAL)

    file = workers.open(dataset)
    try:
        layouts = scene_layout(dataset.reader, Head(file, dataset.known).read)
        workers.claim(dataset, need_here(layouts[0], wanted.layers, windows))
        rows = range(int(windows[:, 1].min()), int((windows[:, 1] + windows[:, 3]).max()))
        return Blocks(
            file, layouts, wanted, fill=_fill(dataset), rows=rows, decoders=workers.decoders
        )
    except NotReadableError:
        return None


def _fill(dataset: Dataset) -> float | None:
    """Return the value that GDAL fills in for blocks that a file leaves out; None if unsure."""
    values, dtype = set(dataset.reader.nodatavals), np.dtype(pixel_dtype(dataset.reader))
    if len(values) > 1:
        return None
    (value,) = values
    if value is None:
        return 0
    if dtype.kind == "f":
        return float(value)
    limits = np.iinfo(dtype)
    return value if limits.min <= value <= limits.max and float(value).is_integer() else None
