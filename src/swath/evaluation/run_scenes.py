"""Run labeled scenes through the engine: plan, infer in shards and merge, as in any run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.detection.detections import Detections
from swath.errors import LabelsError
from swath.evaluation.metrics.objects import Found, Truth
from swath.messages import RunOptions, TileCounts
from swath.pipeline.local import Stopwatch, new_request, run_stages
from swath.pipeline.merge import read_merged_detections
from swath.pipeline.paths import RunPaths
from swath.pipeline.run_store import RunStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from swath.evaluation.class_mapping import Classes
    from swath.labels.collection import LabelledScene
    from swath.raster.tiles import Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenScene:
    """Labeled scene with the engine's predictions."""

    uri: str
    grid: Grid
    tiles: TileCounts
    warnings: Sequence[str]
    """Warnings of the run, from `MergeSummary`."""
    seconds: float
    """Seconds that planning, inference and merging took."""
    truth: Truth
    """Ground truth without the background class."""
    ground: Truth
    """Ground truth with the background class, whose index is the number of evaluated classes."""
    found: Found
    """Predictions of the evaluated classes."""
    mask: Path | None
    """Mask of the scene, if the package gives one. The file exists inside the `with` block only."""


@contextmanager
def see(
    scene: LabelledScene,
    number: int,
    *,
    model: Path,
    classes: Classes,
    outlined: bool,
    work: Path,
    options: RunOptions,
    progress: Callable[[int, int], None],
) -> Iterator[SeenScene]:
    """Run a scene through the engine; the run's files exist until the `with` block ends.

    Args:
        scene: Labeled scene.
        number: Number of the scene, stored with its objects.
        model: Folder of the model package.
        classes: Classes that are evaluated.
        outlined: Whether to compare outlines instead of boxes.
        work: Folder for temporary files.
        options: Options of the run.
        progress: Function that is called with the number of completed tiles and the number of
            tiles.

    Raises:
        SwathError: The run failed.
        LabelsError: Outlines are compared and the labels have none, or the labels state another
            size of the scene.
    """
    ground = _ground(scene, number, classes, outlined=outlined)
    request = new_request(scene.uri, str(model), options)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as folder:
        merged = run_stages(request, folder, watch, progress)
        plan_uri = RunPaths(folder, request.run_id).plan
        plan = RunStore.open(plan_uri).plan
        if (plan.width, plan.height) != (scene.width, scene.height):
            raise LabelsError(
                f"{scene.uri} has {plan.width} x {plan.height} px; its labels are of "
                f"{scene.width} x {scene.height} px"
            )
        rows = Detections.concatenate(list(read_merged_detections(plan_uri)))
        yield SeenScene(
            uri=scene.uri,
            grid=plan.grid,
            tiles=merged.tiles,
            warnings=merged.warnings,
            seconds=round(sum(watch.seconds.values()), 3),
            truth=ground.take(ground.label < len(classes.names)),
            ground=ground,
            found=_found(rows, number, classes, outlined=outlined),
            mask=Path(merged.mask_uri) if merged.mask_uri else None,
        )


def _ground(scene: LabelledScene, number: int, classes: Classes, *, outlined: bool) -> Truth:
    if outlined and scene.outlines is None:
        raise LabelsError(
            f"the labels of {scene.uri} are boxes and the package gives outlines: label them by "
            "polygons"
        )
    label = classes.of_labels[scene.classes]
    return Truth(
        scene=np.full(len(label), number, np.int64),
        label=np.where(label < 0, len(classes.names), label),
        box=scene.boxes,
        outline=_sound(scene.outlines) if outlined else None,
        crowd=scene.crowd,
        size=scene.sizes,
    )


def _found(rows: Detections, number: int, classes: Classes, *, outlined: bool) -> Found:
    label = classes.of_model[rows.label]
    found = Found(
        scene=np.full(len(label), number, np.int64),
        label=label,
        box=rows.box,
        outline=_outlines(rows) if outlined else None,
        score=rows.score.astype(np.float64),
    )
    return found.take(label >= 0)


def _outlines(rows: Detections) -> NDArray[np.object_]:
    if rows.outline is None:
        return np.asarray(shapely.box(*rows.box.T), np.object_)
    return _sound(rows.outline)


def _sound(outlines: NDArray[np.object_] | None) -> NDArray[np.object_]:
    """Return outlines that GEOS can intersect, with self-intersections repaired."""
    mended = np.array(outlines, np.object_)
    crossed = ~shapely.is_valid(mended)
    mended[crossed] = shapely.make_valid(mended[crossed])
    return mended
