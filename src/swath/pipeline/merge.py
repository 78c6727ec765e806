"""Merge the shards of a run: check the tile counts, stitch across shards, write one GeoParquet.

If the model package asks for a mask, the parts of the mask are merged too.

Detections are streamed, one row group at a time. Those at seams between shards must be stitched,
so they are held in memory together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from swath import storage
from swath.detection import geoparquet
from swath.detection.detections import Detections
from swath.detection.geoparquet import GeoParquetWriter
from swath.detection.parquet import read_detections, read_in_order
from swath.detection.scene_facts import SceneFacts
from swath.detection.segmentation import mask_raster
from swath.detection.segmentation.mask_raster import assemble_mask, extent
from swath.detection.tasks import create_task
from swath.errors import RunIncompleteError
from swath.messages import MergeSummary, Receipt, TileCounts
from swath.messages.run_warnings import gather_warnings, no_position_warning
from swath.pipeline.merge_validity import read_invalid_cells
from swath.pipeline.plan import Plan
from swath.pipeline.run_store import RunStore
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.radiometry.comparison import compare
from swath.raster.radiometry.sampling import SampleGrid, Samples
from swath.raster.valid_footprint import valid_area, valid_footprint

_MAX_NAMED_FAILURES = 5
"""Maximum number of failures that a message names."""

DetectionBatches = Iterator[Detections]


def merge_run(plan_uri: str) -> MergeSummary:
    """Merge the detections of a run's shards, and write them as GeoParquet.

    Only the run's own files are read. The scene and the model package may be gone by now. Each
    shard has already checked that its scene and package are those of the plan.

    Args:
        plan_uri: Address of the plan.

    Returns:
        The addresses, counts and warnings of the merged run.

    Raises:
        RunIncompleteError: A shard wrote no receipt, or its files do not match its receipt; tiles
            are unaccounted for, or more tiles failed than the run tolerates. The error names the
            first shards or tiles concerned.
        PayloadError: The plan is missing or damaged, or another version of swath wrote it.
    """
    run = RunStore.open(plan_uri)
    receipts = run.read_receipts()
    tiles = _check_tile_counts(run.plan, receipts)
    scene, invalid = run.plan.georeferenced_scene, read_invalid_cells(run, receipts)
    georeferencer = Georeferencer.from_info(scene)
    with storage.writing(run.paths.detections, content_type=geoparquet.MEDIA_TYPE) as path:
        facts = SceneFacts(
            footprint=footprint(scene, georeferencer),
            valid_footprint=valid_footprint(scene, georeferencer, invalid),
            valid_area_m2=valid_area(georeferencer, invalid),
            acquisition=run.plan.acquisition,
        )
        detections, without_position = _write_detections(run, receipts, path, facts)
        mask_uri = _write_mask(run, receipts) if run.plan.output_spec.mask else ""
    return MergeSummary(
        uri=run.paths.detections,
        etag=storage.etag(run.paths.detections) or "",
        detections=detections,
        tiles=tiles,
        mask_uri=mask_uri,
        mask_etag=storage.etag(mask_uri) or "" if mask_uri else "",
        acquisition=facts.acquisition,
        valid_area_m2=facts.valid_area_m2,
        warnings=gather_warnings(
            run.plan.warnings,
            *(receipt.warnings for receipt in receipts),
            _band_warnings(run, receipts),
            no_position_warning(run.plan.scene.uri, without_position),
        ),
    )


def read_merged_detections(plan_uri: str) -> DetectionBatches:
    """Yield the merged detections of a run whose shards are done, in pixels of the scene.

    The detections and their order are those that `merge_run` writes.

    Raises:
        RunIncompleteError: A shard wrote no receipt, or its files do not match its receipt.
        PayloadError: The plan is missing or damaged, or another version of swath wrote it.
    """
    run = RunStore.open(plan_uri)
    for detections in _iter_merged(run, run.read_receipts()):
        yield detections.scaled(run.plan.pixel_scale)


def _check_tile_counts(plan: Plan, receipts: Sequence[Receipt]) -> TileCounts:
    """Return the numbers of tiles that succeeded, failed and were skipped.

    Raises:
        RunIncompleteError: Tiles are unaccounted for, or more failed than the run tolerates.
    """
    tiles = sum((receipt.tiles for receipt in receipts), start=plan.empty_tile_counts)
    if not tiles.is_complete or tiles.planned != plan.grid.count:
        raise RunIncompleteError(
            f"run {plan.run_id} planned {plan.grid.count} tiles; its shards account for "
            f"{tiles.succeeded} succeeded, {tiles.failed} failed and {tiles.skipped} skipped"
        )
    if tiles.failed > plan.options.tolerated_failures * tiles.planned:
        raise RunIncompleteError(_describe_failures(plan, receipts, tiles))
    return tiles


def _describe_failures(plan: Plan, receipts: Sequence[Receipt], tiles: TileCounts) -> str:
    failures = [failure for receipt in receipts for failure in receipt.failures][
        :_MAX_NAMED_FAILURES
    ]
    first = "; ".join(f"tile {f.tile} at x {f.column}, y {f.row}: {f.cause}" for f in failures)
    return (
        f"{tiles.failed} of {tiles.planned} tiles failed and the run tolerates "
        f"{plan.options.tolerated_failures:.1%}. {first}"
    )


def _write_detections(
    run: RunStore, receipts: Sequence[Receipt], path: Path, facts: SceneFacts
) -> tuple[int, int]:
    """Write the run's detections as GeoParquet.

    Returns:
        The number of detections in the file, and the number of those left out because they have no
        position on Earth.
    """
    plan = run.plan
    georeferencer = Georeferencer.from_info(plan.georeferenced_scene)
    with GeoParquetWriter(
        path,
        classes=plan.output_spec.classes,
        run_id=plan.run_id,
        scene=plan.scene.uri,
        model=plan.model.name,
        facts=facts,
    ) as out:
        for detections in _iter_merged(run, receipts):
            positions = georeferencer.to_polygons(detections.box, detections.outline)
            out.write(detections.scaled(plan.pixel_scale), positions)
    return out.count, out.without_position_count


def _iter_merged(run: RunStore, receipts: Sequence[Receipt]) -> DetectionBatches:
    """Yield all detections of a run, sorted by shard, then by tile, then by descending score."""
    stitched = _stitch_shards(run, receipts)
    shards = run.plan.shard_numbers(stitched.tile)
    by_shard = np.argsort(shards, kind="stable")
    stitched, shards = stitched.take(by_shard), shards[by_shard]
    files = run.iter_detection_files(receipt for receipt in receipts if receipt.detections)
    for receipt in receipts:
        first, last = np.searchsorted(shards, [receipt.index, receipt.index + 1])
        stitched_here = stitched.take(slice(first, last))
        if receipt.detections:
            yield from read_in_order(next(files), stitched_here)
        else:
            yield stitched_here
    # The rest are centered in tiles without a valid pixel, outside all shards.
    yield stitched.take(shards < 0)


def _stitch_shards(run: RunStore, receipts: Sequence[Receipt]) -> Detections:
    """Stitch detections across shards; return them sorted by tile, then by descending score."""
    with_seams = [receipt for receipt in receipts if receipt.seams]
    seams = run.read_each(
        with_seams,
        run.paths.seams,
        lambda path: Detections.concatenate(list(read_detections(path))),
    )
    task = create_task(run.plan.output_spec, run.plan.grid)
    return task.stitch(Detections.concatenate(seams)).sorted_by_tile()


def _write_mask(run: RunStore, receipts: Sequence[Receipt]) -> str:
    """Merge the mask parts of all shards with a tile that succeeded; return the mask's address."""
    plan, uri = run.plan, run.paths.mask
    inferred = [receipt for receipt in receipts if receipt.tiles.succeeded]
    windows = [extent(plan.grid, plan.tiles(receipt.index)) for receipt in inferred]
    with (
        tempfile.TemporaryDirectory(prefix="swath-") as folder,
        storage.writing(uri, content_type=mask_raster.MEDIA_TYPE) as path,
    ):
        files = run.fetch_mask_parts(inferred, Path(folder))
        parts = list(zip(files, windows, strict=True))
        assemble_mask(parts, plan.georeferenced_scene, plan.output_spec.classes, path)
    return uri


def _band_warnings(run: RunStore, receipts: Sequence[Receipt]) -> list[str]:
    """Return warnings about bands whose values differ from those that the model package expects."""
    plan = run.plan
    if plan.expected is None:
        return []
    bands = len(plan.bands)
    try:
        parts = [Samples.from_bytes(data, bands) for data in run.read_samples(receipts)]
        samples = Samples.concatenate(parts, bands)
    except (FileNotFoundError, ValueError) as error:
        return [
            f"the bands were not compared with the model's: pixel samples cannot be read ({error})"
        ]
    stride = SampleGrid.for_scene(plan.width, plan.height).stride
    return compare(samples, plan.expected, plan.bands, stride=stride, scene=plan.scene.uri)
