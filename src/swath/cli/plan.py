"""Define `swath plan`, which predicts a run without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swath.cli.console import print_line, print_warning
from swath.cli.options import deployment, inputs
from swath.messages import Backend, ModelRef

if TYPE_CHECKING:
    from swath.stack import Deployment


def plan(
    scene: inputs.SceneFiles,
    *,
    model: deployment.PlannedModel,
    source: inputs.Sources = None,
    stack: deployment.OptionalStack = None,
    backend: deployment.PlannedBackend = Backend.AUTO,
    calibrate: deployment.Calibrate = False,
    as_json: deployment.AsJson = False,
) -> None:
    """Predict a run: bands, tiles, shards, bytes, seconds and dollars. Nothing is run or written.

    Seconds and dollars need the speed of this machine. --calibrate measures it, and keeps it for
    later scenes of the same model.
    """
    import json

    from platformdirs import user_cache_path

    from swath.cli.plan_view import print_forecast
    from swath.messages.deployed_settings import DeployedSettings
    from swath.pipeline.forecast.forecast import ForecastOptions, forecast_run

    deployed = _open_stack(stack)
    forecast = forecast_run(
        scene,
        _model_ref(model, deployed),
        ForecastOptions(
            settings=deployed.settings if deployed else DeployedSettings(),
            region=deployed.region if deployed else _configured_region(),
            backend=backend,
            sources=tuple(source or ()),
            calibrations=user_cache_path("swath"),
            measure=calibrate,
        ),
    )
    if as_json:
        print_line(json.dumps(forecast.to_json(), indent=2))
        return
    print_forecast(forecast, stack=stack)
    for warning in forecast.warnings:
        print_warning(warning)


def _open_stack(stack: str | None) -> Deployment | None:
    if stack is None:
        return None
    from swath.stack import Deployment

    return Deployment.from_stack(stack)


def _model_ref(model: str, deployed: Deployment | None) -> ModelRef:
    """Return the reference to a model package, or to a deployed model of that name."""
    from swath import storage
    from swath.models.catalog import load_catalog
    from swath.models.package import describe_package

    if deployed:
        catalog = load_catalog(deployed.catalog_uri)
        if model in catalog:
            return catalog[model]
        if not storage.exists(storage.resolve(model)):
            return ModelRef(name=model, uri="", digest="", deployed=sorted(catalog))
    uri = storage.resolve(model)
    info = describe_package(uri)
    return ModelRef(name=info.description.name, uri=uri, digest=info.digest)


def _configured_region() -> str:
    """Return the region that AWS's tools on this machine use; empty if there is none."""
    import boto3

    return boto3.session.Session().region_name or ""
