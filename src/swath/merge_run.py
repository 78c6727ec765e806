"""The end of a run's inference: every tile accounted for, every seam joined, one GeoParquet file.

Shards stream through, a row group at a time; only what touches a seam is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from swath import geoparquet, storage
from swath.detections import Detections, read_detections
from swath.errors import RunIncompleteError
from swath.geoparquet import GeoParquetWriter
from swath.georeference import Georeferencer
from swath.merge import Seams
from swath.mlm import ModelDescription
from swath.package import describe_package
from swath.payloads import MergeSummary, Receipt, TileCounts
from swath.plan import Plan
from swath.scene import open_scene
from swath.shard import read_receipt
from swath.storage import RunPaths

_READERS = 16
_NAMED = 5
"""How many shards or failures a message names."""


def merge_run(plan_uri: str) -> MergeSummary:
    """Join what the shards of a run found, and write it as GeoParquet.

    Raises:
        RunIncompleteError: a shard left no receipt, tiles are not accounted for, or more failed
            than the run tolerates; the message names the first.
        SceneChangedError: the scene is no longer the one that was planned.
    """
    plan = Plan.from_json(storage.read_json(plan_uri))
    paths = RunPaths.of_plan(plan_uri)
    receipts = _receipts(plan, paths)
    tiles = _account(plan, receipts)
    description, _ = describe_package(plan.model.uri)
    with_detections = [paths.shard(r.index) for r in receipts if r.detections]
    with (
        open_scene(plan.scene.uri, etag=plan.scene.etag) as scene,
        storage.writing(paths.detections, content_type=geoparquet.MEDIA_TYPE) as path,
        GeoParquetWriter(
            path,
            georeferencer=Georeferencer.of(scene.info),
            classes=description.classes,
            run_id=plan.run_id,
            scene=plan.scene.uri,
            model=plan.model.name,
        ) as out,
    ):
        for detections in _merged(plan, description, with_detections):
            out.write(detections)
    return MergeSummary(uri=paths.detections, detections=out.count, tiles=tiles)


def _receipts(plan: Plan, paths: RunPaths) -> list[Receipt]:
    """Of every shard, in order."""
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(lambda index: read_receipt(paths, index), range(len(plan.shards))))
    if missing := [index for index, receipt in enumerate(found) if receipt is None]:
        named = ", ".join(map(str, missing[:_NAMED]))
        raise RunIncompleteError(
            f"{len(missing)} of {len(found)} shards of run {plan.run_id} left no receipt "
            f"(first: {named}); run them again"
        )
    return [receipt for receipt in found if receipt is not None]


def _account(plan: Plan, receipts: list[Receipt]) -> TileCounts:
    """What became of the tiles, if that is known of each and good enough."""
    tiles = sum((receipt.tiles for receipt in receipts), start=plan.passed_over)
    if not tiles.complete or tiles.planned != plan.grid.count:
        raise RunIncompleteError(
            f"run {plan.run_id} planned {plan.grid.count} tiles; its shards account for "
            f"{tiles.succeeded} succeeded, {tiles.failed} failed and {tiles.skipped} skipped"
        )
    if tiles.failed > plan.options.tolerated_failures * tiles.planned:
        raise RunIncompleteError(_failures(plan, receipts, tiles))
    return tiles


def _failures(plan: Plan, receipts: list[Receipt], tiles: TileCounts) -> str:
    failures = [failure for receipt in receipts for failure in receipt.failures][:_NAMED]
    first = "; ".join(f"tile {f.tile} at x {f.column}, y {f.row}: {f.cause}" for f in failures)
    return (
        f"{tiles.failed} of {tiles.planned} tiles failed and the run tolerates "
        f"{plan.options.tolerated_failures:.1%}. {first}"
    )


def _merged(plan: Plan, description: ModelDescription, shards: list[str]) -> Iterator[Detections]:
    """All detections of a run, by tile and then best first, whatever the shards were."""
    flagged = Detections.concatenate(
        [found for shard in shards for found in _read(shard, flagged=True)]
    )
    settled = Seams(plan.grid).settle(flagged, iou_threshold=description.iou_threshold).ordered()
    done = 0
    for shard in shards:
        for found in _read(shard, flagged=False):
            if len(found):
                # A row group holds all of its tiles' detections, so nothing of these comes later.
                until = int(np.searchsorted(settled.tile, found.tile[-1], side="right"))
                yield Detections.concatenate([found, settled.take(slice(done, until))]).ordered()
                done = until
    yield settled.take(slice(done, None))


def _read(shard: str, *, flagged: bool) -> Iterator[Detections]:
    with storage.reading(shard) as path:
        yield from read_detections(path, flagged=flagged)
