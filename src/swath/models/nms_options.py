"""Which detections are of one object, and what becomes of them: a choice of the model package."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Strategy = Literal["none", "nms", "soft-nms", "nmm", "wbf"]
Metric = Literal["iou", "ios"]


class Matching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When two detections of one class are of one object, and what is reported of it."""

    strategy: Strategy = "nms"
    """`none`: all are reported. `nms`: the best. `soft-nms`: all, the others with less score.
    `nmm`: the best, grown to hold the others. `wbf`: their mean, weighted by score."""
    metric: Metric = "iou"
    """How far they overlap: intersection over union, or over the area of the worse of the two. So a
    fragment is taken for part of the whole, but never the whole for part of a fragment."""
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Two are of one object when they overlap by more. `soft-nms` has no use for it in a tile."""
    sigma: Annotated[float, Meta(gt=0)] = 0.5
    """Of `soft-nms`: a rival's score is multiplied by exp(-overlap² / sigma)."""
