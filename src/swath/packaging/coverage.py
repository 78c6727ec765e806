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

_EVERYTHING = 0.99
"""Minimum share of covered pixels for a warning that the package detects everything."""
_FAINT = 1e-3


def objects_of(outputs: Outputs, description: ModelDescription) -> Detections:
    """Return the detections of one tile, best score first."""
    size = description.tile_size
    tile = Grid(width=size, height=size, size=size, overlap=0).tile(0)
    return decode_detections(outputs, description, tile).sorted_by_tile()


def reported_pixels(outputs: Outputs, description: ModelDescription) -> NDArray[np.uint8]:
    """Return the class of each pixel (rows, cols); NO_LABEL where a run reports none."""
    label, score = semantic.decode(outputs, description, description.tile_size)
    nothing = score < description.score_threshold
    if description.background is not None:
        nothing |= label == description.background
    return np.where(nothing, np.uint8(NO_LABEL), label)


def reported_class(outputs: Outputs, description: ModelDescription) -> int | None:
    """Return the class of the tile; None if a run reports none."""
    label, score = classification.decode(outputs, description)
    reported = score >= description.score_threshold and label != description.background
    return label if reported else None


def coverage_warnings(
    where: str,
    answers: Sequence[Outputs],
    description: ModelDescription,
    *,
    empty: bool = False,
) -> Iterator[str]:
    """Yield a warning if a package detects nothing, or everything, in a set of tiles.

    Args:
        where: Name of the scene that the tiles come from, for the message.
        answers: Outputs of the model, one entry for each tile.
        description: Description of the model.
        empty: True if the tiles hold no objects; detecting nothing is then correct.
    """
    if not answers or (empty and description.task == "classification"):
        return
    tiles = f"{len(answers)} tile" + "s" * (len(answers) != 1)
    if description.task == "classification":
        if all(reported_class(one, description) is None for one in answers):
            yield f"{where}: the package finds nothing in {tiles} of it{_threshold(description)}"
    elif description.task == "segmentation":
        labels = np.stack([reported_pixels(one, description) for one in answers])
        values, counts = np.unique(labels, return_counts=True)
        most = int(values[counts.argmax()])
        if most == NO_LABEL and len(values) == 1 and not empty:
            yield f"{where}: the package finds nothing in {tiles} of it{_threshold(description)}"
        elif (
            most != NO_LABEL
            and (not empty or len(description.classes) == 1)
            and counts.max() >= _EVERYTHING * labels.size
        ):
            share = counts.max() / labels.size
            yield (
                f"{where}: the package finds everything to be {description.classes[most]}, "
                f"{share:.1%} of {tiles} of it: is score_activation "
                f"({description.activation}) right, and the scaling?"
            )
    else:
        yield from _of_objects(where, answers, description, tiles, empty=empty)


def _of_objects(
    where: str,
    answers: Sequence[Outputs],
    description: ModelDescription,
    tiles: str,
    *,
    empty: bool,
) -> Iterator[str]:
    found = [objects_of(one, description) for one in answers]
    if not any(map(len, found)):
        if empty:
            return
        faint = msgspec.structs.replace(description, score_threshold=_FAINT)
        best = max(objects_of(one, faint).score.max(initial=0) for one in answers)
        yield (
            f"{where}: the package finds nothing in {tiles} of it{_threshold(description)}; "
            f"the best score is {best:.3g}"
        )
        return
    shares = [_covered(one.box, description.tile_size) for one in found]
    if np.mean(shares) >= _EVERYTHING:
        count = sum(map(len, found))
        yield (
            f"{where}: the package finds everything: {count} objects cover "
            f"{np.mean(shares):.1%} of {tiles} of it: are score_activation "
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
