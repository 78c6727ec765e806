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
from msgspec import UNSET

from swath import storage
from swath.cpus import MIB
from swath.errors import (
    PackageError,
    PayloadError,
    SettingsError,
    UnknownModelError,
)
from swath.messages import (
    PLAN_VERSION,
    Backend,
    Georeference,
    ModelRef,
    Payload,
    PlanSummary,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
    is_readable_plan,
)
from swath.models.output_spec import Answer
from swath.models.package import describe_package
from swath.pipeline.paths import RunPaths
from swath.pipeline.shard_layout import Partition
from swath.raster.dataset import Mask
from swath.raster.empty_tiles import find_empty_tiles
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.comparison import Expected
from swath.raster.radiometry.units import conversion
from swath.raster.reader.memory_check import need_of_gdal
from swath.raster.scene import OpenScene, Placed, Scene, open_scene
from swath.raster.tiles import Grid, Ints
from swath.settings import PlanSettings
from swath.storage.checked_json import checked, write_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from swath.models.mlm import ModelDescription

MAX_SHARDS = 10_000
"""An AWS Batch array job has no more children."""

MAX_SHARD_COLUMNS = 64
"""A reader holds a few rows of blocks as wide as its shard: some 30,000 px, not the scene."""

_LAMBDA_OWN_MIB = 1000
"""Memory that a function has in use before it reads: libraries and a model."""


class Plan(Payload, frozen=True, kw_only=True):
    """All that a shard or the merge needs to know of a run.

    The merge opens neither the scene nor the package: what it needs of them is here, as they were
    when the run was planned.
    """

    version: int = PLAN_VERSION
    run_id: str
    scene: SceneRef
    georeference: Georeference
    """The place of the scene on Earth."""
    model: ModelRef
    answer: Answer
    """What the model's outputs are."""
    bands: tuple[str, ...]
    """The names of the model's bands."""
    expected: Expected | None
    """What the bands of the model's training scenes are like, if its package says so."""
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
    def placed(self) -> Placed:
        """The scene's size and its place on Earth."""
        return Placed.by(
            self.georeference, uri=self.scene.uri, width=self.width, height=self.height
        )

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
    def tiles_to_infer(self) -> int:
        """The number of tiles in all shards."""
        return self.grid.count - self.skipped_count

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


def read_plan(uri: str) -> Plan:
    """Read the plan of a run.

    Raises:
        PayloadError: there is none, or not one that this version of swath can read.
    """
    try:
        data = storage.read_json(uri)
        if is_readable_plan(data):
            return Plan.from_json(checked(data))
    except FileNotFoundError:
        raise PayloadError(
            f"there is no plan at {uri}; drop the scene again, and it is planned anew"
        ) from None
    except (ValueError, PayloadError) as error:
        raise PayloadError(
            f"the plan {uri} is damaged: {error}; drop the scene again, and it is planned anew"
        ) from None
    raise PayloadError(
        f"the plan {uri} was written by another version of swath; "
        "drop the scene again, and its run is planned anew"
    )


