"""Runs of STAC Items and lists of files: the detections of one file that has their bands."""

import json
import shutil

import numpy as np
import onnx
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
from onnx import TensorProto, helper, numpy_helper

import swath
from swath import storage
from swath.errors import RunIncompleteError, SceneChangedError, SceneError
from swath.items import SceneSources
from swath.items.scene_arguments import parse_scene
from swath.messages import RunOptions
from swath.pipeline.local import new_request, run_local
from swath.pipeline.plan import read_plan
from swath.pipeline.planning import plan_run
from swath.pipeline.shard import run_shard
from swath.settings import PlanSettings
from tests.helpers.items import write_item
from tests.helpers.packages import TILE, bright_pixels, write_package
from tests.helpers.rasters import NORTH_UP, UTM
from tests.helpers.serving import dots

NAMES = ("B02", "B03", "B04")
COLUMNS = ["class", "score", "x_min", "y_min", "x_max", "y_max", "tile", "geometry"]


def mean_of_bands(count):
    """Return the detector of bright pixels, as ONNX, for the mean of some bands."""
    model = onnx.load_from_string(bright_pixels())
    graph = model.graph
    graph.node[0].input[0] = "gray"
    graph.node.insert(0, helper.make_node("ReduceMean", ["image"], ["gray"], axes=[1]))
    shape = ["batch", count, TILE, TILE]
    graph.input.remove(graph.input[0])
    graph.input.insert(0, helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    return model.SerializeToString()


def bands_package(folder, names, *, tile=TILE, **options):
    """Write a package for bands of those names; with other tiles, its model sees nothing."""

    def change(item):
        properties = item["properties"]
        properties["bands"] = [{"name": name} for name in names]
        one = properties["mlm:input"][0]
        one["bands"] = list(names)
        one["input"]["shape"] = [-1, len(names), tile, tile]
        one["value_scaling"] = [{"type": "scale", "value": 100}] * len(names)
        properties["mlm:hyperparameters"] |= options
        if tile != TILE:
            properties["mlm:output"][0]["result"]["shape"][2] = 1

    weights = mean_of_bands(len(names)) if tile == TILE else blind(len(names), tile)
    return write_package(folder, change, weights=weights)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return bands_package(tmp_path_factory.mktemp("model"), NAMES)


def write_file(path, pixels, *, names=NAMES, transform=NORTH_UP):
    count, height, width = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=UTM, transform=transform, **profile) as out:
        out.write(pixels)
        out.descriptions = names
    return path


@pytest.fixture
def file(tmp_path):
    """Write a file of three bands."""
    pixels = np.repeat(dots(3, width=90, height=70, count=60), 3, axis=0)
    return write_file(tmp_path / "all.tif", pixels)


@pytest.fixture
def item(tmp_path, file):
    """Write an Item of three files, with the pixels of `file`."""
    return write_item(tmp_path / "item", file, factors={})


def table(out):
    return pq.read_table(out / "detections.parquet")


def test_an_item_whose_files_share_a_grid_gives_the_rows_of_one_file(file, item, model, tmp_path):
    whole = run_local(str(file), str(model), tmp_path / "file")
    report = run_local(str(item), str(model), tmp_path / "item-out")

    assert report.detections == whole.detections > 20
    assert report.scene == str(item)
    assert table(tmp_path / "item-out").select(COLUMNS) == table(tmp_path / "file").select(COLUMNS)


def test_all_forms_of_a_scene_give_the_same_rows(item, model, tmp_path):
    files = [item.parent / f"{name}.tif" for name in NAMES]
    listed = tmp_path / "item" / "list.json"
    listed.write_text(json.dumps({"bands": {name: f"{name}.tif" for name in NAMES}}))
    data = json.loads(item.read_text())
    data["links"] = [{"rel": "self", "href": str(item)}]
    scenes = [item, files, listed, data, pystac.Item.from_file(str(item))]
    expected = table_of(run_local(item, str(model), tmp_path / "expected"), tmp_path / "expected")

    for number, scene in enumerate(scenes):
        out = tmp_path / str(number)
        assert table_of(run_local(scene, str(model), out), out) == expected
        found = swath.detect(scene, model)
        found.to_parquet(out / "again.parquet")
        assert (out / "again.parquet").read_bytes() == (out / "detections.parquet").read_bytes()


def table_of(report, out):
    assert report.detections > 20
    return table(out).select(COLUMNS)


def test_a_scene_of_several_files_is_opened_by_the_names_of_its_bands(item, file):
    files = [item.parent / f"{name}.tif" for name in NAMES]
    with rasterio.open(file) as source:
        expected = source.read([3, 1])

    for scene in (item, files, file):
        with swath.open_scene(scene, bands=["B04", "B02"]) as opened:
            pixels, valid = opened.read((0, 0, 90, 70), [1, 2])
        assert np.array_equal(pixels, expected)
        assert valid.all()
    with pytest.raises(SceneError, match=r"item\.json is a scene of several files; name the bands"):
        swath.open_scene(item)


