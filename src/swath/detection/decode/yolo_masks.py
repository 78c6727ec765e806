"""Decode rows with mask coefficients: YOLO instance segmentation with prototypes (YOLACT, 2019).

A row is a box, one score per class and one coefficient per prototype mask. The mask of an instance
is the sigmoid of the prototypes' sum, weighted by the coefficients. It is resampled to the size of
the tile and cut to the box.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from swath.detection.decode.candidates import Candidates, to_candidates
from swath.detection.decode.outputs import get_output, logit
from swath.detection.decode.resample import bilinear
from swath.detection.decode.yolo import select_best_class, to_channels_first
from swath.detection.segmentation.polygonize import polygonize_mask
from swath.models.output_spec import BOX_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats, Polygons
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, output_spec: OutputSpec, size: int) -> Candidates:
    """Return the candidates of one tile.

    Raises:
        ModelOutputError: The outputs differ from the package's description, or hold NaN.
    """
    columns, classes = BOX_COLUMNS[output_spec.box_format], len(output_spec.classes)
    prototypes = get_output(outputs, "prototypes", output_spec, (-1, -1, -1))
    channels = to_channels_first(outputs, output_spec, columns + classes + len(prototypes))
    scored = select_best_class(channels[columns : columns + classes], output_spec)
    return to_candidates(channels[:columns, scored.row].T, scored, output_spec, size)


def trace_outlines(
    outputs: Outputs, output_spec: OutputSpec, size: int, candidates: Candidates
) -> Polygons:
    """Return the outlines (n,) of candidates in px of the tile; None for one without a pixel."""
    prototypes = get_output(outputs, "prototypes", output_spec, (-1, -1, -1)).astype(np.float32)
    channels = to_channels_first(outputs, output_spec, -1)
    weights = channels[len(channels) - len(prototypes) :, candidates.row].T.astype(np.float32)
    min_logit = logit(output_spec.mask_threshold)
    outline = np.empty(len(candidates.row), np.object_)
    for index, (coefficients, box) in enumerate(zip(weights, candidates.box, strict=True)):
        x0, y0, x1, y1 = _pixels_within(box, size)
        if x0 < x1 and y0 < y1:
            mask_logits = _combine_prototypes(
                prototypes, coefficients, np.arange(y0, y1), np.arange(x0, x1), size
            )
            outline[index] = polygonize_mask(mask_logits >= min_logit, (x0, y0))
    return outline


def _pixels_within(box: Floats, size: int) -> tuple[int, int, int, int]:
    """Return the pixels of the tile whose centers are in a box, as x0, y0, x1, y1."""
    x0, y0, x1, y1 = np.floor(np.clip(box, 0, size) + 0.5).astype(int).tolist()
    return x0, y0, x1, y1


def _combine_prototypes(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    size: int,
) -> NDArray[np.float32]:
    """Return the weighted sum of the prototypes at given pixels of the tile, (rows, cols).

    Only the prototype pixels that the given pixels need are summed.
    """
    _, height, width = prototypes.shape
    y, x = (rows + 0.5) * height / size, (cols + 0.5) * width / size
    top, left = max(0, math.floor(y[0] - 0.5)), max(0, math.floor(x[0] - 0.5))
    near = prototypes[:, top : math.floor(y[-1] + 0.5) + 1, left : math.floor(x[-1] + 0.5) + 1]
    return bilinear(np.tensordot(coefficients, near, axes=1), y - top, x - left)
