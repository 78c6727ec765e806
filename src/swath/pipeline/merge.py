"""The end of a run's inference: every tile accounted for, every seam joined, one GeoParquet file.

A segmentation's mask is put together as well, where the model package asks for it.

Shards stream through, a row group at a time; only what touches a shard's edge is held in memory.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from swath import storage
from swath.detection import geoparquet
from swath.detection.detections import Detections, read_detections, read_in_order
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.segmentation import mask_raster
from swath.detection.segmentation.mask_raster import assemble, extent
from swath.detection.tasks import Task, task_of
from swath.errors import RunIncompleteError
from swath.messages import MergeSummary, Receipt, TileCounts
from swath.messages.run_warnings import gather_warnings
from swath.pipeline.paths import RunPaths
from swath.pipeline.plan import Plan, read_plan
from swath.pipeline.shard import read_receipt
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.radiometry.comparison import compare
from swath.raster.radiometry.sampling import Lattice, Samples
from swath.raster.scene_info import Placed

_READERS = 16
_AHEAD = 8
"""How many shards' files are fetched before their turn."""
_NAMED = 5
"""How many shards or failures a message names."""

Rows = Iterator[Detections]


def merge_run(plan_uri: str) -> MergeSummary:
    """Join what the shards of a run found, and write it as GeoParquet.

    Nothing but the run's own files is read. The scene and the model package may be gone by now;
    each shard has made sure that what it read was what the plan is of.

    Raises:
        RunIncompleteError: a shard left no receipt, or its files are not those that its receipt
            vouches for; tiles are not accounted for, or more failed than the run tolerates. The
            message names the first.
        PayloadError: the plan was written by another version of swath.
    """
    plan = read_plan(plan_uri)
    paths = RunPaths.of_plan(plan_uri)
    receipts = _receipts(plan, paths)
    tiles = _account(plan, receipts)
    task, scene = task_of(plan.answer, plan.grid), plan.placed
    georeferencer = Georeferencer.of(scene)
    with (
        storage.writing(paths.detections, content_type=geoparquet.MEDIA_TYPE) as path,
        GeoParquetWriter(
            path,
            classes=plan.answer.classes,
            run_id=plan.run_id,
            scene=plan.scene.uri,
            model=plan.model.name,
            footprint=footprint(scene, georeferencer),
        ) as out,
    ):
        for found in _merged(plan, paths, receipts, task):
            out.write(found, georeferencer.place(found.box, found.outline))
        mask_uri = ""
        if plan.answer.mask:
            mask_uri = _write_mask(plan, paths, receipts, scene)
    return MergeSummary(
        uri=paths.detections,
        etag=storage.etag(paths.detections) or "",
        detections=out.count,
        tiles=tiles,
        mask_uri=mask_uri,
        mask_etag=storage.etag(mask_uri) or "" if mask_uri else "",
        warnings=gather_warnings(
            *(receipt.warnings for receipt in receipts),
            _band_warnings(plan, paths, receipts),
            _unplaced(plan, out.unplaced),
        ),
    )


def _unplaced(plan: Plan, count: int) -> list[str]:
    """Return the warning about detections that were left out, if there are any."""
    if not count:
        return []
    warning = (
        f"{plan.scene.uri}: {count} detections have no position on Earth by its georeference, as "
        "off the disc of a weather satellite, and were left out; mask these pixels"
    )
    return [warning]


def read_merged(plan_uri: str) -> Rows:
    """Yield what `merge_run` writes of a run whose shards are done, in px of its scene.

    Raises:
        RunIncompleteError: a shard left no receipt.
        PayloadError: the plan was written by another version of swath.
    """
    plan = read_plan(plan_uri)
    paths = RunPaths.of_plan(plan_uri)
    yield from _merged(plan, paths, _receipts(plan, paths), task_of(plan.answer, plan.grid))


def _band_warnings(plan: Plan, paths: RunPaths, receipts: list[Receipt]) -> list[str]:
    """Compare the run's bands with what the model package expects of them."""
    if plan.expected is None:
        return []
    sampled = [receipt for receipt in receipts if receipt.samples]
    bands = len(plan.bands)

    def read(receipt: Receipt) -> Samples:
        uri = paths.samples(receipt.index)
        data = storage.read_bytes(uri)
        if receipt.files.get(storage.name(uri)) != hashlib.sha256(data).hexdigest():
            raise ValueError(f"{uri} is not the file that its shard wrote")
        return Samples.from_bytes(data, bands)

    with ThreadPoolExecutor(_READERS) as pool:
        parts = pool.map(read, sampled)
        try:
            samples = Samples.join(list(parts), bands)
        except (FileNotFoundError, ValueError) as error:
            return [f"the bands were not compared with the model's: samples are damaged: {error}"]
    stride = Lattice.over(plan.width, plan.height).stride
    return compare(samples, plan.expected, plan.bands, stride=stride, scene=plan.scene.uri)


