"""What an evaluation says: the content of `evaluation.json`."""

from __future__ import annotations

from swath.messages import Payload, TileCounts

BACKGROUND = "(background)"
"""How figures and reports call what is of no class."""

Figures = dict[str, float | None]
"""By name; None where there is nothing to measure."""


class PackageMeasured(Payload, frozen=True, kw_only=True):
    """Which package was measured."""

    name: str
    digest: str
    task: str
    tile_size: int
    overlap: int
    score_threshold: float
    """The package's own."""
    reported_from: float
    """The engine reported what scores so much: the floor of the conditions, or the package's own
    threshold where that is lower or pixels depend on it."""


class CollectionUsed(Payload, frozen=True, kw_only=True):
    """What it was measured on."""

    digest: str
    scenes: int
    objects: int
    """Crowds apart."""
    classes: tuple[str, ...]
    """Those measured."""
    unlabelled: tuple[str, ...] = ()
    """Classes of the model that the labels do not know: nothing is said of them."""


class Conditions(Payload, frozen=True, kw_only=True):
    """How it was measured; figures under other conditions are not comparable."""

    compared: str
    """`boxes` or `outlines`."""
    score_floor: float
    """What scores less was not asked for."""
    iou: float = 0.5
    """From which overlap on a detection stands for an object, where a figure names none."""


class CurvePoints(Payload, frozen=True, kw_only=True):
    """Precision and recall at thresholds, from the highest score to the lowest."""

    score: list[float]
    precision: list[float]
    recall: list[float]
    f1: list[float]


class ClassFigures(Payload, frozen=True, kw_only=True):
    """Of one class."""

    name: str
    objects: int
    figures: Figures
    curve: CurvePoints


class SceneFigures(Payload, frozen=True, kw_only=True):
    """Of one scene, at the package's own threshold."""

    uri: str
    tiles: TileCounts
    seconds: float
    objects: int
    hits: int
    false: int
    missed: int
    figures: Figures


class PixelFigures(Payload, frozen=True, kw_only=True):
    """Of masks."""

    counts: list[list[int]]
    """Rows are what is known, columns what was seen; the background is last."""
    iou: Figures
    """By class."""
    f1: Figures


class Evaluation(Payload, frozen=True, kw_only=True):
    """How good a model package is on a collection."""

    package: PackageMeasured
    collection: CollectionUsed
    conditions: Conditions
    figures: Figures
    """Of the whole; what a gate compares."""
    classes: list[ClassFigures]
    scenes: list[SceneFigures]
    curve: CurvePoints
    confusion: list[list[int]]
    """At the package's own threshold; rows are known classes, columns seen ones, the background
    last."""
    pixels: PixelFigures | None = None
    warnings: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """What looks wrong about the scenes, a sentence each."""
