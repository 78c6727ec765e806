"""Joining what tiles saw: swath, sahi's GreedyNMM and lsnms."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.meter import Meter, Sample
from benchmarks.sides.boxes import load_boxes, make_grid

_FEW = 300
"""Detections to warm up with: compilers, caches."""


def swath(count: int, repeats: int = 1) -> Sample:
    """Run swath's merge, from arrays to arrays; the time is the median of the repeats."""
    from swath.detection.stitching.stitcher import Stitcher, merge_detections  # noqa: PLC0415 (peers are spared it)

    seen, stitcher = load_boxes(count), Stitcher(make_grid(count))
    merge_detections(seen.take(slice(0, _FEW)), stitcher)
    walls = []
    with Meter() as meter:
        for _ in range(repeats):
            started = time.perf_counter()
            merged = merge_detections(seen, stitcher)
            walls.append(time.perf_counter() - started)
    meter.wall = statistics.median(walls)
    return meter.sample(detections=len(merged), walls=walls)


def sahi(count: int) -> Sample:
    """Run sahi's steps after its last tile: shifted objects, and GreedyNMM with its defaults."""
    from sahi.postprocess.combine import GreedyNMMPostprocess  # noqa: PLC0415

    seen = load_boxes(count)
    columns = (seen.box.tolist(), seen.score.tolist(), seen.label.tolist())
    merge = GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS", class_agnostic=False)
    merge(_objects(*(column[:_FEW] for column in columns)))
    with Meter() as meter:
        started = time.perf_counter()
        objects = _objects(*columns)
        making = time.perf_counter() - started
        merged = merge(objects)
    return meter.sample(detections=len(merged), making=making)


def lsnms(count: int) -> Sample:
    """NMS of lsnms, class by class; it knows IoU only and joins nothing."""
    from lsnms import nms  # type: ignore[import-untyped]  # noqa: PLC0415

    seen = load_boxes(count)
    score, label = seen.score.astype(np.float64), seen.label.astype(np.int64)
    few = slice(0, _FEW)
    nms(seen.box[few], score[few], iou_threshold=0.5, class_ids=label[few])
    with Meter() as meter:
        kept = nms(seen.box, score, iou_threshold=0.5, class_ids=label)
    return meter.sample(detections=len(kept))


def _objects(boxes: list[Any], scores: list[float], labels: list[int]) -> list[Any]:
    from sahi.prediction import ObjectPrediction  # noqa: PLC0415

    return [
        ObjectPrediction(
            bbox=box, score=score, category_id=label, category_name="thing", shift_amount=[0, 0]
        ).get_shifted_object_prediction()
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]
