"""Merge detections of tiles by swath, sahi's GreedyNMM and lsnms."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.meter import Meter, Sample
from benchmarks.sides.boxes import load_boxes, make_grid

_WARM_UP_DETECTIONS = 300
"""Number of detections to warm up compilers and caches."""


def swath(count: int, repeats: int = 1) -> Sample:
    """Run swath's merge, from arrays to arrays; the time is the median of the repeats."""
    from swath.detection.stitching.stitcher import Stitcher, merge_detections  # noqa: PLC0415 (not for the peers)

    detections, stitcher = load_boxes(count), Stitcher(make_grid(count))
    merge_detections(detections.take(slice(0, _WARM_UP_DETECTIONS)), stitcher)
    times = []
    with Meter() as meter:
        for _ in range(repeats):
            started = time.perf_counter()
            merged = merge_detections(detections, stitcher)
            times.append(time.perf_counter() - started)
    meter.wall = statistics.median(times)
    return meter.sample(detections=len(merged), walls=times)


def sahi(count: int) -> Sample:
    """Run sahi's steps after its last tile: shifted objects, and GreedyNMM with its defaults."""
    from sahi.postprocess.combine import GreedyNMMPostprocess  # noqa: PLC0415

    detections = load_boxes(count)
    columns = (detections.box.tolist(), detections.score.tolist(), detections.label.tolist())
    merge = GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS", class_agnostic=False)
    merge(_objects(*(column[:_WARM_UP_DETECTIONS] for column in columns)))
    with Meter() as meter:
        started = time.perf_counter()
        objects = _objects(*columns)
        conversion_seconds = time.perf_counter() - started
        merged = merge(objects)
    return meter.sample(detections=len(merged), making=conversion_seconds)


def lsnms(count: int) -> Sample:
    """Run lsnms class by class; it only has IoU, and merges no boxes."""
    from lsnms import nms  # type: ignore[import-untyped]  # noqa: PLC0415

    detections = load_boxes(count)
    score, label = detections.score.astype(np.float64), detections.label.astype(np.int64)
    warm_up = slice(0, _WARM_UP_DETECTIONS)
    nms(detections.box[warm_up], score[warm_up], iou_threshold=0.5, class_ids=label[warm_up])
    with Meter() as meter:
        indices = nms(detections.box, score, iou_threshold=0.5, class_ids=label)
    return meter.sample(detections=len(indices))


def _objects(boxes: list[Any], scores: list[float], labels: list[int]) -> list[Any]:
    from sahi.prediction import ObjectPrediction  # noqa: PLC0415

    return [
        ObjectPrediction(
            bbox=box, score=score, category_id=label, category_name="thing", shift_amount=[0, 0]
        ).get_shifted_object_prediction()
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]
