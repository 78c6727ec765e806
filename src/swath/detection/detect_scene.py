"""Detect the objects of one scene in one process, without a plan, shards or a merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swath.detection.detections import Detections
from swath.detection.engine import Inference
from swath.errors import ModelOutputError, SceneError, SwathError
from swath.messages import UNKNOWN_ACQUISITION, Acquisition, TileCounts
from swath.messages.run_warnings import gather_warnings
from swath.raster.acquisition import scene_acquisition
from swath.raster.assets.open import OpenedScene, open_model_scene
from swath.raster.assets.scene import StackedScene
from swath.raster.assets.stack import pixel_scale
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.comparison import compare
from swath.raster.radiometry.sampling import Samples
from swath.raster.scene import FileScene
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model
    from swath.raster.assets.stack import BandNeeds, BandStack
    from swath.raster.invalid_cells import InvalidCells
    from swath.raster.scene import Scene
    from swath.raster.scene_info import SceneInfo


ProgressCallback = Callable[[int, int], None]
"""Called with the number of tiles done and the total number of tiles; first with 0 done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDetections:
    """Detections of a scene, the counts of its tiles, and warnings."""

    detections: Detections
    """Detections by tile, then best first, in px of `grid`."""
    grid: SceneInfo
    """Header of the scene on the pixel grid in which the model saw it."""
    stack: BandStack | None = None
    """Files and grid of the scene; None for a file whose own pixels are the grid."""
    tiles: TileCounts
    warnings: Sequence[str] = ()
    """Sentences about what looks wrong with the scene; each contains the scene's address."""
    acquisition: Acquisition = UNKNOWN_ACQUISITION
    """Acquisition of the scene, as its metadata state it."""
    invalid: InvalidCells | None = None
    """Counts of the scene's invalid pixels; None if all are valid."""

    @property
    def pixel_scale(self) -> tuple[float, float]:
        """Width and height of a px of the grid in px of the scene."""
        return pixel_scale(self.stack)


def detect_scene(
    scene: Scene,
    description: ModelDescription,
    model: Model,
    *,
    stated: Acquisition = UNKNOWN_ACQUISITION,
    progress: ProgressCallback | None = None,
) -> SceneDetections:
    """Detect the objects of an open scene; all detections are held in memory.

    Args:
        scene: Scene to read; no other thread may use it meanwhile.
        description: Description of the model package.
        model: Loaded weights of the package.
        stated: Acquisition that the scene's document states; what it lacks is read from the file.
        progress: Called after each batch of tiles.

    Raises:
        SceneError: The scene does not have the model's bands, or is damaged.
        ModelOutputError: The model failed on a tile; partial detections are never returned.
    """
    with open_with_needs(scene, description.band_needs) as opened:
        return detect_opened(opened, description, model, stated=stated, progress=progress)


def detect_opened(
    opened: OpenedScene,
    description: ModelDescription,
    model: Model,
    *,
    stated: Acquisition = UNKNOWN_ACQUISITION,
    progress: ProgressCallback | None = None,
) -> SceneDetections:
    """Detect the objects of a scene that was opened for the model; see `detect_scene`.

    Args:
        opened: Scene on the grid of the model, and the numbers of the model's bands in it.
        description: Description of the model package.
        model: Loaded weights of the package.
        stated: Acquisition that the scene's document states; what it lacks is read from a file.
        progress: Called after each batch of tiles.
    """
    info = opened.scene.info
    inference = Inference(
        scene=opened.scene,
        bands=opened.bands,
        grid=Grid(info.width, info.height, description.tile_size, description.overlap),
        description=description,
        model=model,
    )
    batches: list[Detections] = []
    total = inference.grid.count
    report = progress or _no_progress
    report(0, total)
    for detected in inference.run(range(total)):
        if inference.tiles.failed:
            raise _to_error(inference)
        batches.append(detected)
        report(inference.tiles.planned, total)
    all_rows = Detections.concatenate(batches)
    flagged = all_rows.flags != 0
    stitched = inference.task.stitch(all_rows.take(flagged))
    rows = Detections.concatenate([all_rows.take(~flagged), stitched]).sorted_by_tile()
    acquisition, doubts = scene_acquisition(opened.scene, stated, pixel_scale(opened.stack))
    return SceneDetections(
        detections=rows,
        tiles=inference.tiles,
        warnings=gather_warnings(doubts, _warnings(inference)),
        grid=info,
        stack=opened.stack,
        acquisition=acquisition,
        invalid=inference.invalid,
    )


@contextmanager
def open_with_needs(scene: Scene, needs: BandNeeds) -> Iterator[OpenedScene]:
    """Yield an open scene on the grid of a model, which may resample the scene's file.

    Raises:
        SceneError: The scene does not have the model's bands, or cannot be resampled.
    """
    if needs.gsd is None:
        bands = select_bands(scene.info, needs.names)
        yield OpenedScene(scene, bands, scene.stack if isinstance(scene, StackedScene) else None)
    elif isinstance(scene, FileScene):
        with open_model_scene(scene.info.uri, needs, etag=scene.etag) as opened:
            yield opened
    else:
        raise SceneError(
            f"{scene.info.uri} was opened on its own pixel grid, but the model expects pixels of "
            f"{needs.gsd:g} m; give its files or its Item instead of the open scene"
        )


def _no_progress(done: int, total: int) -> None:
    """Report nothing."""


def _warnings(inference: Inference) -> list[str]:
    """Return sentences about what looks wrong with the scene."""
    description, uri = inference.description, inference.scene.info.uri
    detected = []
    if description.expected:
        detected = compare(
            Samples.concatenate(inference.samples, len(description.bands)),
            description.expected,
            description.bands,
            stride=inference.sample_grid.stride,
            scene=uri,
        )
    return gather_warnings(inference.warnings, detected)


def _to_error(inference: Inference) -> SwathError:
    """Return the error of a failed tile: the scene's if it cannot be read, else the model's."""
    failure = inference.failures[0]
    try:
        inference.scene.read(inference.grid.tile(failure.tile).window, inference.bands)
    except SwathError as error:
        return error
    where = f"tile {failure.tile} at x {failure.column}, y {failure.row}"
    return ModelOutputError(f"the model failed on {where}: {failure.cause}")
