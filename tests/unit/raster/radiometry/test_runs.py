"""Tests of warnings of whole runs: independent of shards, and the same in every output."""

import contextlib
import itertools
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from swath import storage
from swath.cli import app
from swath.detection import engine
from swath.detection.detect_scene import detect_scene
from swath.errors import ShardInterruptedError
from swath.models.mlm import STATISTICS_PROPERTY
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.pipeline import shard as shard_module
from swath.pipeline.local import run_local
from swath.pipeline.merge import merge_run
from swath.pipeline.paths import RunPaths
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard
from swath.raster.assets.stack import BandNeeds
from swath.raster.radiometry.scenes import compute_statistics
from swath.raster.scene import open_scene
from swath.sagemaker.server.responses import ModelIdentity, to_geojson, to_json
from tests.helpers.packages import OracleModel, write_package

WIDTH, HEIGHT = 310, 290


def gray(seed=0, factor=1.0):
    rng = np.random.default_rng(seed)
    return (rng.gamma(3, 30, (1, HEIGHT, WIDTH)) * factor).clip(0, 60_000).astype(np.uint16)


@pytest.fixture
def known(make_scene, tmp_path):
    """Return a package with the statistics of its band."""
    uris = [make_scene(gray(seed), name=f"train-{seed}.tif") for seed in range(4)]
    expected = compute_statistics(uris, BandNeeds(("gray",)), (None,))

    def change(item):
        item["properties"][STATISTICS_PROPERTY] = msgspec.to_builtins(expected)
        dim = {"type": "scale", "value": 1e9}  # no pixel is bright enough for a detection
        item["properties"]["mlm:input"][0]["value_scaling"] = [dim]

    return write_package(tmp_path / "known", change)


@pytest.fixture
def blind(monkeypatch):
    """Replace the model by one that detects nothing, and make the engine yield after every tile."""
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)
    monkeypatch.setattr(shard_module, "load_model", lambda _: Blind())
    shard_module._load_once.cache_clear()
    yield
    shard_module._load_once.cache_clear()


class Blind(OracleModel):
    def see(self, tile):
        return super().see(np.zeros_like(tile))


def run_all(plan_uri):
    for index in range(len(RunStore.open(plan_uri).plan.shards)):
        run_shard(plan_uri, index)
    return merge_run(plan_uri)


@pytest.mark.usefixtures("blind")
def test_neither_shards_nor_interruptions_show_in_the_warnings(
    make_plan, make_scene, known, tmp_path
):
    scene = make_scene(gray(9, 0.1), name="dim.tif")
    found = [
        run_all(make_plan(scene, model=known, shard_tiles=tiles)).warnings
        for tiles in (37, 200, 10_000)
    ]
    halting = make_plan(scene, model=known, shard_tiles=200, work=str(tmp_path / "halting"))
    stopping = itertools.cycle([False] * 41 + [True])
    for index, _ in itertools.product(range(len(RunStore.open(halting).plan.shards)), range(3)):
        with contextlib.suppress(ShardInterruptedError):
            run_shard(halting, index, stop=lambda: next(stopping))

    (warning,) = found[0]
    assert warning.startswith("gray: median ")
    assert f"{scene} seems to be in another unit" in warning
    assert found == [found[0]] * 3
    assert run_all(halting).warnings == found[0]


@pytest.mark.usefixtures("blind")
def test_samples_that_are_damaged_or_gone_are_said(make_plan, make_scene, known):
    plan_uri = make_plan(make_scene(gray(9, 0.1), name="dim.tif"), model=known, shard_tiles=200)
    run_all(plan_uri)
    paths = RunPaths.from_plan_uri(plan_uri)

    storage.write_bytes(paths.samples(0), b"damaged")

    (warning,) = merge_run(plan_uri).warnings
    assert warning.startswith("the bands were not compared with the model's: ")

    Path(paths.samples(0)).unlink()

    (warning,) = merge_run(plan_uri).warnings
    assert warning.startswith("the bands were not compared with the model's: ")


@pytest.mark.usefixtures("blind")
def test_a_plan_of_a_package_without_statistics_takes_no_samples(make_plan, make_scene, package):
    plan_uri = make_plan(make_scene(gray(9, 0.1)))
    run_all(plan_uri)

    assert not storage.exists(RunPaths.from_plan_uri(plan_uri).samples(0))


def test_a_user_is_told_where_the_run_is_told(make_scene, known, tmp_path):
    odd, usual = make_scene(gray(9, 0.1), name="dim.tif"), make_scene(gray(9), name="usual.tif")

    result = CliRunner().invoke(
        app, ["run", odd, "--model", str(known), "--out", str(tmp_path / "a")]
    )

    assert result.exit_code == 0, result.output
    (warning,) = json.loads((tmp_path / "a" / "summary.json").read_text())["warnings"]
    assert result.stderr == f"warning: {warning}\n"
    result = CliRunner().invoke(
        app, ["run", usual, "--model", str(known), "--out", str(tmp_path / "b")]
    )
    assert result.stderr == ""
    assert json.loads((tmp_path / "b" / "summary.json").read_text())["warnings"] == []


def test_an_endpoint_s_answer_has_the_warnings(make_scene, known):
    package = load_package(known)
    source = ModelIdentity(name="x", digest="d", classes=package.description.classes)

    with open_scene(make_scene(gray(9, 0.1))) as scene:
        found = detect_scene(scene, package.description, load_model(package))
        answers = [json.loads(write(found, scene.info, source)) for write in (to_json, to_geojson)]

    for answer in answers:
        (warning,) = answer["warnings"]
        assert "the image seems to be in another unit" in warning
        assert scene.info.uri not in warning


def test_numbers_beyond_float32_once_they_are_scaled_are_nodata_and_told(make_scene, tmp_path):
    """Check a run and an endpoint: both treat such numbers like the file's own nodata."""

    def change(item):
        scaling = [{"type": "scale", "value": 1e-3}]
        item["properties"]["mlm:input"][0]["value_scaling"] = scaling

    package = write_package(tmp_path / "dark", change)
    pixels = np.zeros((1, 40, 60), np.float32)
    pixels[0, ::8, ::8] = 9e-4
    pixels[0, 3, 7], pixels[0, 31, 50] = -3.4e38, 2e37
    odd = make_scene(pixels, name="odd.tif")
    pixels[pixels > 1] = pixels.min()
    declared = make_scene(pixels, name="declared.tif", nodata=float(pixels.min()))

    told = run_local(odd, str(package), tmp_path / "odd")
    usual = run_local(declared, str(package), tmp_path / "declared")

    (warning,) = told.warnings
    assert f"{odd} has values that float32 cannot hold after scaling (gray" in warning
    assert "-3.4e+38" in warning
    assert (told.detections, usual.warnings) == (usual.detections, [])
    assert told.detections == 40
    loaded = load_package(package)
    with open_scene(odd) as scene:
        found = detect_scene(scene, loaded.description, load_model(loaded))
    assert len(found.detections) == 40
    assert found.warnings == [warning]
