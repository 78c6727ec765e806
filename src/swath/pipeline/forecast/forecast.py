"""Predict a run: open the scene as the plan does, and write nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError
from swath.items import SceneSources
from swath.items.scene_arguments import SceneArgument, as_item, parse_scene
from swath.messages import Acquisition, Backend
from swath.messages.run_warnings import gather_warnings
from swath.pipeline.forecast.calibration import (
    Calibration,
    calibrate,
    read_calibration,
    write_calibration,
)
from swath.pipeline.forecast.contents import (
    Forecast,
    PriceNotes,
    SceneForecast,
)
from swath.pipeline.forecast.estimates import Estimator, Workload
from swath.pipeline.forecast.inputs import describe_bands, describe_files, describe_transfers
from swath.pipeline.planning import describe_model
from swath.pipeline.scene_plan import ScenePlan, assess_scene
from swath.prices import regional_prices, table_date
from swath.raster.assets.ground_distance import ground_distances
from swath.raster.assets.open import OpenedScene, open_model_scene
from swath.raster.assets.stack import pixel_scale
from swath.raster.radiometry.units import unit_warnings
from swath.raster.reader.read_sizes import read_sizes
from swath.raster.stated_acquisition import describe_acquisition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from swath._types import Ints
    from swath.items import SceneItem
    from swath.messages import ModelRef
    from swath.messages.deployed_settings import DeployedSettings
    from swath.models.mlm import ModelDescription
    from swath.pipeline.shard_layout import ShardLayout
    from swath.raster.reader.read_sizes import ReadSize
    from swath.raster.scene_info import SceneInfo

DEFAULT_PRICE_REGION = "us-east-1"
"""Region whose prices apply if no region is known."""
BACKENDS = (
    Backend.LOCAL,
    Backend.LAMBDA,
    Backend.BATCH,
    Backend.SAGEMAKER_SERVERLESS,
    Backend.SAGEMAKER_ASYNC,
    Backend.SAGEMAKER_REALTIME,
)
"""Backends in the order in which a forecast lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOptions:
    """Options of a forecast."""

    settings: DeployedSettings
    """Settings of the deployment."""
    region: str = ""
    """AWS region of the deployment; empty if it is unknown."""
    backend: Backend = Backend.AUTO
    """Requested backend."""
    calibrations: Path | None = None
    """Folder that keeps calibrations; None for none."""
    sources: tuple[str, ...] = ()
    """Prefixes of addresses where the files of an Item may lie, besides those of the settings."""
    measure: bool = False
    """Whether to measure the model's speed on some tiles of the scene."""


def forecast_run(scene: SceneArgument, model: ModelRef, options: ForecastOptions) -> Forecast:
    """Predict the run of a model over a scene.

    Args:
        scene: Scene: the address of a file or of a STAC Item, a list of files, or an Item.
        model: Model package.
        options: Options of the forecast.

    Raises:
        UnknownModelError: No model of the requested name is deployed.
        PackageError: The model package cannot be used.
        SceneError: The scene is unusable, or does not fit the model.
        SettingsError: The requested backend is not deployed.
        TransientError: S3 failed, and a retry can succeed.
    """
    description = describe_model(model)
    started = time.perf_counter()
    sources = SceneSources.parse((*options.settings.scene_sources, *options.sources))
    parsed = parse_scene(scene, sources)
    with open_model_scene(parsed, description.band_needs) as opened:
        plan = assess_scene(opened.scene, description)
        plan_seconds = time.perf_counter() - started
        prediction = _Prediction(opened, plan, description, model, options, plan_seconds)
        return prediction.forecast(as_item(parsed))


