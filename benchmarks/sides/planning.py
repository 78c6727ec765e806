"""Forecast runs of scenes with a calibration of this machine, and run `swath run` on them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.meter import Meter, Sample


def forecast(package: str, scenes: Mapping[str, Sequence[str]], calibrated: str) -> Sample:
    """Calibrate on a scene, and forecast the runs of all scenes.

    Args:
        package: Folder of the model package.
        scenes: Paths of the files of each scene, by name.
        calibrated: Name of the scene whose tiles calibrate the machine.

    Returns:
        The sample. `forecasts` has the seconds, tiles and skipped tiles by name of the scene.
    """
    # The side that runs does not import the library that it measures the start of.
    from swath.messages import ModelRef  # noqa: PLC0415
    from swath.messages.deployed_settings import DeployedSettings  # noqa: PLC0415
    from swath.models.package import describe_package  # noqa: PLC0415
    from swath.pipeline.forecast.forecast import ForecastOptions, forecast_run  # noqa: PLC0415

    model = ModelRef(name="model", uri=package, digest=describe_package(package).digest)
    forecasts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder, Meter() as meter:

        def predict(name: str, *, measure: bool = False) -> Any:
            options = ForecastOptions(
                settings=DeployedSettings(), calibrations=Path(folder), measure=measure
            )
            return forecast_run(list(scenes[name]), model, options)

        calibration = predict(calibrated, measure=True).calibration
        for name in scenes:
            predicted = predict(name)
            forecasts[name] = {
                "seconds": round(predicted.estimates[0].seconds.low, 3),
                "tiles": predicted.tiles,
                "skipped": predicted.skipped,
            }
    return meter.sample(
        forecasts=forecasts,
        start_seconds=calibration.start_seconds,
        seconds_per_tile=calibration.seconds_per_tile,
    )


def run(package: str, files: Sequence[str]) -> Sample:
    """Run `swath run` on a scene, in a process of its own as a user would."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as out:
        command = [sys.executable, "-m", "swath", "run", *files, "--model", package, "--out", out]
        with Meter() as meter:
            subprocess.run(command, check=True, capture_output=True)
        summary = json.loads(Path(out, "summary.json").read_text())
    return meter.sample(
        tiles=summary["tiles"]["planned"],
        skipped=summary["tiles"]["skipped"],
        detections=summary["detections"],
        stages=summary["seconds"],
    )