def plan_run(request: RunRequest, settings: PlanSettings) -> PlanSummary:
    """Check a request, plan its run, and write the plan and the list of its shards.

    Raises:
        UnknownModelError: no model of that name is deployed.
        PackageError: the model package cannot be used.
        SceneError: the scene cannot be used, or not with this model.
        SceneChangedError: it is not the scene that the request was made for.
        SettingsError: the request is for an endpoint that is not deployed, or for scores below
            those that the package reports.
    """
    description = _with_threshold(_describe_model(request.model), request.options)
    with open_scene(request.scene.uri, etag=request.scene.etag) as scene:
        footprint(scene.info, Georeferencer.of(scene.info))
        bands = select_bands(scene.info, description.bands)
        conversion(scene.info, bands, description.bands, description.units)
        size, overlap = description.tile_size, description.overlap
        grid = Grid(scene.info.width, scene.info.height, size, overlap)
        empty = find_empty_tiles(scene, grid, bands)
        skipped = 0 if empty is None else int(empty.sum())
        small = grid.count - skipped <= settings.lambda_max_tiles
        backend = _choose_backend(
            request.options.backend,
            settings,
            small=small and _fits_lambda(scene, bands, grid, settings),
        )
    plan = _plan(
        request,
        settings,
        description=description,
        scene=scene.info,
        grid=grid,
        empty=empty,
        skipped=skipped,
        backend=backend,
    )
    paths = RunPaths(settings.work_uri, request.run_id)
    write_checked(paths.plan, plan.to_json())
    storage.write_json(paths.shard_list, list(range(len(plan.shards))))
    return PlanSummary(
        uri=paths.plan, backend=plan.backend, shards=len(plan.shards), tiles=grid.count
    )


def _describe_model(model: ModelRef) -> ModelDescription:
    if not model.uri:
        there_are = f"; there are {', '.join(model.deployed)}" if model.deployed else ""
        raise UnknownModelError(
            f"no model named {model.name!r} is deployed{there_are}: drop the scene into the folder "
            "of a model, or deploy this one and drop it again"
        )
    description, digest = describe_package(model.uri)
    if digest != model.digest:
        raise PackageError(
            f"{model.uri} has the digest {digest}, not {model.digest}: "
            "it was replaced since the run began; drop the scene again"
        )
    return description


def _with_threshold(description: ModelDescription, options: RunOptions) -> ModelDescription:
    """Return the model with the score threshold of a run.

    A threshold may be raised only. Weights may have one of their own inside, and a package's is
    what its author measured it with.

    Raises:
        SettingsError: the threshold is below the package's own.
    """
    wanted, own = options.score_threshold, description.score_threshold
    if wanted is UNSET:
        return description
    if wanted < own:
        raise SettingsError(
            f"the score threshold {wanted:g} is below that of the model package "
            f"{description.name}, which reports scores from {own:g} on; give {own:g} or more, or "
            "lower score_threshold in the package's mlm:hyperparameters"
        )
    return msgspec.structs.replace(description, score_threshold=wanted)


def _plan(
    request: RunRequest,
    settings: PlanSettings,
    *,
    description: ModelDescription,
    scene: Scene,
    grid: Grid,
    empty: Mask | None,
    skipped: int,
    backend: Backend,
) -> Plan:
    partition = Partition.of(
        grid,
        size=_shard_size(backend, settings),
        limit=MAX_SHARDS,
        widest=MAX_SHARD_COLUMNS,
        whole_rows=scene.block_shape[1] >= scene.width,
    )
    live = range(partition.count) if empty is None else _live(partition, empty)
    return Plan(
        run_id=request.run_id,
        scene=request.scene,
        georeference=scene.georeference,
        model=request.model,
        answer=description.answer,
        bands=description.bands,
        expected=description.expected,
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


def _fits_lambda(
    scene: OpenScene, bands: Sequence[int], grid: Grid, settings: PlanSettings
) -> bool:
    """Whether one thread of a function can read a scene, by the size of its blocks."""
    windows = grid.windows(range(min(grid.count, MAX_SHARD_COLUMNS)))
    need = need_of_gdal(scene.dataset, len(bands), windows)
    return need.threads(1, (settings.lambda_memory_mib - _LAMBDA_OWN_MIB) * MIB) == 1


def _choose_backend(wanted: Backend, settings: PlanSettings, *, small: bool) -> Backend:
    """Choose where shards run; a small scene is one that functions can read in good time."""
    if wanted == "auto":
        return "lambda" if small or not settings.batch else "batch"
    if wanted == "batch" and not settings.batch:
        raise SettingsError(
            "the backend 'batch' has no GPU queue in this stack; set the deploy setting 'backend' "
            "to 'auto' or 'batch'"
        )
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
