"""Define the options of NMS and its alternatives, which a model package chooses."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

NmsStrategy = Literal["none", "nms", "soft-nms", "nmm", "wbf"]
OverlapMetric = Literal["iou", "ios"]


class NmsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rule for duplicates: when two detections of one class are duplicates, and which are kept."""

    strategy: NmsStrategy = "nms"
    """Treatment of duplicates.

    - `none`: keep all.
    - `nms`: keep the detection with the highest score.
    - `soft-nms`: keep all, but lower the scores of all others.
    - `nmm`: keep the detection with the highest score, enlarged to contain the others.
    - `wbf`: replace them by their mean, weighted by score.
    """
    metric: OverlapMetric = "iou"
    """Measure of overlap: `iou` is intersection over union. `ios` is the intersection over the area
    of the detection with the lower score. With `ios`, a fragment can be a duplicate of a whole
    object with a higher score, but a whole object is no duplicate of a fragment."""
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Overlap above which two detections are duplicates. `soft-nms` does not use it in a tile."""
    sigma: Annotated[float, Meta(gt=0)] = 0.5
    """Width of the decay of `soft-nms`: the score of an overlapping detection is multiplied by
    exp(-overlap² / sigma)."""