def test_the_same_files_are_the_same_run(item, model):
    def request(scene):
        return new_request(parse_scene(scene, SceneSources()), str(model), RunOptions())

    first = request(item)
    assert request(item).run_id == first.run_id
    assert first.scene.identity == first.scene.scene_id
    files = [str(item.parent / f"{name}.tif") for name in NAMES]
    listed = request(files)
    assert listed.run_id == request(files).run_id != first.run_id

    shutil.copy(files[0], files[1])
    assert request(item).run_id != first.run_id
    assert request(item).scene.etag == first.scene.etag
    assert request(files).run_id != listed.run_id
    assert request(files).scene.uri == listed.scene.uri


def test_a_scene_of_another_resolution_is_resampled_to_the_packages(tmp_path):
    """Check dots of 10 m in pixels of 5 m: boxes are in pixels of the scene."""
    pixels = np.repeat(dots(5, width=60, height=50, count=40), 3, axis=0)
    coarse = write_file(tmp_path / "10m.tif", pixels)
    half = NORTH_UP @ rasterio.Affine.scale(0.5)
    fine = write_file(tmp_path / "5m.tif", np.kron(pixels, np.ones((2, 2), "u1")), transform=half)
    own = bands_package(tmp_path / "own", NAMES)
    stated = bands_package(tmp_path / "stated", NAMES, gsd=10, resampling="average")
    item = write_item(tmp_path / "item", fine, factors={})

    run_local(str(coarse), str(own), tmp_path / "a")
    expected = table(tmp_path / "a")
    for number, scene in enumerate((fine, item)):
        out = tmp_path / f"out-{number}"
        run_local(scene, str(stated), out)
        found = table(out)

        for name in ("x_min", "y_min", "x_max", "y_max"):
            assert np.array_equal(found[name], 2 * expected[name].to_numpy())
        assert np.array_equal(found["score"], expected["score"])
        shapes = shapely.from_wkb(found["geometry"].to_numpy())
        assert shapely.equals_exact(
            shapes, shapely.from_wkb(expected["geometry"].to_numpy()), 1e-9
        ).all()
        swath.detect(scene, stated).to_parquet(out / "again.parquet")
        assert (out / "again.parquet").read_bytes() == (out / "detections.parquet").read_bytes()
    with swath.open_scene(fine) as opened:
        assert np.array_equal(swath.detect(opened, stated).boxes[:, 0], found["x_min"])


@pytest.fixture
def planned(item, model, tmp_path):
    """Plan a run of the Item; return the plan's address."""
    scene = parse_scene(item, SceneSources())
    request = new_request(scene, str(model), RunOptions())
    return plan_run(request, PlanSettings(work_uri=str(tmp_path / "work"))).uri


def test_shards_read_the_plans_files_and_not_the_document(item, planned):
    plan = read_plan(planned)
    assert [asset.uri for asset in plan.stack.assets] == [
        str(item.parent / f"{name}.tif") for name in NAMES
    ]
    assert plan.acquisition.acquired_at.startswith("2026-11-20T10:12:13")
    content = item.read_bytes()
    reads, read = [], storage.read_with_etag
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(storage, "read_with_etag", lambda uri: reads.append(uri) or read(uri))
        tiles = [run_shard(planned, shard).tiles for shard in range(len(plan.shards))]
    assert sum(one.succeeded for one in tiles) == plan.grid.count
    assert str(item) not in reads
    assert item.read_bytes() == content


@pytest.mark.parametrize("name", ["B03.tif", "item.json"])
def test_a_file_that_is_replaced_before_a_shard_fails_the_run(item, planned, name):
    path = item.parent / name
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(SceneChangedError, match=f"{name}.* replaced"):
        run_shard(planned, 0)


@pytest.mark.parametrize("name", ["B03.tif", "item.json"])
def test_a_file_that_is_replaced_while_it_is_read_fails_the_run(item, model, tmp_path, name):
    path = item.parent / name

    def replace(done, _):
        if done:
            path.with_suffix(".new").write_bytes(path.read_bytes() + b" ")
            path.with_suffix(".new").replace(path)

    with pytest.raises(SceneChangedError, match=f"{name} was replaced while its run"):
        run_local(item, str(model), tmp_path / "out", progress=replace)


def test_an_item_that_was_replaced_before_its_plan_is_refused(item, model, tmp_path):
    request = new_request(parse_scene(item, SceneSources()), str(model), RunOptions())
    item.write_bytes(item.read_bytes() + b" ")

    with pytest.raises(SceneChangedError, match=r"item\.json was replaced after its run"):
        plan_run(request, PlanSettings(work_uri=str(tmp_path / "work")))


