"""The plan of a run: which tiles, in which shards, on which backend.

What is wrong with a scene or does not fit its model is found here, before anything is paid for.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from swath import storage
from swath.dataset import Mask
from swath.errors import (
    PackageError,
    PayloadError,
    SceneError,
    SettingsError,
    UnknownModelError,
)
from swath.georeference import Georeferencer
from swath.package import describe_package
from swath.payloads import (
    Backend,
    ModelRef,
    Payload,
    PlanSummary,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
)
from swath.scene import Box, OpenScene, open_scene, select_bands
from swath.settings import PlanSettings
from swath.storage import RunPaths
from swath.tiles import Grid, Ints, Partition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from swath.mlm import ModelDescription

MAX_SHARDS = 10_000
"""An AWS Batch array job has no more children."""

MAX_SEARCHED_PIXELS = 100_000_000
"""In larger scenes nobody looks for empty tiles beforehand: shards skip them as they read."""

MAX_SHARD_COLUMNS = 64
"""A reader holds a few rows of blocks as wide as its shard: some 30,000 px, not the scene."""

_BAND_PIXELS = 4_000_000


class Plan(Payload, frozen=True, kw_only=True):
    """All that a shard or the merge needs to know of a run."""

    run_id: str
    scene: SceneRef
    model: ModelRef
    options: RunOptions
    backend: Backend
    width: int
    height: int
    tile_size: int
    overlap: int
    column_cuts: tuple[int, ...]
    """Where shards start along x, in tiles, and at the end how many tiles there are."""
    row_cuts: tuple[int, ...]
    """The same along y."""
    shards: tuple[int, ...]
    """Of the rectangles between the cuts, numbered in raster order, those with a tile to infer."""
    skipped: str = ""
    """A bit for each tile, set where no pixel is valid: NumPy's packbits, zlib, base64."""
    skipped_count: int = 0

    @property
    def grid(self) -> Grid:
        """Where the tiles are."""
        return Grid(self.width, self.height, self.tile_size, self.overlap)

    @property
    def layout(self) -> str:
        """What tells this plan's shards from those of another plan of the same run.

        A run that is begun again may be planned by other settings, or by another version of swath;
        what shard 7 was then is not what it is now.
        """
        parts: list[Any] = [self.width, self.height, self.tile_size, self.overlap]
        parts += [self.column_cuts, self.row_cuts, self.shards, self.skipped]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def passed_over(self) -> TileCounts:
        """The tiles that are in no shard's receipt."""
        return TileCounts(planned=self.skipped_count, skipped=self.skipped_count)

    @property
    def partition(self) -> Partition:
        """The rectangles of tiles that shards are."""
        return Partition(self.column_cuts, self.row_cuts)

    def shard_of(self, tiles: ArrayLike) -> Ints:
        """The shards that hold tiles, int64, shaped like them; -1 where all of one is skipped."""
        number = self.partition.holder(tiles)
        known = np.asarray(self.shards, dtype=np.int64)
        place = np.searchsorted(known, number)
        found = np.append(known, -1)[place] == number
        return np.where(found, place, -1)

    def holds(self, shard: int) -> Callable[[Ints], Mask]:
        """Tells of tiles whether the shard holds them."""
        return lambda tiles: np.asarray(self.shard_of(tiles) == shard)

    def tiles(self, shard: int) -> Ints:
        """The numbers of a shard's tiles, increasing, without those passed over.

        Raises:
            PayloadError: the plan has no such shard.
        """
        if not 0 <= shard < len(self.shards):
            raise PayloadError(
                f"run {self.run_id} has {len(self.shards)} shards, counted from 0; "
                f"there is no shard {shard}"
            )
        tiles = self.partition.tiles(self.shards[shard])
        return tiles[~_unpack(self.skipped)[tiles]] if self.skipped else tiles


def plan_run(request: RunRequest, settings: PlanSettings) -> PlanSummary:
    """Check a request, plan its run, and write the plan and the list of its shards.

    Raises:
        UnknownModelError: no model of that name is deployed.
        PackageError: the model package cannot be used.
        SceneError: the scene cannot be used, or not with this model.
        SceneChangedError: it is not the scene that the request was made for.
        SettingsError: the request is for an endpoint that is not deployed.
    """
    description = _describe_model(request.model)
    with open_scene(request.scene.uri, etag=request.scene.etag) as scene:
        Georeferencer.of(scene.info)
        bands = select_bands(scene.info, description.bands)
        size, overlap = description.tile_size, description.overlap
        grid = Grid(scene.info.width, scene.info.height, size, overlap)
        empty = find_empty_tiles(scene, grid, bands)
        whole_rows = scene.info.block_shape[1] >= scene.info.width
    plan = _plan(request, settings, grid, empty, whole_rows=whole_rows)
    paths = RunPaths(settings.work_uri, request.run_id)
    storage.write_json(paths.plan, plan.to_json())
    storage.write_json(paths.shard_list, list(range(len(plan.shards))))
    return PlanSummary(
        uri=paths.plan, backend=plan.backend, shards=len(plan.shards), tiles=grid.count
    )


