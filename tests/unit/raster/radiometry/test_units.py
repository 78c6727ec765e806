"""Tests of units: the numbers that reach a network follow the formula, through every reader."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.detection.detect_scene import detect_scene
from swath.detection.engine import Inference
from swath.errors import PackageError, SceneError
from swath.models.mlm import parse_description
from swath.models.scaling import ZScore, scale_into, scaling_steps
from swath.packaging import sample_tiles
from swath.pipeline.local import run_local
from swath.raster.assets.stack import BandNeeds
from swath.raster.band_units import Unit
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.units import conversion, unit_warnings
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from swath.training.data.sampler import CropSampler
from swath.training.data.statistics import compute_band_statistics
from swath.training.loader import BatchLoader
from tests.helpers.label_files import collection, labeled
from tests.helpers.packages import TILE, OracleModel, description

EPS = float(np.finfo(np.float32).eps)
NAMES = ("red", "nir")
SIDE = 40
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

scales = st.one_of(
    st.sampled_from([1.0, 1e-4, 1 / 65535, 0.01, -1.0, 2.75e-5]),
    st.floats(1e-6, 1e4),
    st.floats(-1e4, -1e-6),
)
offsets = st.one_of(st.sampled_from([0.0, -0.1, 273.15, -50.0]), st.floats(-1e4, 1e4))
units = st.builds(Unit, st.sampled_from(["", "reflectance", "kelvin"]), scales, offsets)


SCALING = (ZScore(10, 3), ZScore(-4, 0.5))


def model_of(package_units):
    """Return the description of a package with two bands in the given units."""
    item = description()
    properties = item["properties"]
    properties["bands"] = [
        {"name": name, "unit": unit.name, "raster:scale": unit.scale, "raster:offset": unit.offset}
        if unit
        else {"name": name}
        for name, unit in zip(NAMES, package_units, strict=True)
    ]
    properties["mlm:input"][0]["bands"] = list(NAMES)
    properties["mlm:input"][0]["input"]["shape"][1] = 2
    properties["mlm:input"][0]["value_scaling"] = msgspec.to_builtins(SCALING)
    return parse_description(json.dumps(item).encode())


def expected_of(pixels, stated, package_units):
    """Return the formula's result in float64, and the maximum float32 error."""
    found, allowed = [], []
    for band, said, unit in zip(pixels.astype(np.float64), stated, package_units, strict=True):
        silent = (said.name, said.scale, said.offset) == ("", 1, 0)
        one = unit if silent else said
        found.append((band * one.scale + one.offset - unit.offset) / unit.scale)
        terms = np.abs(band * one.scale) + abs(one.offset) + abs(unit.offset)
        allowed.append(4 * EPS * np.nan_to_num(terms / abs(unit.scale), posinf=0) + 1e-30)
    return np.array(found), np.array(allowed)


