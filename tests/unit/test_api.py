"""Tests of the public API: the names of `import swath`, and results equal to the commands'."""

import importlib
import inspect
import json
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from msgspec import UNSET
from rasterio.io import MemoryFile

import swath
from swath import _api, errors, storage
from swath.messages import RunOptions
from swath.pipeline.local import run_local
from tests.helpers.packages import write_package
from tests.helpers.rasters import NORTH_UP, UTM
from tests.helpers.segmenters import NODATA, values, write_segmenter
from tests.helpers.serving import PLACED, dots

ROOT = Path(__file__).resolve().parents[2]
SHIPS = ROOT / "models" / "ships"
HEAVY = ("numpy", "rasterio", "shapely", "pyarrow", "onnxruntime", "torch", "boto3", "msgspec")


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def busan(data):
    return str(data / "ships_s2" / "busan_S2L2A_5band.tif")


def assert_as_run(found, scene, model, out, **options):
    """Check that the detections are a run's rows, and that their file equals the run's by byte."""
    report = run_local(scene, str(model), out, options=RunOptions(**options))
    found.to_parquet(out / "again.parquet")
    assert (out / "again.parquet").read_bytes() == (out / "detections.parquet").read_bytes()
    table = found.to_arrow()
    assert table.equals(pq.read_table(out / "detections.parquet"))
    written = pq.read_metadata(out / "detections.parquet").metadata
    assert table.schema.metadata == {k: v for k, v in written.items() if k != b"ARROW:schema"}
    assert len(found) == report.detections > 0
    assert list(found.warnings) == list(report.warnings)
    assert found.tiles == report.tiles


def test_a_light_import_offers_everything():
    code = (
        f"import sys, swath; print([m for m in {HEAVY} if m in sys.modules]);"
        "print(set(swath.__all__) <= set(dir(swath)));"
        "swath.SceneError, swath.detect.__doc__;"
        "print([m for m in ('numpy', 'rasterio', 'onnxruntime') if m in sys.modules])"
    )

    assert python(code).splitlines() == ["[]", "True", "[]"]


def test_every_public_name_is_there_and_hides_no_room():
    rooms = {path.stem for path in (ROOT / "src" / "swath").iterdir()}

    assert all(getattr(swath, name) is not None for name in swath.__all__)
    assert not rooms & {*swath.__all__}
    with pytest.raises(AttributeError, match="no attribute 'detections'"):
        swath.detections  # noqa: B018


def test_every_error_that_a_caller_may_catch_is_public():
    """Check all errors except those of the pipeline's own steps, which the API never raises."""
    steps = {"PayloadError", "UnknownModelError", "ShardInterruptedError"}
    defined = {name for name in vars(errors) if name.endswith("Error")}

    assert defined - {*swath.__all__} == steps


def test_the_version_is_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert swath.__version__ == project["version"]


@pytest.mark.parametrize("name", ["run", "evaluate", "train"])
def test_defaults_are_those_of_the_command(name):
    """Check that options of one name have one default, unless the command's default is None."""
    function = inspect.signature(getattr(_api, name)).parameters
    module = importlib.import_module(f"swath.cli.{name}")
    command = inspect.signature(getattr(module, name)).parameters
    shared = [option for option in function if option in command and option != "out"]

    assert shared
    for option in shared:
        assert (function[option].default or None) == (command[option].default or None), option


def test_a_port_gives_what_a_run_gives(busan, tmp_path):
    assert_as_run(swath.detect(busan, SHIPS), busan, SHIPS, tmp_path / "out")


def test_a_higher_threshold_gives_what_a_run_gives(make_scene, package, tmp_path):
    scene = make_scene(dots(7, count=40))

    found = swath.detect(scene, package, score_threshold=0.8)

    assert_as_run(found, scene, package, tmp_path / "out", score_threshold=0.8)
    assert len(found) < len(swath.detect(scene, package))


def test_a_scene_without_a_place_is_in_pixels(make_scene, package):
    scene = make_scene(dots(8), crs=None, transform=None)

    found = swath.detect(scene, package)

    assert found.crs is None
    assert len(found) == 12
    assert f"positions of {scene} are in pixels: " in found.warnings[0]
    assert "gdal_edit.py" in found.warnings[0]


