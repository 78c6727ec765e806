"""Warn about packages that detect nothing in a scene, or cover all of it: both are rarely right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from swath.detection.decode import classification, semantic
from swath.detection.detections import NO_LABEL
from swath.detection.postprocess import decode_detections
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.detection.detections import Detections
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Outputs

_MIN_FULL_COVERAGE = 0.99
"""Minimum share of covered pixels for a warning that the package detects everything."""
_FAINT_THRESHOLD = 1e-3


def decode_objects(outputs: Outputs, description: ModelDescription) -> Detections:
    """Return the detections of one tile, best score first."""
    size = description.tile_size
    tile = Grid(width=size, height=size, size=size, overlap=0).tile(0)
    return decode_detections(outputs, description, tile).sorted_by_tile()


def reported_pixels(outputs: Outputs, description: ModelDescription) -> NDArray[np.uint8]:
    """Return the class of each pixel (rows, cols); NO_LABEL where a run reports none."""
    label, score = semantic.decode(outputs, description, description.tile_size)
    unreported = score < description.score_threshold
    if description.background is not None:
        unreported |= label == description.background
    return np.where(unreported, np.uint8(NO_LABEL), label)


def reported_class(outputs: Outputs, description: ModelDescription) -> int | None:
    """Return the class of the tile; None if a run reports none."""
    label, score = classification.decode(outputs, description)
    reported = score >= description.score_threshold and label != description.background
    return label if reported else None


def coverage_warnings(
    source: str,
    outputs: Sequence[Outputs],
    description: ModelDescription,
    *,
    empty: bool = False,
) -> Iterator[str]:
    """Yield a warning if a package detects nothing, or everything, in a set of tiles.

    Args:
        source: Name of the scene that the tiles come from, for the message.
        outputs: Outputs of the model, one entry for each tile.
        description: Description of the model.
        empty: True if the tiles hold no objects; detecting nothing is then correct.
    """
    if not outputs or (empty and description.task == "classification"):
        return
    tiles = f"{len(outputs)} tile" + "s" * (len(outputs) != 1)
    if description.task == "classification":
        if all(reported_class(output, description) is None for output in outputs):
            yield f"{source}: the package detects nothing in {tiles}{_threshold(description)}"
    elif description.task == "segmentation":
        labels = np.stack([reported_pixels(output, description) for output in outputs])
        values, counts = np.unique(labels, return_counts=True)
        most_common = int(values[counts.argmax()])
        if most_common == NO_LABEL and len(values) == 1 and not empty:
            yield f"{source}: the package detects nothing in {tiles}{_threshold(description)}"
        elif (
            most_common != NO_LABEL
            and (not empty or len(description.classes) == 1)
            and counts.max() >= _MIN_FULL_COVERAGE * labels.size
        ):
            share = counts.max() / labels.size
            yield (
                f"{source}: the package assigns {description.classes[most_common]} to "
                f"{share:.1%} of {tiles}: is score_activation "
                f"({description.activation}) right, and the scaling?"
            )
    else:
        yield from _object_warnings(source, outputs, description, tiles, empty=empty)


def _object_warnings(
    source: str,
    outputs: Sequence[Outputs],
    description: ModelDescription,
    tiles: str,
    *,
    empty: bool,
) -> Iterator[str]:
    detections = [decode_objects(output, description) for output in outputs]
    if not any(map(len, detections)):
        if empty:
            return
        faint = msgspec.structs.replace(description, score_threshold=_FAINT_THRESHOLD)
        best = max(decode_objects(output, faint).score.max(initial=0) for output in outputs)
        yield (
            f"{source}: the package detects nothing in {tiles}{_threshold(description)}; "
            f"the best score is {best:.3g}"
        )
        return
    shares = [_covered(objects.box, description.tile_size) for objects in detections]
    if np.mean(shares) >= _MIN_FULL_COVERAGE:
        count = sum(map(len, detections))
        yield (
            f"{source}: the package detects objects everywhere: {count} objects cover "
            f"{np.mean(shares):.1%} of {tiles}: are score_activation "
            f"({description.activation}), box_format ({description.box_format}) and the scaling "
            "right?"
        )


def _covered(box: NDArray[np.float64], size: int) -> float:
    """Return the share of a tile's pixels that boxes (n, 4) in px cover."""
    covered = np.zeros((size, size), bool)
    low, high = np.floor(box[:, :2]).astype(int), np.ceil(box[:, 2:]).astype(int)
    for (x0, y0), (x1, y1) in zip(low.clip(0), high.clip(0), strict=True):
        covered[y0:y1, x0:x1] = True
    return float(covered.mean())


def _threshold(description: ModelDescription) -> str:
    return (
        f" at score_threshold {description.score_threshold:g}"
        if description.head != "labels"
        else ""
    )