def test_tiles_of_a_damaged_file_fail_alone(tmp_path, model):
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 99, (3, 512, 512), np.uint8)
    item = write_item(tmp_path / "item", write_file(tmp_path / "all.tif", pixels), factors={})
    damaged = item.parent / "B03.tif"
    with rasterio.open(damaged) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    content = bytearray(damaged.read_bytes())
    content[start : start + 200] = bytes(200)
    damaged.write_bytes(content)

    options = RunOptions(tolerated_failures=0.5)
    report = run_local(item, str(model), tmp_path / "out", options=options)

    assert 0.2 < report.tiles.failed / report.tiles.planned < 0.3
    assert report.tiles.failed + report.tiles.succeeded == report.tiles.planned
    with pytest.raises(RunIncompleteError, match=r"B03\.tif"):
        run_local(item, str(model), tmp_path / "out")


def test_a_file_outside_the_sources_is_refused_before_anything_is_planned(item, model, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "B03.tif"
    (item.parent / "B03.tif").rename(moved)
    data = json.loads(item.read_text())
    data["assets"]["B03"]["href"] = str(moved)
    item.write_text(json.dumps(data))

    with pytest.raises(SceneError, match=r"B03\.tif lies outside the folder of .* --source"):
        run_local(item, str(model), tmp_path / "out")

    report = run_local(item, str(model), tmp_path / "out", sources=[f"{elsewhere}/"])
    assert report.status == "succeeded"


@pytest.mark.parametrize("scene", [7, None, ["a.json", "b.tif"]])
def test_what_is_no_scene_is_refused(scene, model, tmp_path):
    with pytest.raises(SceneError, match=r"is no scene|give a document alone"):
        run_local(scene, str(model), tmp_path / "out")


def blind(count, tile):
    """Return a detector that sees nothing, as ONNX, in tiles of `count` bands."""
    axes = list(range(1, 4))
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=axes),
            helper.make_node("Reshape", ["mean", "shape"], ["one"]),
            helper.make_node("Mul", ["one", "zero"], ["none"]),
            helper.make_node("Concat", ["none"] * 5, ["pred"], axis=1),
        ],
        "blind",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", count, tile, tile])],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, ["b", 5, 1])],
        [
            numpy_helper.from_array(np.array([-1, 1, 1]), "shape"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


S2 = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12 SCL"
LANDSAT = "B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11"
REAL = {
    "s2_l2a_29RKH/*.json": (S2, ""),
    "landsat_c2l1_089074/*_stac.json": (LANDSAT, ""),
    "landsat_c2l2_008059/*_SR_stac.json": ("B3 B4 B5", ""),
    "naip/*.tif": ("Red Green Blue NIR", ""),
    "s2_l1c_18SVG_fullres_crop/*.*": ("B05 B11 B01", ""),
    "s2_l1c_18SVG_fullres_crop/*1.tif": ("B05 B11", "has no band B05; it has s2_B01.tif; s2_B11"),
    "s2_l1c_55HFA_sinergise/**/*B*.jp2": ("B02 B03 B04 B11", ""),
    "landsat_c1l1_016037/*.TIF": ("B4 B5 B8", ""),
}
"""Bands of a model for each real scene, and the reason for which the scene is refused."""


@pytest.mark.parametrize("pattern", REAL)
def test_real_scenes_are_run_or_refused_for_a_reason(data, tmp_path, pattern):
    names, reason = REAL[pattern]
    folder = data / "items" / pattern.partition("/")[0]
    files = sorted((data / "items").glob(pattern))
    package = bands_package(tmp_path / "model", names.split(), tile=256)
    scene = beside(files[0], tmp_path) if files[0].suffix == ".json" else files

    def run():
        return run_local(scene, str(package), tmp_path / "out", sources=[f"{folder}/"])

    if reason:
        with pytest.raises(SceneError, match=reason):
            run()
        return
    tiles = run().tiles
    assert tiles.planned == tiles.succeeded + tiles.skipped
    assert tiles.succeeded > 0


def beside(document, folder):
    """Copy an Item, and let it name the files beside the original."""
    item = json.loads(document.read_text())
    for asset in item["assets"].values():
        asset.pop("alternate", None)
        asset["href"] = str(document.parent / storage.file_name(asset["href"]))
    copy = folder / "item.json"
    copy.write_text(json.dumps(item))
    return copy


@pytest.mark.parametrize("pattern", ["s2_l2a_29RKH/*.json", "landsat_c2l1_089074/*_stac.json"])
def test_real_items_name_files_that_only_a_source_allows(data, tmp_path, pattern):
    (document,) = (data / "items").glob(pattern)
    package = bands_package(tmp_path / "model", ["B02" if "s2" in pattern else "B2"])

    with pytest.raises(SceneError, match=r"https://.* lies outside the allowed sources"):
        run_local(document, str(package), tmp_path / "out")
