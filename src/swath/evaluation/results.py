"""Define the content of `evaluation.json`."""

from __future__ import annotations

from swath.messages import Payload, TileCounts

BACKGROUND = "(background)"
"""Name of the background in metrics and reports."""

Metrics = dict[str, float | None]
"""Metrics by name; None for a metric that is undefined."""


class PackageMeasured(Payload, frozen=True, kw_only=True):
    """Package that was evaluated."""

    name: str
    digest: str
    """SHA-256, hex, of the package's files."""
    task: str
    tile_size: int
    """Tile size in px."""
    overlap: int
    """Overlap of neighboring tiles in px."""
    score_threshold: float
    """Score threshold of the package."""
    reported_from: float
    """Lowest score of the evaluated detections: the score floor of the conditions, or the package's
    own threshold if that is lower or the task is segmentation."""


class CollectionUsed(Payload, frozen=True, kw_only=True):
    """Labeled scenes that the package was evaluated on."""

    digest: str
    """SHA-256, hex, of the labels and the scenes' bytes."""
    scenes: int
    """Number of scenes."""
    objects: int
    """Number of objects, without crowds."""
    classes: tuple[str, ...]
    """Classes that were evaluated."""
    unlabeled: tuple[str, ...] = ()
    """Classes of the model that the labels lack, so they were not evaluated."""


class Conditions(Payload, frozen=True, kw_only=True):
    """Conditions of the evaluation; metrics under other conditions are not comparable."""

    compared: str
    """Geometry of the IoU: `boxes` or `outlines`."""
    score_floor: float
    """Requested score floor, 0 to 1."""
    iou: float = 0.5
    """Minimum IoU of a match, for metrics whose name states none."""


class CurvePoints(Payload, frozen=True, kw_only=True):
    """Precision and recall at thresholds, from the highest score to the lowest."""

    score: list[float]
    precision: list[float]
    recall: list[float]
    f1: list[float]


class ClassMetrics(Payload, frozen=True, kw_only=True):
    """Metrics of one class."""

    name: str
    objects: int
    """Number of objects, without crowds."""
    metrics: Metrics
    curve: CurvePoints


class SceneMetrics(Payload, frozen=True, kw_only=True):
    """Metrics of one scene, at the package's score threshold."""

    uri: str
    tiles: TileCounts
    seconds: float
    """Seconds that planning, inference and merging took."""
    objects: int
    """Number of objects, without crowds."""
    hits: int
    """Number of detections that match an object."""
    false: int
    """Number of false positives."""
    missed: int
    """Number of objects that no detection matches."""
    metrics: Metrics


class PixelMetrics(Payload, frozen=True, kw_only=True):
    """Metrics of masks."""

    counts: list[list[int]]
    """Number of pixels: rows are the ground truth, columns the prediction, the background last."""
    iou: Metrics
    """IoU by class."""
    f1: Metrics
    """F1 by class."""


class Evaluation(Payload, frozen=True, kw_only=True):
    """Evaluation of a model package on a collection."""

    package: PackageMeasured
    collection: CollectionUsed
    conditions: Conditions
    metrics: Metrics
    """Metrics over all classes and scenes, which a gate compares."""
    classes: list[ClassMetrics]
    scenes: list[SceneMetrics]
    curve: CurvePoints
    confusion: list[list[int]]
    """Number of objects at the package's score threshold: rows are the ground truth, columns the
    prediction, the background last."""
    pixels: PixelMetrics | None = None
    warnings: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Warnings about the classes and the scenes, one sentence each."""
