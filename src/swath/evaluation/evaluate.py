"""Evaluate a model package on labeled scenes.

The engine runs on whole scenes, so tiling and stitching affect the metrics as in any run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swath import storage
from swath.errors import LabelsError, PackageError
from swath.errors.extras import require_modules
from swath.evaluation.class_mapping import ClassMapping
from swath.evaluation.data_warnings import iter_warnings
from swath.evaluation.masks import count_scene_pixels, make_mask_reader, make_rasterizer
from swath.evaluation.measure import measure_objects, measure_pixels, threshold_metrics
from swath.evaluation.metrics.confusion import confusion_matrix
from swath.evaluation.metrics.curves import Counts
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from swath.evaluation.package_variant import write_variant
from swath.evaluation.results import (
    CollectionUsed,
    Conditions,
    Evaluation,
    Metrics,
    PackageMeasured,
    PixelMetrics,
    SceneMetrics,
)
from swath.evaluation.run_scenes import SceneResult, run_scene
from swath.messages import RunOptions
from swath.messages.run_warnings import gather_warnings
from swath.models.package import load_package
from swath.storage.earlier_outputs import Output, has_json_keys, is_html_page
from swath.storage.output_folder import clear_outputs, work_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.models.mlm import ModelDescription
    from swath.models.package import ModelPackage

EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
EVALUATION_OUTPUTS = (
    Output(EVALUATION_FILE, has_json_keys("package", "collection", "metrics")),
    Output(REPORT_FILE, is_html_page),
)
DEFAULT_SCORE_FLOOR = 0.01
DEFAULT_IOU = 0.5

_OUTLINE_TASKS = {"oriented-detection", "instance-segmentation", "segmentation"}
_MASK_TASKS = {"instance-segmentation", "segmentation"}
_POLYGON_METRICS = ("polygon_precision", "polygon_recall", "polygon_F1")

SceneProgressCallback = Callable[[str, int, int], None]
"""Function that is called with a scene's address, its number of completed tiles and its number of
tiles. The first call for a scene has no completed tiles."""


def evaluate(
    package: str | Path,
    collection: Collection,
    out: Path,
    *,
    score_floor: float = DEFAULT_SCORE_FLOOR,
    tolerated_failures: float = 0.0,
    report: bool = True,
    progress: SceneProgressCallback = lambda *_: None,
) -> Evaluation:
    """Evaluate a package, and write `evaluation.json` and `report.html`.

    Args:
        package: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.
        collection: Labeled scenes.
        out: Folder to write to.
        score_floor: Lowest score, 0 to 1, of the detections that are evaluated. If the package's
            own threshold is lower, that threshold applies. A segmentation always runs at its own
            threshold, since its mask depends on it.
        tolerated_failures: Share of a scene's tiles that may fail, 0 to 1.
        report: Whether to write the report, which needs matplotlib and jinja2.
        progress: Function that is called with the progress of each scene.

    Raises:
        PackageError: The package cannot be used, or its task is classification.
        LabelsError: The labels do not fit the package.
        InputError: `out` has a file that swath did not write and would replace.
        SwathError: A run failed.
        ModuleNotFoundError: A library that the metrics or the report need is not installed.
    """
    loaded = load_package(package)
    description = loaded.description
    classes = _map_classes(description, collection)
    changes = _hyperparameter_changes(description, score_floor)
    has_outlines = description.task in _OUTLINE_TASKS
    require_modules("faster_coco_eval", *(("jinja2", "matplotlib") if report else ()))
    scenes: list[SceneResult] = []
    pixels = np.zeros((len(classes.names) + 1,) * 2, np.int64)
    clear_outputs(out, EVALUATION_OUTPUTS)
    with work_folder(out) as work:
        model = write_variant(loaded, work / "model", **changes)
        for number, scene in enumerate(collection.scenes):
            with run_scene(
                scene,
                number,
                model=model,
                classes=classes,
                has_outlines=has_outlines,
                work=work,
                options=RunOptions(tolerated_failures=tolerated_failures),
                progress=lambda done, total, uri=scene.uri: progress(uri, done, total),  # type: ignore[misc]
            ) as result:
                if description.task in _MASK_TASKS:
                    pixels += _count_pixels(result, description, classes)
                # The mask file is deleted with the run's folder.
                scenes.append(replace(result, mask=None))
    conditions = Conditions(
        compared="outlines" if has_outlines else "boxes", score_floor=score_floor, iou=DEFAULT_IOU
    )
    evaluation = _build_evaluation(
        loaded,
        collection,
        classes,
        conditions,
        scenes,
        pixels if description.task in _MASK_TASKS else None,
    )
    write_evaluation(evaluation, out)
    if report:
        _write_report(evaluation, scenes, description, out)
    return evaluation


def metric_names(task: str) -> tuple[str, ...]:
    """Return the names of the metrics for packages of a task."""
    none, box = np.empty(0, np.int64), np.empty((0, 4))
    truth = GroundTruth(scene=none, label=none, box=box, crowd=np.empty(0, np.bool_))
    predictions = Predictions(scene=none, label=none, box=box, score=np.empty(0))
    names = [*measure_objects(truth, predictions, ["any"], threshold=0.5, iou=DEFAULT_IOU)[0]]
    if task in _OUTLINE_TASKS:
        names += _POLYGON_METRICS
    if task in _MASK_TASKS:
        names += measure_pixels(np.zeros((2, 2), np.int64), ["any"])[0]
    return tuple(names)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write `evaluation.json` into a folder."""
    text = json.dumps(evaluation.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / EVALUATION_FILE), text.encode())


