"""Tests of the measured start: a real run of a few tiles."""

import time

import numpy as np
import pytest

from swath.errors import ModelTimeoutError, PackageError
from swath.models.package import describe_package
from swath.pipeline.forecast import start_time
from swath.pipeline.forecast.start_time import measure_start, write_tiles
from swath.pipeline.scene_plan import assess_scene
from swath.raster.scene import open_scene


@pytest.fixture(autouse=True)
def _one_round(monkeypatch):
    monkeypatch.setattr(start_time, "_ROUNDS", 1)


def some_tile(package):
    description = describe_package(package).description
    shape = len(description.bands), 5, description.tile_size
    return description, np.full(shape, 9, "uint16")


@pytest.mark.parametrize("tiles", [1, 2, 5])
def test_the_scene_has_so_many_valid_tiles_of_the_model(package, tmp_path, tiles):
    description, tile = some_tile(package)

    with open_scene(str(write_tiles(tmp_path / "x.tif", description, tile, tiles))) as scene:
        plan = assess_scene(scene, description)
        pixels, _ = scene.read(plan.grid.tile(tiles - 1).window, plan.bands)

    assert plan.tiles_to_infer().tolist() == list(range(tiles))
    assert pixels.shape == (len(tile), description.tile_size, description.tile_size)
    assert (pixels == 9).all()


def test_the_start_is_the_time_of_a_process(package):
    started = time.perf_counter()

    seconds = measure_start(str(package), *some_tile(package), tiles=2)

    assert 0.1 < seconds < time.perf_counter() - started


def test_a_package_that_does_not_run_is_named_with_the_reason(package):
    weights = package / "model.onnx"
    content = weights.read_bytes()
    description, tile = some_tile(package)
    weights.write_bytes(content[:-9])

    with pytest.raises(PackageError, match=r"cannot be calibrated: .*model\.onnx"):
        measure_start(str(package), description, tile, tiles=1)


def test_the_shortest_run_counts_and_a_long_one_is_not_repeated(package, monkeypatch):
    monkeypatch.setattr(start_time, "_ROUNDS", 2)
    description, tile = some_tile(package)
    counts = []
    for times in ([4.0, 3.0], [500.0]):
        left = iter(times)
        monkeypatch.setattr(start_time, "_time_run", lambda *_, left=left: next(left))
        counts.append(measure_start("x", description, tile, tiles=1))

    assert counts == [3.0, 500.0]


def test_a_run_that_takes_too_long_is_ended(package, monkeypatch):
    monkeypatch.setattr(start_time, "_TIMEOUT_SECONDS", 0.01)

    with pytest.raises(ModelTimeoutError, match="did not finish a run of a few tiles"):
        measure_start(str(package), *some_tile(package), tiles=1)
