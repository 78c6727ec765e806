"""Decode boxes, labels and scores in outputs of their own, with masks for instances.

torchvision's detectors return these outputs after NMS. Mask R-CNN's masks are probabilities over
the whole tile, `(n, 1, rows, cols)`. NMS plugins add the number of rows that are objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.detection.decode.candidates import Candidates, to_candidates
from swath.detection.decode.class_labels import select_labeled
from swath.detection.decode.outputs import check_no_nan, get_output, get_unchecked_output
from swath.detection.segmentation.polygonize import polygonize_mask
from swath.errors import ModelOutputError
from swath.models.output_spec import BOX_COLUMNS

if TYPE_CHECKING:
    from swath._types import Polygons
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, output_spec: OutputSpec, size: int) -> Candidates:
    """Return the candidates of one tile.

    Raises:
        ModelOutputError: The outputs differ from the package's description, or hold NaN.
    """
    scores = get_output(outputs, "scores", output_spec, (-1,))
    boxes = get_output(
        outputs, "boxes", output_spec, (len(scores), BOX_COLUMNS[output_spec.box_format])
    )
    labels = get_output(outputs, "labels", output_spec, (len(scores),))
    if "count" in output_spec.outputs:
        count = _object_count(outputs, output_spec, len(scores))
        scores, labels = scores[:count], labels[:count]
    scored = select_labeled(scores, labels, output_spec)
    return to_candidates(boxes[scored.row], scored, output_spec, size)


def _object_count(outputs: Outputs, output_spec: OutputSpec, row_count: int) -> int:
    """Return the number of rows that are objects; NMS plugins leave the other rows unchanged.

    Raises:
        ModelOutputError: The count is not a whole number from 0 to the number of rows.
    """
    given = float(get_output(outputs, "count", output_spec, (), (1,)).reshape(-1)[0])
    if not given.is_integer() or not 0 <= given <= row_count:
        raise ModelOutputError(f"the model returned the count {given:g} for {row_count} rows")
    return int(given)


def trace_outlines(
    outputs: Outputs, output_spec: OutputSpec, size: int, candidates: Candidates
) -> Polygons:
    """Return the outlines (n,) of candidates in px of the tile; None for one without a pixel.

    Raises:
        ModelOutputError: The masks differ from the package's description, or hold NaN.
    """
    count = len(get_unchecked_output(outputs, "scores", output_spec, (-1,)))
    masks = get_unchecked_output(
        outputs, "masks", output_spec, (count, 1, size, size), (count, size, size)
    )
    masks = masks.reshape(-1, size, size)
    outline = np.empty(len(candidates.row), np.object_)
    for index, row in enumerate(candidates.row):
        check_no_nan(masks[row], "masks")
        outline[index] = polygonize_mask(masks[row] >= output_spec.mask_threshold)
    return outline
