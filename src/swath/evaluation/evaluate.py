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
from swath.errors.extras import require
from swath.evaluation.class_mapping import Classes
from swath.evaluation.doubts import doubts_about
from swath.evaluation.figures import at_threshold, measure_objects, measure_pixels
from swath.evaluation.masks import count_scene, drawn, of_mask
from swath.evaluation.metrics.confusion import confusion
from swath.evaluation.metrics.curves import Counts
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import Found, Truth
from swath.evaluation.package_variant import write_variant
from swath.evaluation.results import (
    CollectionUsed,
    Conditions,
    Evaluation,
    Figures,
    PackageMeasured,
    PixelFigures,
    SceneFigures,
)
from swath.evaluation.run_scenes import SeenScene, see
from swath.messages import RunOptions
from swath.messages.run_warnings import gather_warnings
from swath.models.package import load_package
from swath.storage.earlier_outputs import Output, is_page, json_with
from swath.storage.output_folder import clear, work_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.models.mlm import ModelDescription
    from swath.models.package import ModelPackage

EVALUATION = "evaluation.json"
REPORT = "report.html"
OUTPUTS = (
    Output(EVALUATION, json_with("package", "collection", "figures")),
    Output(REPORT, is_page),
)
SCORE_FLOOR = 0.01
IOU = 0.5

_OUTLINED = {"oriented-detection", "instance-segmentation", "segmentation"}
_MASKED = {"instance-segmentation", "segmentation"}
_POLYGONS = ("polygon_precision", "polygon_recall", "polygon_F1")

Progress = Callable[[str, int, int], None]
"""Function that is called with a scene's address, its number of completed tiles and its number of
tiles. The first call for a scene has no completed tiles."""