def _write_mask(plan: Plan, paths: RunPaths, receipts: list[Receipt], scene: Placed) -> str:
    """Put the mask together of the parts of all shards that have seen anything."""
    seen = [receipt for receipt in receipts if receipt.tiles.succeeded]
    windows = [extent(plan.grid, plan.tiles(receipt.index)) for receipt in seen]
    with (
        tempfile.TemporaryDirectory(prefix="swath-") as folder,
        ThreadPoolExecutor(_READERS) as pool,
        storage.writing(paths.mask, content_type=mask_raster.MEDIA_TYPE) as path,
    ):
        files = [Path(folder, f"{receipt.index}.tif") for receipt in seen]

        def fetch(receipt: Receipt, file: Path) -> None:
            part = paths.mask_part(receipt.index)
            with _naming(receipt, part):
                storage.copy(part, str(file))
            _hold_to_receipt(receipt, part, file)

        list(pool.map(fetch, seen, files))
        assemble(list(zip(files, windows, strict=True)), scene, plan.answer.classes, path)
    return paths.mask


def _receipts(plan: Plan, paths: RunPaths) -> list[Receipt]:
    """Of every shard, in order."""
    with ThreadPoolExecutor(_READERS) as pool:
        layout, count = plan.layout, len(plan.shards)
        found = list(pool.map(lambda index: read_receipt(paths, index, layout), range(count)))
    if missing := [index for index, receipt in enumerate(found) if receipt is None]:
        named = ", ".join(map(str, missing[:_NAMED]))
        raise RunIncompleteError(
            f"{len(missing)} of {len(found)} shards of run {plan.run_id} left no receipt "
            f"(first: {named}): {paths.receipt(missing[0])} is missing or damaged; "
            "drop the scene again, and what is missing is run again"
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


def _merged(plan: Plan, paths: RunPaths, receipts: list[Receipt], task: Task) -> Rows:
    """All detections of a run: shard by shard, by tile, best first."""
    settled = task.settle(_seams(paths, receipts)).ordered()
    holder = plan.shard_of(settled.tile)
    by_shard = np.argsort(holder, kind="stable")
    settled, holder = settled.take(by_shard), holder[by_shard]
    files = storage.reading_each(
        [paths.shard(receipt.index) for receipt in receipts if receipt.detections], ahead=_AHEAD
    )
    for receipt in receipts:
        first, last = np.searchsorted(holder, [receipt.index, receipt.index + 1])
        here = settled.take(slice(first, last))
        if receipt.detections:
            uri = paths.shard(receipt.index)
            with _naming(receipt, uri):
                file = next(files)
                _hold_to_receipt(receipt, uri, file)
            yield from read_in_order(file, here)
        else:
            yield here
    # Centred in a tile without a valid pixel, which no shard holds.
    yield settled.take(holder < 0)


def _seams(paths: RunPaths, receipts: list[Receipt]) -> Detections:
    """What more than one shard has a say in, of all shards."""

    def read(receipt: Receipt) -> Detections:
        uri = paths.seams(receipt.index)
        with _naming(receipt, uri), storage.reading(uri) as path:
            _hold_to_receipt(receipt, uri, path)
            return Detections.concatenate(list(read_detections(path)))

    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(read, (receipt for receipt in receipts if receipt.seams))
        return Detections.concatenate(list(found))


@contextmanager
def _naming(receipt: Receipt, uri: str) -> Iterator[None]:
    """Say which shard's file it is that is gone."""
    try:
        yield
    except FileNotFoundError:
        raise RunIncompleteError(
            f"{uri} is gone, though shard {receipt.index} left a receipt for it; "
            "drop the scene again, and the shard is run again"
        ) from None


def _hold_to_receipt(receipt: Receipt, uri: str, path: Path) -> None:
    """Refuse another file than the shard's receipt vouches for: damaged, or of another attempt."""
    # An earlier version of swath vouched for no file; a run may have begun under it.
    if receipt.files and receipt.files.get(storage.name(uri)) != storage.digest(path):
        raise RunIncompleteError(
            f"{uri} is not the file that the receipt of shard {receipt.index} vouches for; "
            "drop the scene again, and the shard is run again"
        )