def find_empty_tiles(scene: OpenScene, grid: Grid, bands: Sequence[int]) -> Mask | None:
    """Which tiles have no valid pixel, (tiles,) bool; None where all have, or nobody looked.

    The scene is read in bands of rows, and only where the answer is still open. A part that cannot
    be read counts as not empty: its tiles fail one by one, as many as the run tolerates.
    """
    info = scene.info
    if not info.masked or info.width * info.height > MAX_SEARCHED_PIXELS:
        return None
    x, y = _spans(grid, grid.columns, axis=0), _spans(grid, grid.rows, axis=1, step=grid.columns)
    live = np.zeros((grid.rows, grid.columns), np.bool_)
    step = max(1, _BAND_PIXELS // (info.width * info.block_shape[0])) * info.block_shape[0]
    for top in range(0, info.height, step):
        bottom = min(info.height, top + step)
        rows = np.flatnonzero((y[:, 0] < bottom) & (y[:, 1] > top))
        if not live[rows].all():
            valid = _read_valid(scene, (0, top, info.width, bottom - top), bands)
            within = np.clip(y[rows] - top, 0, bottom - top)
            live[rows] |= [_any_in_columns(valid[first:last], x) for first, last in within]
    return None if live.all() else ~live.ravel()


def _read_valid(scene: OpenScene, window: Box, bands: Sequence[int]) -> Mask:
    try:
        return scene.valid(window, bands)
    except SceneError:
        return np.ones((window[3], window[2]), np.bool_)


def _any_in_columns(valid: Mask, spans: Ints) -> Mask:
    """Whether any pixel is valid, for each of (n, 2) first and last columns."""
    counts = np.concatenate([[0], valid.any(axis=0).cumsum()])
    return np.asarray(counts[spans[:, 1]] > counts[spans[:, 0]])


def _spans(grid: Grid, count: int, *, axis: int, step: int = 1) -> Ints:
    """(n, 2) start and end of the columns of tiles (axis 0) or of their rows (axis 1)."""
    windows = grid.windows(np.arange(count) * step)
    return np.stack([windows[:, axis], windows[:, axis] + windows[:, axis + 2]], axis=1)


def _describe_model(model: ModelRef) -> ModelDescription:
    if not model.uri:
        raise UnknownModelError(f"no model named {model.name!r} is deployed")
    description, digest = describe_package(model.uri)
    if digest != model.digest:
        raise PackageError(
            f"{model.uri} has the digest {digest}, not {model.digest}: "
            "it was replaced since the run began; drop the scene again"
        )
    return description


def _plan(
    request: RunRequest,
    settings: PlanSettings,
    grid: Grid,
    empty: Mask | None,
    *,
    whole_rows: bool,
) -> Plan:
    skipped = 0 if empty is None else int(empty.sum())
    backend = _choose_backend(request.options.backend, grid.count - skipped, settings)
    partition = Partition.of(
        grid,
        size=_shard_size(backend, settings),
        limit=MAX_SHARDS,
        widest=MAX_SHARD_COLUMNS,
        whole_rows=whole_rows,
    )
    live = range(partition.count) if empty is None else _live(partition, empty)
    return Plan(
        run_id=request.run_id,
        scene=request.scene,
        model=request.model,
        options=request.options,
        backend=backend,
        width=grid.width,
        height=grid.height,
        tile_size=grid.size,
        overlap=grid.overlap,
        column_cuts=partition.columns,
        row_cuts=partition.rows,
        shards=tuple(live),
        skipped="" if empty is None else _pack(empty),
        skipped_count=skipped,
    )


def _live(partition: Partition, empty: Mask) -> list[int]:
    """The rectangles that hold a tile with a valid pixel, increasing."""
    return [int(number) for number in np.unique(partition.holder(np.flatnonzero(~empty)))]


def _choose_backend(wanted: Backend, tiles: int, settings: PlanSettings) -> Backend:
    if wanted == "auto":
        return "lambda" if tiles <= settings.lambda_max_tiles else "batch"
    kind = wanted.removeprefix("sagemaker-")
    if kind != wanted and kind not in settings.endpoints.split(","):
        raise SettingsError(
            f"the backend {wanted!r} has no endpoint in this stack, which has "
            f"{settings.endpoints or 'none'}; add {kind!r} to the deploy setting 'endpoints'"
        )
    return wanted


def _shard_size(backend: Backend, settings: PlanSettings) -> int:
    """How many tiles a shard should have."""
    match backend:
        case "batch":
            return settings.batch_shard_tiles
        case "sagemaker-async":
            return settings.async_shard_tiles
        case "sagemaker-realtime" | "sagemaker-serverless":
            return settings.endpoint_shard_tiles
        case _:
            return settings.lambda_shard_tiles


def _pack(flags: Mask) -> str:
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode()


def _unpack(text: str) -> Mask:
    """The flags, and up to seven that are not set."""
    packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(packed).astype(np.bool_)