def evaluate(
    package: str | Path,
    collection: Collection,
    out: Path,
    *,
    score_floor: float = SCORE_FLOOR,
    tolerated_failures: float = 0.0,
    report: bool = True,
    progress: Progress = lambda *_: None,
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
    classes = _check(description, collection)
    changes = _changes(description, score_floor)
    outlined = description.task in _OUTLINED
    require("faster_coco_eval", *(("jinja2", "matplotlib") if report else ()))
    scenes: list[SeenScene] = []
    pixels = np.zeros((len(classes.names) + 1,) * 2, np.int64)
    clear(out, OUTPUTS)
    with work_folder(out) as work:
        model = write_variant(loaded, work / "model", **changes)
        for number, scene in enumerate(collection.scenes):
            with see(
                scene,
                number,
                model=model,
                classes=classes,
                outlined=outlined,
                work=work,
                options=RunOptions(tolerated_failures=tolerated_failures),
                progress=lambda done, of, uri=scene.uri: progress(uri, done, of),  # type: ignore[misc]
            ) as seen:
                if description.task in _MASKED:
                    pixels += _pixels(seen, description, classes)
                # The mask file is deleted with the run's folder.
                scenes.append(replace(seen, mask=None))
    conditions = Conditions(
        compared="outlines" if outlined else "boxes", score_floor=score_floor, iou=IOU
    )
    evaluation = _evaluation(
        loaded,
        collection,
        classes,
        conditions,
        scenes,
        pixels if description.task in _MASKED else None,
    )
    write_evaluation(evaluation, out)
    if report:
        _write_report(evaluation, scenes, description, out)
    return evaluation


def figures_of(task: str) -> tuple[str, ...]:
    """Return the names of the metrics for packages of a task."""
    none, box = np.empty(0, np.int64), np.empty((0, 4))
    truth = Truth(scene=none, label=none, box=box, crowd=np.empty(0, np.bool_))
    found = Found(scene=none, label=none, box=box, score=np.empty(0))
    names = [*measure_objects(truth, found, ["any"], threshold=0.5, iou=IOU)[0]]
    if task in _OUTLINED:
        names += _POLYGONS
    if task in _MASKED:
        names += measure_pixels(np.zeros((2, 2), np.int64), ["any"])[0]
    return tuple(names)


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write `evaluation.json` into a folder."""
    text = json.dumps(evaluation.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / EVALUATION), text.encode())


def _check(description: ModelDescription, collection: Collection) -> Classes:
    if description.task == "classification":
        raise PackageError(
            f"{description.name} gives a class a tile; what is measured here is detections and "
            "masks"
        )
    if not collection.scenes:
        raise LabelsError("the collection has no scene to measure a package on")
    return Classes.of(description, collection)


def _changes(description: ModelDescription, score_floor: float) -> dict[str, Any]:
    """Return the hyperparameters that the evaluation changes in the package."""
    if description.task == "segmentation":
        return {"mask": True}
    return {"score_threshold": _reported_from(description, score_floor)}


def _reported_from(description: ModelDescription, score_floor: float) -> float:
    own = description.score_threshold
    return own if description.task == "segmentation" else min(score_floor, own)


def _pixels(seen: SeenScene, description: ModelDescription, classes: Classes) -> NDArray[np.int64]:
    count = len(classes.names)
    if seen.mask is not None:
        labels = of_mask(seen.mask, classes.of_model, count)
    else:
        kept = seen.found.score >= _threshold(description)
        labels = drawn(seen.found.take(kept), count)
    return count_scene(seen.uri, description.bands, seen.ground, labels, count)


def _threshold(description: ModelDescription) -> float:
    """Return the package's score threshold, rounded to float32 like the scores."""
    return float(np.float32(description.score_threshold))


def _evaluation(
    package: ModelPackage,
    collection: Collection,
    classes: Classes,
    conditions: Conditions,
    scenes: Sequence[SeenScene],
    pixels: NDArray[np.int64] | None,
) -> Evaluation:
    description = package.description
    threshold = _threshold(description)
    truth, found = Truth.joined([s.truth for s in scenes]), Found.joined([s.found for s in scenes])
    figures, by_class, curve = measure_objects(
        truth, found, classes.names, threshold=threshold, iou=conditions.iou
    )
    if conditions.compared == "outlines":
        # The metrics of the SpaceNet challenge, over all scenes together.
        figures |= {name: figures[name.removeprefix("polygon_")] for name in _POLYGONS}
    of_pixels: PixelFigures | None = None
    if pixels is not None:
        of_masks, of_pixels = measure_pixels(pixels, classes.names)
        figures |= of_masks
    kept = found.take(found.score >= threshold)
    return Evaluation(
        package=_measured(package, conditions),
        collection=CollectionUsed(
            digest=collection.digest,
            scenes=len(scenes),
            objects=int((~truth.crowd).sum()),
            classes=classes.names,
            unlabelled=classes.unlabelled,
        ),
        conditions=conditions,
        figures=figures,
        classes=by_class,
        scenes=[_of_scene(scene, threshold, conditions.iou) for scene in scenes],
        curve=curve,
        confusion=confusion(truth, kept, len(classes.names), at=conditions.iou).tolist(),
        pixels=of_pixels,
        warnings=gather_warnings(
            doubts_about(classes, scenes), *(scene.warnings for scene in scenes)
        ),
    )


def _measured(package: ModelPackage, conditions: Conditions) -> PackageMeasured:
    description = package.description
    return PackageMeasured(
        name=description.name,
        digest=package.digest,
        task=description.task,
        tile_size=description.tile_size,
        overlap=description.overlap,
        score_threshold=description.score_threshold,
        reported_from=_reported_from(description, conditions.score_floor),
    )


def _of_scene(scene: SeenScene, threshold: float, iou: float) -> SceneFigures:
    kept = scene.found.take(scene.found.score >= threshold)
    matches = match(scene.truth, kept, at=iou)
    hits, false, missed = (
        int(which.sum()) for which in (matches.hit, matches.false, matches.missed)
    )
    figures: Figures = at_threshold(Counts(hits, false, missed))
    return SceneFigures(
        uri=scene.uri,
        tiles=scene.tiles,
        seconds=scene.seconds,
        objects=hits + missed,
        hits=hits,
        false=false,
        missed=missed,
        figures=figures,
    )


def _write_report(
    evaluation: Evaluation,
    scenes: Sequence[SeenScene],
    description: ModelDescription,
    out: Path,
) -> None:
    # Imported here, so that figures alone need neither matplotlib nor jinja2.
    from swath.evaluation.report import render  # noqa: PLC0415
    from swath.evaluation.worst_tiles import worst_tiles  # noqa: PLC0415

    chips = worst_tiles(
        scenes, description.bands, threshold=_threshold(description), iou=evaluation.conditions.iou
    )
    storage.write_bytes(str(out / REPORT), render(evaluation, chips).encode())