def _map_classes(description: ModelDescription, collection: Collection) -> ClassMapping:
    if description.task == "classification":
        raise PackageError(
            f"{description.name} classifies whole tiles; only models of detections and masks can "
            "be evaluated"
        )
    if not collection.scenes:
        raise LabelsError("the collection has no scenes to evaluate the package on")
    return ClassMapping.from_description(description, collection)


def _hyperparameter_changes(description: ModelDescription, score_floor: float) -> dict[str, Any]:
    """Return the hyperparameters that the evaluation changes in the package."""
    if description.task == "segmentation":
        return {"mask": True}
    return {"score_threshold": _min_score(description, score_floor)}


def _min_score(description: ModelDescription, score_floor: float) -> float:
    own = description.score_threshold
    return own if description.task == "segmentation" else min(score_floor, own)


def _count_pixels(
    result: SceneResult, description: ModelDescription, classes: ClassMapping
) -> NDArray[np.int64]:
    count, result = len(classes.names), result.on_grid()
    if result.mask is not None:
        labels = make_mask_reader(result.mask, classes.from_model, count)
    else:
        above_threshold = result.predictions.score >= _score_threshold(description)
        labels = make_rasterizer(result.predictions.take(above_threshold), count)
    return count_scene_pixels(
        result.uri,
        description.bands,
        result.truth_with_background,
        labels,
        count,
        stack=result.stack,
    )


def _score_threshold(description: ModelDescription) -> float:
    """Return the package's score threshold, rounded to float32 like the scores."""
    return float(np.float32(description.score_threshold))


def _build_evaluation(
    package: ModelPackage,
    collection: Collection,
    classes: ClassMapping,
    conditions: Conditions,
    scenes: Sequence[SceneResult],
    pixels: NDArray[np.int64] | None,
) -> Evaluation:
    description = package.description
    threshold = _score_threshold(description)
    truth, predictions = (
        GroundTruth.concatenate([s.truth for s in scenes]),
        Predictions.concatenate([s.predictions for s in scenes]),
    )
    metrics, by_class, curve = measure_objects(
        truth, predictions, classes.names, threshold=threshold, iou=conditions.iou
    )
    if conditions.compared == "outlines":
        # The metrics of the SpaceNet challenge, over all scenes together.
        metrics |= {name: metrics[name.removeprefix("polygon_")] for name in _POLYGON_METRICS}
    pixel_metrics: PixelMetrics | None = None
    if pixels is not None:
        mask_metrics, pixel_metrics = measure_pixels(pixels, classes.names)
        metrics |= mask_metrics
    above_threshold = predictions.take(predictions.score >= threshold)
    return Evaluation(
        package=_describe_package(package, conditions),
        collection=CollectionUsed(
            digest=collection.digest,
            scenes=len(scenes),
            objects=int((~truth.crowd).sum()),
            classes=classes.names,
            unlabeled=classes.unlabeled,
        ),
        conditions=conditions,
        metrics=metrics,
        classes=by_class,
        scenes=[_measure_scene(scene, threshold, conditions.iou) for scene in scenes],
        curve=curve,
        confusion=confusion_matrix(
            truth, above_threshold, len(classes.names), min_iou=conditions.iou
        ).tolist(),
        pixels=pixel_metrics,
        warnings=gather_warnings(
            iter_warnings(classes, scenes), *(scene.warnings for scene in scenes)
        ),
    )


def _describe_package(package: ModelPackage, conditions: Conditions) -> PackageMeasured:
    description = package.description
    return PackageMeasured(
        name=description.name,
        digest=package.digest,
        task=description.task,
        tile_size=description.tile_size,
        overlap=description.overlap,
        score_threshold=description.score_threshold,
        reported_from=_min_score(description, conditions.score_floor),
    )


def _measure_scene(scene: SceneResult, threshold: float, iou: float) -> SceneMetrics:
    above_threshold = scene.predictions.take(scene.predictions.score >= threshold)
    matches = match(scene.truth, above_threshold, min_iou=iou)
    hits, false, missed = (int(mask.sum()) for mask in (matches.hit, matches.false, matches.missed))
    metrics: Metrics = threshold_metrics(Counts(hits, false, missed))
    return SceneMetrics(
        uri=scene.uri,
        tiles=scene.tiles,
        seconds=scene.seconds,
        objects=hits + missed,
        hits=hits,
        false=false,
        missed=missed,
        metrics=metrics,
    )


def _write_report(
    evaluation: Evaluation,
    scenes: Sequence[SceneResult],
    description: ModelDescription,
    out: Path,
) -> None:
    # Imported here, so that figures alone need neither matplotlib nor jinja2.
    from swath.evaluation.report import render  # noqa: PLC0415
    from swath.evaluation.worst_tiles import worst_tiles  # noqa: PLC0415

    chips = worst_tiles(
        scenes,
        description.bands,
        threshold=_score_threshold(description),
        iou=evaluation.conditions.iou,
    )
    storage.write_bytes(str(out / REPORT_FILE), render(evaluation, chips).encode())
