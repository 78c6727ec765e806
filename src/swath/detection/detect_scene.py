"""What a model sees in one image: the engine's own steps, without a plan, shards or a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swath.detection.detections import Detections
from swath.detection.engine import Inference
from swath.errors import ModelOutputError, SwathError
from swath.messages import TileCounts
from swath.messages.run_warnings import gather_warnings
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.comparison import compare
from swath.raster.radiometry.sampling import Samples
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model
    from swath.raster.scene import OpenScene


@dataclass(frozen=True, slots=True)
class Found:
    """What a model sees in an image, and what became of its tiles."""

    detections: Detections
    """By tile, best first: the rows of a run's GeoParquet file."""
    tiles: TileCounts
    warnings: Sequence[str] = ()
    """What looks wrong about the image, a sentence each."""


def detect(scene: OpenScene, description: ModelDescription, model: Model) -> Found:
    """Find what a model sees in an image.

    Raises:
        SceneError: the image does not have the model's bands, or is damaged.
        ModelOutputError: the model failed on a tile. Nobody is given a part for the whole.
    """
    info = scene.info
    inference = Inference(
        scene=scene,
        bands=select_bands(info, description.bands),
        grid=Grid(info.width, info.height, description.tile_size, description.overlap),
        description=description,
        model=model,
    )
    seen: list[Detections] = []
    for found in inference.run(range(inference.grid.count)):
        if inference.tiles.failed:
            raise _why(inference)
        seen.append(found)
    together = Detections.concatenate(seen)
    flagged = together.flags != 0
    settled = inference.task.settle(together.take(flagged))
    rows = Detections.concatenate([together.take(~flagged), settled]).ordered()
    return Found(rows, inference.tiles, _warnings(inference))


def _warnings(inference: Inference) -> list[str]:
    """Return what looks wrong about the image; its file is one that the caller never saw."""
    known, uri = inference.description, inference.scene.info.uri
    found = []
    if known.expected:
        found = compare(
            Samples.join(inference.samples, len(known.bands)),
            known.expected,
            known.bands,
            stride=inference.lattice.stride,
            scene=uri,
        )
    return [text.replace(uri, "the image") for text in gather_warnings(inference.warnings, found)]


def _why(inference: Inference) -> SwathError:
    """Why a tile failed: what the image says of it or, if nothing, what the model did."""
    failure = inference.failures[0]
    try:
        inference.scene.read(inference.grid.tile(failure.tile).window, inference.bands)
    except SwathError as error:
        return error
    place = f"tile {failure.tile} at x {failure.column}, y {failure.row}"
    return ModelOutputError(f"the model failed on {place}: {failure.cause}")
