"""Choose the decoder of a raster's blocks: swath's where it yields GDAL's pixels, else GDAL's."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from swath.raster.dataset import PinnedDataset, pixel_dtype
from swath.raster.files.byte_ranges import HeaderReader
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import read_layouts
from swath.raster.reader.block_cache import BlockSource
from swath.raster.reader.channels import Channels
from swath.raster.reader.gdal_rows import RowGroups
from swath.raster.reader.memory_check import file_memory_need, swath_memory_need
from swath.raster.reader.workers import Workers

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.reader.geotiff_blocks import GeoTiffBlocks


def open_block_source(
    dataset: PinnedDataset, channels: Channels, windows: Ints, workers: Workers
) -> BlockSource:
    """Return the source of the blocks that windows need.

    Args:
        dataset: Dataset to read.
        channels: Layers to read.
        windows: Windows (n, 4) x, y, width and height in px.
        workers: Owner of the threads and files.

    Raises:
        SceneError: Memory does not suffice to read the dataset.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    blocks = _open_geotiff(dataset, channels, windows, workers)
    source = blocks or _open_with_gdal(dataset, channels, windows, workers)
    workers.note_source(dataset, source, windows, channels.layer_count)
    return source


def _open_with_gdal(
    dataset: PinnedDataset, channels: Channels, windows: Ints, workers: Workers
) -> RowGroups:
    """Return the source that reads rows of blocks with GDAL."""
    workers.reserve_memory(dataset, file_memory_need(dataset, channels.layer_count, windows))
    handles = workers.open_handles(dataset)
    return RowGroups(handles, channels, windows, readers=workers.new_reader_pool(len(handles)))


def _open_geotiff(
    dataset: PinnedDataset, channels: Channels, windows: Ints, workers: Workers
) -> GeoTiffBlocks | None:
    """Return the source that decodes a GeoTIFF in swath; None where GDAL must read the file."""
    if dataset.reader.driver != "GTiff" or importlib.util.find_spec("imagecodecs") is None:
        return None
    from swath.raster.reader.geotiff_blocks import GeoTiffBlocks  # noqa: PLC0415 (images without imagecodecs use GDAL)

    file = workers.open(dataset)
    try:
        layouts = read_layouts(dataset.reader, HeaderReader(file, dataset.header_parts).read)
        workers.reserve_memory(
            dataset, swath_memory_need(layouts[0], channels.layer_count, windows)
        )
        rows = range(int(windows[:, 1].min()), int((windows[:, 1] + windows[:, 3]).max()))
        return GeoTiffBlocks(
            file,
            layouts,
            channels,
            fill=_fill_value(dataset),
            rows=rows,
            decoders=workers.decoder_pool,
        )
    except UnsupportedLayoutError:
        return None


def _fill_value(dataset: PinnedDataset) -> float | None:
    """Return the value that GDAL fills in for blocks that a file leaves out; None if unknown."""
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