def test_a_segmentation_gives_what_a_run_gives(make_scene, tmp_path):
    folder = write_segmenter(tmp_path / "segmenter")
    scene = make_scene(values()[None], nodata=NODATA)

    assert_as_run(swath.detect(scene, folder), scene, folder, tmp_path / "out")


def test_run_is_the_command(make_scene, package, tmp_path):
    scene = make_scene(dots(1))
    progress = []

    report = swath.run(
        Path(scene), package, tmp_path / "out", progress=lambda *done: progress.append(done)
    )

    assert report.detections == len(swath.detect(scene, package)) == 12
    assert progress[0] == (0, report.tiles.planned)
    assert progress[-1] == (report.tiles.planned,) * 2


def test_a_scene_may_be_given_in_any_form(make_scene, package, http_bucket):
    pixels = dots(2)
    path = make_scene(pixels)
    uri = f"{http_bucket}/scene.tif"
    storage.write_bytes(uri, Path(path).read_bytes())
    model = swath.load_model(package)
    whole = swath.detect(path, model)

    with swath.open_scene(Path(path)) as scene:
        assert scene.info.width == 60
        opened = swath.detect(scene, model)
    with rasterio.open(path) as dataset:
        by_dataset = swath.detect(dataset, model)
    for found in (opened, by_dataset, swath.detect(uri, model)):
        assert found.boxes.tolist() == whole.boxes.tolist()
        assert found.geometries.tolist() == whole.geometries.tolist()
    assert by_dataset.run_id == opened.run_id == whole.run_id


def test_an_array_is_a_scene(make_scene, package):
    pixels = dots(3)
    whole = swath.detect(make_scene(pixels), package)

    found = swath.detect(pixels, package, crs=UTM, transform=NORTH_UP)

    assert found.scene == "array"
    assert found.boxes.tolist() == whole.boxes.tolist()
    assert found.geometries.tolist() == whole.geometries.tolist()
    assert found.run_id == swath.detect(pixels, package, crs=UTM, transform=NORTH_UP).run_id
    assert found.run_id != swath.detect(dots(4), package, crs=UTM, transform=NORTH_UP).run_id


def test_pixels_of_an_array_that_are_not_valid_are_not_seen(package):
    pixels = dots(5, dtype=np.int16)
    hidden = np.ma.masked_array(pixels, mask=np.zeros(pixels.shape, bool))
    hidden[:, :, :30] = np.ma.masked
    without = pixels.copy()
    without[:, :, :30] = -1

    masked = swath.detect(hidden, package)
    nodata = swath.detect(without, package, nodata=-1)

    assert 0 < len(masked) < len(swath.detect(pixels, package))
    assert masked.boxes.tolist() == nodata.boxes.tolist()
    assert masked.tiles.skipped > 0