@dataclass(frozen=True, slots=True)
class _Prediction:
    """Prediction of the run of one open scene."""

    opened: OpenedScene
    plan: ScenePlan
    description: ModelDescription
    model: ModelRef
    options: ForecastOptions
    plan_seconds: float
    """Time in s that opening and assessing the scene took."""

    def forecast(self, item: SceneItem | None) -> Forecast:
        """Return the forecast.

        Args:
            item: Content of the scene; None for a scene of one file.
        """
        plan, options, description = self.plan, self.options, self.description
        settings = options.settings.plan_settings("")
        backend = plan.choose_backend(options.backend, settings)
        layout, numbers = plan.shards(backend, settings)
        windows = self._shard_windows(layout, numbers)
        sizes = read_sizes(self.opened.scene, plan.bands, windows)
        files = describe_files(sizes, self.opened.stack)
        calibration, measured_warnings = self._calibration()
        estimator = Estimator(
            settings=options.settings,
            calibration=calibration,
            prices=regional_prices(options.region or DEFAULT_PRICE_REGION),
        )
        estimates = [estimator.estimate(one, self._workload(one, sizes)) for one in BACKENDS]
        units = description.units
        uri = item.uri if item else plan.scene.uri
        acquisition, doubts = describe_acquisition(self.opened, item, uri=uri)
        stated = [
            *doubts,
            *plan.scene.warnings,
            *unit_warnings(plan.scene, plan.bands, description.bands, units),
        ]
        return Forecast(
            scene=self._describe_scene(item, acquisition),
            model=self.model.name,
            digest=self.model.digest,
            bands=describe_bands(self.opened, plan, description),
            files=files,
            tile_size=plan.grid.size,
            overlap=plan.grid.overlap,
            tiles=plan.grid.count,
            skipped=plan.skipped,
            backend=backend,
            shards=len(numbers),
            estimates=estimates,
            transfers=describe_transfers(files, options.region),
            prices=self._price_notes(estimator),
            calibration=calibration,
            warnings=gather_warnings(stated, measured_warnings),
        )

    def _shard_windows(self, layout: ShardLayout, numbers: Sequence[int]) -> Iterator[Ints]:
        """Yield the windows (n, 4) of the tiles that each shard reads."""
        plan = self.plan
        for number in numbers:
            tiles = layout.tiles(number)
            yield plan.grid.windows(tiles if plan.empty is None else tiles[~plan.empty[tiles]])

    def _workload(self, backend: Backend, sizes: Sequence[ReadSize]) -> Workload:
        plan = self.plan
        layout, numbers = plan.shards(backend, self.options.settings.plan_settings(""))
        tiles = plan.tiles_to_infer()
        counts = np.bincount(layout.rectangle_numbers(tiles), minlength=layout.count)
        return Workload(
            tiles=len(tiles),
            shard_tiles=counts[numbers].tolist(),
            requests=sum(size.requests for size in sizes),
            plan_seconds=self.plan_seconds,
            sizes=sizes,
        )

    def _calibration(self) -> tuple[Calibration | None, list[str]]:
        folder = self.options.calibrations
        if not self.options.measure or self.plan.skipped == self.plan.grid.count:
            known = read_calibration(folder, self.model.digest) if folder else None
            return known, []
        run = calibrate(self.opened.scene, self.plan, self.model.uri)
        if folder:
            write_calibration(folder, run.calibration)
        return run.calibration, run.warnings

    def _describe_scene(self, item: SceneItem | None, acquisition: Acquisition) -> SceneForecast:
        info, stack = self.plan.scene, self.opened.stack
        crs = info.crs
        authority = crs.to_authority() if crs else None
        return SceneForecast(
            uri=info.uri,
            identity=(item.scene_id if item else "") or info.uri,
            width=info.width,
            height=info.height,
            crs=":".join(authority) if authority else "a CRS without a code",
            ground_distance=_ground_distance(info),
            scale=pixel_scale(stack),
            acquisition=acquisition,
        )

    def _price_notes(self, estimator: Estimator) -> PriceNotes:
        prices = estimator.prices
        return PriceNotes(
            region=self.options.region or DEFAULT_PRICE_REGION,
            is_default=not self.options.region,
            read_on=table_date(),
            unverified=sorted(name for name in estimator.used if not prices[name].verified),
            unknown=sorted(estimator.unknown),
        )


def _ground_distance(info: SceneInfo) -> tuple[float, float] | None:
    try:
        return ground_distances(info)
    except SceneError:
        return None
