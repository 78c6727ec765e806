"""Write a segmentation as a raster: the class of each pixel, in the pixels of its scene.

Each shard writes the labels of its cores, tile by tile, to its own file, which covers only its
tiles. The merge defines a virtual mosaic of these files. GDAL copies the mosaic, block by block,
into one cloud-optimized GeoTIFF. No step needs more memory than GDAL's block cache, for any scene.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import rasterio
from rasterio.env import Env
from rasterio.session import DummySession
from rasterio.shutil import copy
from rasterio.windows import Window

from swath import storage
from swath.detection.detections import NO_LABEL
from swath.raster import gdal_env

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.raster.scene_info import ImageInfo, PixelWindow
    from swath.raster.tiles import Grid, Tile

MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_CLASS_KEY = "CLASS_"
_CACHE_BYTES = 128 << 20
_BLOCK_PX = 512
_PART_PROFILE = {
    "driver": "GTiff",
    "count": 1,
    "dtype": "uint8",
    "nodata": NO_LABEL,
    "tiled": True,
    "blockxsize": _BLOCK_PX,
    "blockysize": _BLOCK_PX,
    # Read once and then deleted; blocks without a tile use no disk space.
    "compress": "ZSTD",
    "ZSTD_LEVEL": 1,
    "SPARSE_OK": True,
    "BIGTIFF": "IF_SAFER",
}
_COG_OPTIONS = {
    "driver": "COG",
    "COMPRESS": "DEFLATE",
    "BLOCKSIZE": _BLOCK_PX,
    "BIGTIFF": "IF_SAFER",
    # Each overview pixel is a class that occurs, and each class keeps its share.
    "OVERVIEW_RESAMPLING": "NEAREST",
}


def extent(grid: Grid, tiles: Ints) -> PixelWindow:
    """Return the least window that holds the cores of tiles: x, y, width, height in scene px."""
    cores = grid.cores(tiles)
    x, y = (int(value) for value in cores[:, :2].min(axis=0))
    x_end, y_end = (int(value) for value in cores[:, 2:].max(axis=0))
    return x, y, x_end - x, y_end - y


@contextmanager
def open_mask_part(
    uri: str, window: PixelWindow, *, earlier: str | None = None
) -> Iterator[MaskPart]:
    """Open a shard's part of the mask for writing.

    The part exists only once the `with` block has ended without an error.

    Args:
        uri: Path or S3 URI of the part.
        window: Part of the scene that the file covers: x, y, width, height in px.
        earlier: Path or S3 URI of an interrupted attempt's part, to resume from.
    """
    with storage.writing(uri) as path:
        if earlier:
            storage.copy(earlier, str(path))
        part = MaskPart(path, window, resume=earlier is not None)
        try:
            yield part
        finally:
            part.close()


class MaskPart:
    """File with the labels of one shard's cores; NO_LABEL where no tile has written labels."""

    def __init__(self, path: Path, window: PixelWindow, *, resume: bool = False) -> None:
        """Open the file for writing.

        Args:
            path: Path of the file.
            window: Part of the scene that the file covers: x, y, width, height in px.
            resume: Whether to continue the existing file.
        """
        self._path = path
        self._x, self._y, width, height = window
        with _gdal_env():
            self._file: Any = (
                self._reopen()
                if resume
                else rasterio.open(path, "w", width=width, height=height, **_PART_PROFILE)
            )

    def write(self, tile: Tile, labels: NDArray[np.uint8]) -> None:
        """Write the labels (rows, cols) of a tile's core."""
        rows, cols = labels.shape
        x, y = tile.core[:2]
        with _gdal_env():
            self._file.write(labels, 1, window=Window(x - self._x, y - self._y, cols, rows))

    def checkpoint(self, uri: str) -> str:
        """Copy the labels so far to `uri`, from which to resume; return the file's SHA-256."""
        digest = self.digest()
        storage.copy(str(self._path), uri)
        self._file = self._reopen()
        return digest

    def digest(self) -> str:
        """Close the file; return its SHA-256."""
        self.close()
        return storage.digest(self._path)

    def _reopen(self) -> Any:
        with _gdal_env():
            return rasterio.open(self._path, "r+", driver="GTiff")

    def close(self) -> None:
        """Close the file, which is complete from then on."""
        with _gdal_env():
            self._file.close()


def assemble_mask(
    parts: Sequence[tuple[Path, PixelWindow]], scene: ImageInfo, classes: Sequence[str], path: Path
) -> None:
    """Write the mask of a scene as a cloud-optimized GeoTIFF with overviews.

    Args:
        parts: Files of the shards, and the window of the scene that each covers. The windows do not
            overlap, since shards are rectangles of tiles.
        scene: Scene whose geotransform or ground control points the mask takes.
        classes: Names of the labels, stored in the band's metadata.
        path: File to write.
    """
    mosaic = ET.tostring(_build_vrt(parts, scene, classes), encoding="unicode")
    with _gdal_env(), gdal_env.raise_warnings():
        copy(mosaic, path, **_COG_OPTIONS)


def _gdal_env() -> Env:
    # By default the cache is a share of the host's memory, which a container does not have.
    return Env(session=DummySession(), GDAL_CACHEMAX=_CACHE_BYTES, **gdal_env.STRICT_OPTIONS)


def _build_vrt(
    parts: Sequence[tuple[Path, PixelWindow]], scene: ImageInfo, classes: Sequence[str]
) -> ET.Element:
    """Return a GDAL virtual dataset; https://gdal.org/en/stable/drivers/raster/vrt.html."""
    root = ET.Element("VRTDataset", rasterXSize=str(scene.width), rasterYSize=str(scene.height))
    crs = scene.crs.to_wkt() if scene.crs else ""
    if scene.transform:
        _add_text(root, "SRS", crs)
        _add_text(root, "GeoTransform", ", ".join(map(repr, scene.transform.to_gdal())))
    else:
        points = ET.SubElement(root, "GCPList", Projection=crs)
        for number, gcp in enumerate(scene.gcps):
            coordinates = {
                "Pixel": gcp.col,
                "Line": gcp.row,
                "X": gcp.x,
                "Y": gcp.y,
                "Z": gcp.z or 0.0,
            }
            values = {name: repr(float(value)) for name, value in coordinates.items()}
            ET.SubElement(points, "GCP", {"Id": str(number), **values})
    band = ET.SubElement(root, "VRTRasterBand", dataType="Byte", band="1")
    metadata = ET.SubElement(band, "Metadata")
    for label, name in enumerate(classes):
        _add_text(metadata, "MDI", name, key=f"{_CLASS_KEY}{label}")
    _add_text(band, "NoDataValue", str(NO_LABEL))
    for part, window in parts:
        band.append(_vrt_source(part, window))
    return root


def _vrt_source(part: Path, window: PixelWindow) -> ET.Element:
    x, y, width, height = window
    source = ET.Element("SimpleSource")
    _add_text(source, "SourceFilename", str(part.absolute()), relativeToVRT="0")
    _add_text(source, "SourceBand", "1")
    # With its properties given, GDAL opens a file only when it reads from it.
    ET.SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(width),
        RasterYSize=str(height),
        DataType="Byte",
        BlockXSize=str(_BLOCK_PX),
        BlockYSize=str(_BLOCK_PX),
    )
    size = {"xSize": str(width), "ySize": str(height)}
    ET.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **size})
    ET.SubElement(source, "DstRect", {"xOff": str(x), "yOff": str(y), **size})
    return source


def _add_text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