def test_an_array_without_a_place_is_in_pixels(package):
    pixels = dots(6)

    found = swath.detect(pixels, package)

    assert found.crs is None
    assert found.to_geojson()["crs"] is None
    geo = json.loads(found.to_arrow().schema.metadata[b"geo"])
    assert geo["columns"]["geometry"]["crs"] is None
    assert found.to_geodataframe().crs is None
    assert found.warnings == (
        "positions of array are in pixels: pass crs and transform with the array",
    )
    assert [shape.bounds for shape in found.geometries] == [tuple(box) for box in found.boxes]


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((20, 20)), {}, r"the shape \(20, 20\); it must be \(bands, rows, columns\)"),
        (np.zeros((2, 20, 20)), {}, "has 2 bands; the model expects gray"),
        (
            np.zeros((1, 20, 20), complex),
            {},
            "the type complex128; its type must be",
        ),
        (np.zeros((1, 20, 20)), {"crs": UTM}, "give both, or neither"),
        (np.zeros((1, 20, 20)), {"crs": "x", "transform": NORTH_UP}, "'x' is not a coordinate"),
        (
            np.zeros((1, 20, 20)),
            {"crs": UTM, "transform": [1]},
            r"\[1\] is not an affine transform",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(pixels, options, message, package):
    with pytest.raises(swath.SceneError, match=message):
        swath.detect(pixels, package, **options)


def test_what_cannot_be_used_is_refused(make_scene, package, tmp_path):
    scene = make_scene(dots(1))

    with pytest.raises(swath.InputError, match="score_threshold is 2; it must be from 0 to 1"):
        swath.detect(scene, package, score_threshold=2)
    with pytest.raises(swath.SettingsError, match=r"0\.1 is below that of the model package"):
        swath.detect(scene, package, score_threshold=0.1)
    with pytest.raises(swath.SceneError, match="there is no scene at"):
        swath.detect(tmp_path / "none.tif", package)
    with pytest.raises(swath.SceneError, match="a file has its own"):
        swath.detect(scene, package, nodata=0)
    with pytest.raises(swath.PackageError, match=r"model package .* does not exist"):
        swath.load_model(tmp_path / "none")


def test_a_dataset_in_memory_is_refused(package):
    pixels = dots(1)
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", count=1, height=40, width=60, dtype=pixels.dtype, **PLACED
        ) as out:
            out.write(pixels)
        with file.open() as dataset, pytest.raises(swath.SceneError, match="pass its pixels"):
            swath.detect(dataset, package)


def test_errors_of_an_array_name_the_array(package):
    pixels = dots(1, dtype=np.int16)
    pixels[0, 20, 30] = -1  # the model takes the root of it and gets NaN

    with pytest.raises(swath.ModelOutputError, match="the model failed on tile"):
        swath.detect(pixels, package)


def test_one_model_serves_several_threads(make_scene, package):
    scenes = [make_scene(dots(seed, width=200), name=f"{seed}.tif") for seed in range(4)]
    model = swath.load_model(package)
    alone = [swath.detect(scene, model).to_arrow() for scene in scenes]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda scene: swath.detect(scene, model).to_arrow(), scenes))

    assert together == alone


def test_progress_counts_the_tiles(make_scene, package):
    progress = []

    found = swath.detect(
        make_scene(dots(1, width=300)), package, progress=lambda *done: progress.append(done)
    )

    total = found.tiles.planned
    assert progress[0] == (0, total)
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)


def test_a_missing_library_is_named_with_its_extra():
    code = (
        "import sys; sys.modules['{module}'] = None; import swath\n"
        "try: swath.{call}\n"
        "except ModuleNotFoundError as error: print(error)"
    )

    for call in ("detect('a.tif', 'm')", "Detections", "open_scene('a.tif')", "load_model('m')"):
        told = python(code.format(module="numpy", call=call))
        assert "numpy is not installed" in told, call
        assert "`pip install '.[cli]'` there" in told


def test_evaluation_and_its_gate(tmp_path):
    folder = write_package(tmp_path / "model")
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    pixels = dots(1)
    path = scenes / "one.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=40, width=60, dtype="uint8", **PLACED
    ) as out:
        out.write(pixels)
    y, x = np.nonzero(pixels[0])
    labels = {
        "images": [{"id": 1, "file_name": "one.tif", "width": 60, "height": 40}],
        "categories": [{"id": 1, "name": "dot"}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "bbox": [int(column), int(row), 1, 1],
                "area": 1,
                "iscrowd": 0,
            }
            for number, (row, column) in enumerate(zip(y, x, strict=True), 1)
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))

    evaluation = swath.evaluate(folder, tmp_path / "labels.json", scenes, tmp_path / "out")

    assert evaluation.metrics["AP50"] == 1
    assert (tmp_path / "out" / "report.html").is_file()
    with pytest.raises(swath.GateError, match="AP50"):
        swath.evaluate(
            folder,
            tmp_path / "labels.json",
            scenes,
            tmp_path / "out",
            fail_below={"AP50": 1.5},
        )


def test_options_of_a_run_are_set_only_where_they_are_given():
    assert _api._options(None).score_threshold is UNSET
    assert _api._options(0.5).score_threshold == 0.5
