"""Run labeled scenes through the engine: plan, infer in shards and merge, as in any run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.detection.detections import Detections
from swath.errors import LabelsError
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from swath.items import SceneSources
from swath.items.scene_arguments import as_item, parse_scene
from swath.messages import RunOptions, TileCounts
from swath.pipeline.local import Stopwatch, new_request, run_stages
from swath.pipeline.merge import read_merged_detections
from swath.pipeline.paths import RunPaths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from swath.evaluation.class_mapping import ClassMapping
    from swath.labels.collection import LabeledScene
    from swath.pipeline.plan import Plan
    from swath.raster.assets.stack import BandStack
    from swath.raster.tiles import Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneResult:
    """Labeled scene with the engine's predictions."""

    uri: str
    grid: Grid
    """Grid of the scene's tiles, in px of the run's pixel grid."""
    stack: BandStack | None = None
    """Files and pixel grid of the run; None for a file whose own pixels are the grid."""
    tiles: TileCounts
    warnings: Sequence[str]
    """Warnings of the run, from `MergeSummary`."""
    seconds: float
    """Seconds that planning, inference and merging took."""
    truth: GroundTruth
    """Ground truth without the background class."""
    truth_with_background: GroundTruth
    """Ground truth with the background class, whose index is the number of evaluated classes."""
    predictions: Predictions
    """Predictions of the evaluated classes."""
    mask: Path | None
    """Mask of the scene, if the package gives one. The file exists inside the `with` block only."""

    def on_grid(self) -> SceneResult:
        """Return the result with all objects in px of the run's pixel grid."""
        if self.stack is None:
            return self
        x, y = self.stack.scale
        scale = (1 / x, 1 / y)
        return replace(
            self,
            truth=self.truth.scaled(scale),
            truth_with_background=self.truth_with_background.scaled(scale),
            predictions=self.predictions.scaled(scale),
        )


@contextmanager
def run_scene(
    scene: LabeledScene,
    number: int,
    *,
    model: Path,
    classes: ClassMapping,
    has_outlines: bool,
    work: Path,
    options: RunOptions,
    progress: Callable[[int, int], None],
) -> Iterator[SceneResult]:
    """Run a scene through the engine; the run's files exist until the `with` block ends.

    Args:
        scene: Labeled scene.
        number: Number of the scene, stored with its objects.
        model: Folder of the model package.
        classes: Classes that are evaluated.
        has_outlines: Whether to compare outlines instead of boxes.
        work: Folder for temporary files.
        options: Options of the run.
        progress: Function that is called with the number of completed tiles and the number of
            tiles.

    Raises:
        SwathError: The run failed.
        LabelsError: Outlines are compared and the labels have none, or the labels state another
            size of the scene.
    """
    truth_with_background = _build_truth(scene, number, classes, has_outlines=has_outlines)
    parsed = parse_scene(scene.uri, SceneSources())
    request = new_request(parsed, str(model), options)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as folder:
        plan, merged = run_stages(request, folder, watch, progress, item=as_item(parsed))
        plan_uri = RunPaths(folder, request.run_id).plan
        _check_size(scene, plan)
        rows = Detections.concatenate(list(read_merged_detections(plan_uri)))
        yield SceneResult(
            uri=scene.uri,
            grid=plan.grid,
            stack=plan.stack,
            tiles=merged.tiles,
            warnings=merged.warnings,
            seconds=round(sum(watch.seconds.values()), 3),
            truth=truth_with_background.take(truth_with_background.label < len(classes.names)),
            truth_with_background=truth_with_background,
            predictions=_build_predictions(rows, number, classes, has_outlines=has_outlines),
            mask=Path(merged.mask_uri) if merged.mask_uri else None,
        )


def _check_size(scene: LabeledScene, plan: Plan) -> None:
    """Check that the labels state the size of the scene.

    A grid of another pixel size may be half a pixel of its own larger or smaller than the scene.

    Raises:
        LabelsError: The labels state another size.
    """
    sizes = ((plan.width, scene.width), (plan.height, scene.height))
    for (on_grid, labeled), scale in zip(sizes, plan.pixel_scale, strict=True):
        rounding = 0.0 if scale == 1 else scale / 2
        if abs(on_grid * scale - labeled) > rounding:
            raise LabelsError(
                f"{scene.uri} has {plan.width * plan.pixel_scale[0]:.0f} x "
                f"{plan.height * plan.pixel_scale[1]:.0f} px, but its labels state "
                f"{scene.width} x {scene.height} px"
            )


def _build_truth(
    scene: LabeledScene, number: int, classes: ClassMapping, *, has_outlines: bool
) -> GroundTruth:
    if has_outlines and scene.outlines is None:
        raise LabelsError(
            f"the labels of {scene.uri} are boxes, but the package returns outlines; label the "
            "objects with polygons"
        )
    label = classes.from_labels[scene.classes]
    return GroundTruth(
        scene=np.full(len(label), number, np.int64),
        label=np.where(label < 0, len(classes.names), label),
        box=scene.boxes,
        outline=_repair_outlines(scene.outlines) if has_outlines else None,
        crowd=scene.crowd,
        coco_area=scene.sizes,
    )


def _build_predictions(
    rows: Detections, number: int, classes: ClassMapping, *, has_outlines: bool
) -> Predictions:
    label = classes.from_model[rows.label]
    predictions = Predictions(
        scene=np.full(len(label), number, np.int64),
        label=label,
        box=rows.box,
        outline=_outlines(rows) if has_outlines else None,
        score=rows.score.astype(np.float64),
    )
    return predictions.take(label >= 0)


def _outlines(rows: Detections) -> NDArray[np.object_]:
    if rows.outline is None:
        return np.asarray(shapely.box(*rows.box.T), np.object_)
    return _repair_outlines(rows.outline)


def _repair_outlines(outlines: NDArray[np.object_] | None) -> NDArray[np.object_]:
    """Return outlines that GEOS can intersect, with self-intersections repaired."""
    repaired = np.array(outlines, np.object_)
    crossed = ~shapely.is_valid(repaired)
    repaired[crossed] = shapely.make_valid(repaired[crossed])
    return repaired
