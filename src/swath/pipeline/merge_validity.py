"""Join what the shards of a run counted of the scene's invalid pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swath._types import Ints
from swath.messages import Receipt
from swath.pipeline.plan import Plan
from swath.pipeline.run_store import RunStore
from swath.raster.invalid_cells import CellGrid, InvalidCells


def read_invalid_cells(run: RunStore, receipts: Sequence[Receipt]) -> InvalidCells:
    """Return the invalid pixels of a run's scene; memory does not depend on the scene's size.

    Tiles that the plan skipped have no valid pixel. Neither has a shard that could not be run.

    Args:
        run: Objects of the run.
        receipts: Receipts of all shards.

    Raises:
        RunIncompleteError: A file is missing, or its SHA-256 is not that of its receipt.
    """
    plan = run.plan
    invalid = InvalidCells(CellGrid(plan.width, plan.height))
    _add_tiles(invalid, plan, plan.skipped_tiles)
    for receipt in receipts:
        if receipt.tiles.planned and receipt.tiles.failed == receipt.tiles.planned:
            _add_tiles(invalid, plan, plan.tiles(receipt.index))
    counted = [
        receipt
        for receipt in receipts
        if receipt.invalid_pixels and receipt.tiles.failed < receipt.tiles.planned
    ]
    for data in run.read_each(counted, run.paths.invalid_cells, Path.read_bytes):
        invalid.add_bytes(data)
    return invalid


def _add_tiles(invalid: InvalidCells, plan: Plan, tiles: Ints) -> None:
    grid = invalid.grid
    invalid.add(grid.count_all(tile) for tile in plan.grid.iter_tiles(tiles))
