"""Runs while S3 asks to slow down, or breaks off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from local_cloud.faults.kinds import ConnectionBroken, Fault, SlowDown
from swath.messages import Backend
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

FAULTS: dict[str, Fault] = {
    "slow-down": SlowDown(key="elsewhere/", methods=("GET",), times=4),
    "broken-off": ConnectionBroken(key="elsewhere/", times=2),
}


def write_jp2(path: Path) -> Path:
    """A scene whose blocks GDAL reads."""
    pixels = np.random.default_rng(25).integers(500, 2000, (5, 280, 300)).astype("uint16")
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        width=300,
        height=280,
        count=5,
        dtype="uint16",
        crs="EPSG:32652",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 3_900_000),
        QUALITY="100",
        REVERSIBLE="YES",
    ) as target:
        target.write(pixels)
    return path


@pytest.mark.parametrize("kind", ["tif", "jp2"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_run_survives_that_its_scene_is_read_with_difficulty(
    pipeline: Pipeline, tmp_path: Path, name: str, kind: str
):
    path = tmp_path / f"scene.{kind}"
    scene = write_scene(path, seed=25) if kind == "tif" else write_jp2(path)
    uri = pipeline.drop(scene, f"elsewhere/{name}.{kind}")
    request = pipeline.request(uri, "lambda")
    with pipeline.cloud.fault(FAULTS[name]) as fault:
        pipeline.start(request)
        run = pipeline.wait(uri)
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    assert (run.tiles_failed, occurrences) == (0, FAULTS[name].times)


@pytest.mark.parametrize("backend", ["lambda", "batch"])
def test_a_run_survives_an_outage_that_outlasts_the_retries_of_the_client(
    pipeline: Pipeline, tmp_path: Path, backend: Backend
):
    scene = write_scene(tmp_path / "x.tif", seed=26)
    uri = pipeline.drop(scene, f"elsewhere/outage-on-{backend}.tif")
    request = pipeline.request(uri, backend)
    # The client asks five times.
    outage = SlowDown(key=f"runs/{request.run_id}/plan.json", methods=("GET",), times=5)
    with pipeline.cloud.fault(outage) as fault:
        pipeline.start(request)
        run = pipeline.wait(uri)
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    assert occurrences == 5