def drawn(rng, dtype):
    """Return two bands of numbers, in the ranges of GDAL and most archives."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 3000, (2, SIDE, SIDE)).astype(kind)
    limits = np.iinfo(kind)
    low, high = max(limits.min, -(1 << 20)), min(limits.max, 1 << 20)
    return rng.integers(low, high, (2, SIDE, SIDE), endpoint=True).astype(kind)


class Recorder(OracleModel):
    """A model that records its tiles and detects nothing."""

    workers = 1

    def __init__(self):
        self.shown = []

    def __call__(self, tiles):
        self.shown += [np.array(tile) for tile in tiles]
        return [(np.zeros((5, TILE * TILE), np.float32),) for _ in tiles]


def scaled(tile, known):
    out = np.empty(tile.shape, np.float32)
    scale_into(out, tile, [scaling_steps(scaling) for scaling in known.scaling])
    return out


def put_together(tiles, grid):
    """Return the scene (bands, rows, cols) assembled from tiles."""
    whole = np.full((2, SIDE, SIDE), np.nan, np.float64)
    for number, tile in enumerate(tiles):
        x, y, width, height = grid.tile(number).window
        whole[:, y : y + height, x : x + width] = tile[:, :height, :width]
    return whole


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(DTYPES),
    stated=st.tuples(units, units),
    package_units=st.tuples(units, units),
    holes=st.booleans(),
)
def test_every_way_shows_a_network_the_numbers_of_the_formula(
    make_scene, seed, dtype, stated, package_units, holes
):
    rng = np.random.default_rng(seed)
    pixels = drawn(rng, dtype)
    nodata = None
    hole = np.zeros(pixels.shape[1:], bool)
    if holes:
        nodata = 77
        pixels[pixels == nodata] += 1
        hole = rng.random(hole.shape) < 0.3
        pixels[:, hole] = nodata
    uri = make_scene(
        pixels,
        names=NAMES,
        nodata=nodata,
        units=[(unit.name, unit.scale, unit.offset) for unit in stated],
    )
    known = model_of(package_units)
    right, allowed = expected_of(pixels, stated, package_units)
    fill = np.array([[known.fill_value]] * 2)[:, :, None]
    right = np.where(hole, fill, right)
    grid = Grid(SIDE, SIDE, TILE, known.overlap)

    def agrees(shown):
        assert shown.dtype == np.float64
        assert np.array_equal(shown[:, hole], right[:, hole]), "nodata stays nodata"
        assert (np.abs(shown - right) <= np.where(hole, 0, allowed)).all()

    recorder = Recorder()
    with open_scene(uri) as scene:
        detect_scene(scene, known, recorder)
    some = [
        n
        for n in range(grid.count)
        if not hole[tuple(slice(s, s + w) for s, w in zip(*_place(grid, n), strict=True))].all()
    ]
    assert len(recorder.shown) == len(some)
    agrees(put_together(recorder.shown, grid) if len(some) == grid.count else right)

    offered = list(sample_tiles.from_scenes([uri], known, count=grid.count))
    assert all(np.array_equal(a, b) for a, b in zip(offered, recorder.shown, strict=True))

    found = collection(labeled(uri, SIDE, SIDE))
    sampler = CropSampler(
        found, BandNeeds(tuple(NAMES)), SIDE, seed=0, units=known.units, positives=0
    )
    crop = sampler.crop_at(0, 0, 0)
    loader = BatchLoader(
        get_crop=lambda _epoch, _index: crop,
        scaling=(None, None),
        fill_value=known.fill_value,
        crops_per_epoch=1,
        batch_size=1,
        workers=1,
    )
    (batch,) = loader.iter_epoch(0)
    agrees(batch.pixels[0].numpy().astype(np.float64))

    learnt = compute_band_statistics(found, BandNeeds(tuple(NAMES)), units=known.units)
    for band, numbers in zip(learnt, right[:, ~hole], strict=True):
        assert band.minimum == pytest.approx(numbers.min(), rel=1e-5, abs=float(allowed.max()))
        assert band.mean == pytest.approx(
            numbers.mean(), rel=1e-5, abs=1e-5 * np.abs(numbers).max() + float(allowed.max())
        )


def _place(grid, number):
    x, y, width, height = grid.tile(number).window
    return (y, x), (height, width)


def test_scaling_follows_the_unit(make_scene):
    """Check the order of the engine: units first, then the package's scaling."""
    pixels = np.full((2, 16, 16), 1500, np.uint16)
    stated = [("reflectance", 1e-4, -0.1)] * 2
    uri = make_scene(pixels, names=NAMES, units=stated)
    known = model_of([Unit("reflectance", 1 / 65535, 0.0)] * 2)
    recorder = Recorder()

    with open_scene(uri) as scene:
        detect_scene(scene, known, recorder)

    shown = scaled(recorder.shown[0], known)
    for band, mean, stddev in zip(shown, (10, -4), (3, 0.5), strict=True):
        assert band == pytest.approx((0.05 * 65535 - mean) / stddev, rel=1e-6)


def test_a_scene_that_states_nothing_is_in_the_package_s_unit(make_scene):
    pixels = np.full((2, 16, 16), 1500, np.uint16)
    known = model_of([Unit("reflectance", 1e-4, -0.1)] * 2)
    recorder = Recorder()

    with open_scene(make_scene(pixels, names=NAMES)) as scene:
        found = detect_scene(scene, known, recorder)

    assert (recorder.shown[0] == 1500).all()
    assert recorder.shown[0].dtype == np.uint16, "nothing is converted in vain"
    assert not found.warnings


