"""Define what a scene of several files offers to the reader of tiles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from swath.raster.scene import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.raster.reader.memory_check import MemoryNeed
    from swath.raster.reader.workers import Workers
    from swath.raster.validity import Validity


class TileSource(Protocol):
    """Source of tiles, which are read in the order of their windows."""

    def read_tile(self, index: int) -> tuple[NDArray[Any], Validity]:
        """Return the pixels (bands, rows, cols) of a tile, and their validity.

        Args:
            index: Index of the tile among the windows.

        Raises:
            Exception: A block of the tile cannot be decoded; GDAL reads such a tile.
            SceneChangedError: A file was replaced since it was opened.
            TransientError: S3 did not answer.
        """


class TiledScene(Scene):
    """An open scene of several files, which reads its tiles ahead of the consumer by itself."""

    @abstractmethod
    def open_tiles(self, bands: Sequence[int], windows: Ints, workers: Workers) -> TileSource:
        """Return a source of tiles that decodes each block of the files once.

        Args:
            bands: Numbers of the bands, from 1, in the order wanted.
            windows: Windows (n, 4) x, y, width and height in scene px.
            workers: Owner of the threads and files.

        Raises:
            SceneError: Memory does not suffice to read the scene.
            SceneChangedError: A file was replaced since it was opened.
            TransientError: S3 did not answer.
        """

    @abstractmethod
    def memory_need(self, bands: Sequence[int], windows: Ints) -> MemoryNeed:
        """Return the memory for reading windows of the scene with GDAL.

        Args:
            bands: Numbers of the bands, from 1.
            windows: Windows (n, 4) x, y, width and height in scene px.
        """