def test_an_offset_that_is_no_whole_number_loses_nothing(make_scene):
    """Check the precision: in float32, 1001 - 1000.4 is off by 1e-5."""
    pixels = np.full((2, 4, 4), 1001, np.uint16)
    uri = make_scene(pixels, names=NAMES, units=[("", 1.0, -1000.4)] * 2)

    with open_scene(uri) as scene:
        convert = conversion(scene.info, [1, 2], NAMES, (Unit(), Unit()))

    assert convert(pixels) == pytest.approx(1001 - 1000.4, rel=2 * EPS)


@pytest.mark.parametrize("bad", [(0.0, 0.0), (float("nan"), 0.0), (float("inf"), 0), (1, np.nan)])
def test_a_scale_that_makes_no_number_is_refused(make_scene, bad):
    uri = make_scene(np.ones((2, 16, 16), np.uint8), names=NAMES, units=[("", 0.5, 0), ("", *bad)])
    known = model_of([Unit(scale=2.0)] * 2)

    with open_scene(uri) as scene:
        refused = pytest.raises(SceneError, match=r"scene\.tif states the scale .* band 2 \(nir\)")
        with refused:
            conversion(scene.info, select_bands(scene.info, NAMES), NAMES, known.units)
        # A band that the model does not take may have any unit.
        assert conversion(scene.info, [1], NAMES[:1], known.units[:1])


def test_numbers_that_no_float32_holds_are_refused(make_scene):
    uri = make_scene(np.ones((1, 16, 16), np.uint8), units=[("", 1e30, 0)])

    with open_scene(uri) as scene, pytest.raises(SceneError, match="no float32 can hold"):
        conversion(scene.info, [1], ["x"], (Unit(scale=1e-30),))


def test_a_run_of_such_a_scene_fails_before_it_is_planned(make_scene, package, tmp_path):
    uri = make_scene(np.ones((1, 16, 16), np.uint8), units=[("", 0, 0)])

    with pytest.raises(SceneError, match="which give no number; correct them with gdal_edit"):
        run_local(uri, str(package), tmp_path / "out")


def test_what_is_odd_about_units_is_said(make_scene):
    half = [("reflectance", 1e-4, 0), ("", 1, 0)]
    uri = make_scene(np.ones((2, 16, 16), np.uint8), names=NAMES, units=half)
    stated = (Unit("reflectance", 1e-4), Unit("kelvin"))

    with open_scene(uri) as scene:
        (one,) = unit_warnings(scene.info, [1, 2], NAMES, stated)
        assert "states the unit of some bands, but not of nir" in one
        none, _ = unit_warnings(scene.info, [1, 2], NAMES, (None, None))
        assert "states a unit (red: reflectance, scale 0.0001, offset 0) and the model" in none
        other, _ = unit_warnings(scene.info, [1, 2], NAMES, (Unit("kelvin"), None))
        assert f"red of {uri} has the unit reflectance, and the model expects kelvin" in other


@pytest.mark.parametrize("field", ["raster:scale", "raster:offset"])
@pytest.mark.parametrize("value", [0, "x", "1e999"])
def test_a_package_states_a_possible_unit(field, value):
    item = description()
    item["properties"]["bands"] = [{"name": "gray", field: value}]
    text = json.dumps(item).replace('"1e999"', "1e999").encode()

    if field == "raster:offset" and value == 0:
        assert parse_description(text).units == (Unit(),)
        return
    with pytest.raises(PackageError, match=r"raster:|bands"):
        parse_description(text)


def test_only_scenes_that_need_it_are_converted(make_scene):
    known = model_of([Unit("reflectance", 1e-4, 0.0)] * 2)
    stated = [("reflectance", 1e-4, 0.0)] * 2
    uri = make_scene(np.ones((2, 16, 16), np.uint16), names=NAMES, units=stated)

    with open_scene(uri) as scene:
        inference = Inference(
            scene=scene,
            bands=[1, 2],
            grid=Grid(16, 16, TILE, 4),
            description=known,
            model=Recorder(),
        )

    assert inference.convert is None
