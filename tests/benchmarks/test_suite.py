import ast
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import benchmarks.__main__ as command
from benchmarks import scenes
from benchmarks.harness import QuietWait
from benchmarks.metrics import METRICS
from benchmarks.sides import boxes, merging, polygons, reading, runs, writing
from benchmarks.suite import geoparquet, reading_local
from benchmarks.virtual import VirtualScene
from benchmarks.worker import main, run_side
from swath.detection.detections import Detections

SOURCES = sorted(Path(command.__file__).parent.glob("suite/*.py"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "CACHE_FOLDER", tmp_path)
    return tmp_path


def test_names_are_chosen_by_how_they_begin():
    assert command.select_benchmarks([]) == list(command.SUITE)
    assert command.select_benchmarks(["reading", "merge"]) == [
        "reading_local",
        "reading_http",
        "merge",
    ]
    with pytest.raises(ValueError, match="no benchmark 'nonsense'; the benchmarks are"):
        command.select_benchmarks(["nonsense"])


def literals(path):
    """Strings in a module, those with a format in them up to it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_sides_that_a_benchmark_names_exist(path):
    named = [text for text in literals(path) if re.fullmatch(r"\w+:\w*", text)]
    for text in named:
        module, _, function = text.partition(":")
        source = path.parents[1] / "sides" / f"{module}.py"
        tree = ast.parse(source.read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not function or function in functions, text


def test_every_metric_belongs_to_a_benchmark():
    text = "".join(path.read_text() for path in SOURCES)
    made_up = {
        "reading_",
        "written_",
        "windows_",
        "async_geotiff_",
        "polygons_",
        "shard_",
        "sahi_",
        "device_",
        "gpu_",
    }
    for name in METRICS:
        assert f'"{name}"' in text or any(
            f'f"{part}{{' in text for part in made_up if name.startswith(part)
        ), name


def test_every_benchmark_is_a_module():
    assert {path.stem for path in SOURCES} - {"__init__"} == set(command.SUITE)
    assert all(importlib.import_module(f"benchmarks.suite.{name}").run for name in command.SUITE)


def test_a_quick_run_keeps_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("benchmarks.results.RESULTS_FOLDER", tmp_path)
    monkeypatch.setattr(command, "update_page", None)
    sample = {"wall": 1.0, "cpu": 1.0, "others": 0.0}
    monkeypatch.setattr(geoparquet, "run_side", lambda *_, **__: sample)
    command.main(["geoparquet", "--quick"])
    assert "geoparquet" in (said := capsys.readouterr().out)
    assert "not stored" in said
    assert not list(tmp_path.iterdir())


def test_a_run_writes_results_and_the_page(monkeypatch, tmp_path, capsys):
    written = []
    monkeypatch.setattr("benchmarks.harness.QUIET_WAIT", QuietWait(0))
    monkeypatch.setattr("benchmarks.results.Result.write", lambda one: written.append(one.name))
    monkeypatch.setattr(command, "update_page", lambda _: written.append("page"))
    sample = {"wall": 1.0, "cpu": 1.0, "others": 0.0, "added_mb": 7.0, "pixels": 9}
    monkeypatch.setattr(reading_local, "run_side", lambda *_, **__: sample)
    monkeypatch.setattr(reading_local, "make_scenes", lambda _: None)
    monkeypatch.setattr(VirtualScene, "write", lambda *_: tmp_path)
    command.main(["reading_local"])
    assert written == [
        *(
            f"{what}_{kind}_{how}"
            for kind in ("rgb8", "ms16")
            for how in ("deflate", "zstd")
            for what in ("reading", "written", "windows", "async_geotiff")
        ),
        "reading_memory",
        "page",
    ]
    assert "benchmarks/results" in capsys.readouterr().out


def test_a_side_runs_in_a_process_of_its_own(tmp_path):
    path = VirtualScene(700, 600).write(tmp_path / "scene.tif")
    sample = run_side("reading:windows", path=str(path))
    assert sample["tiles"] == 2
    with pytest.raises(RuntimeError, match=r"(?s)reading:windows ended with 1:\n.*TypeError"):
        run_side("reading:windows", nonsense=1)


def test_a_worker_writes_what_its_side_returns(tmp_path):
    path = VirtualScene(700, 600).write(tmp_path / "scene.tif")
    main("benchmarks.sides.reading:windows", str(tmp_path / "out"), json.dumps({"path": str(path)}))
    assert json.loads((tmp_path / "out").read_text())["tiles"] == 2


def test_all_readers_read_the_same_tiles(cache):
    path = str(scenes.make_scene("ms16", 1100, "deflate"))
    theirs = reading.windows(path)
    ours = run_side("reading:swath", path=path, count_decodes=True)
    blocks = reading.limit(path)["blocks"]
    assert blocks == 9
    assert ours["decodes"] == blocks
    assert (ours["tiles"], ours["pixels"]) == (theirs["tiles"], theirs["pixels"])


def test_boxes_are_as_many_as_wanted_and_lie_in_their_tiles(cache):
    assert boxes.draw(3000) == {"boxes": 3000}
    seen, grid = boxes.load_boxes(3000), boxes.make_grid(3000)
    windows = grid.windows(seen.tile)
    assert len(seen) == 3000
    assert (seen.box[:, :2] >= windows[:, :2]).all()
    assert (seen.box[:, 2:] <= windows[:, :2] + windows[:, 2:]).all()
    assert np.unique(seen.label).tolist() == [0, 1, 2, 3]
    assert isinstance(seen, Detections)


def test_merging_leaves_each_object_once(cache):
    boxes.draw(3000)
    merged = merging.swath(3000, repeats=2)
    assert 1500 < merged["detections"] < 2900
    assert len(merged["walls"]) == 2


@pytest.mark.parametrize("pattern", ["fields", "objects"])
def test_both_sides_make_the_same_polygons(pattern, monkeypatch):
    monkeypatch.setitem(polygons._PATTERNS, pattern, (2, polygons._PATTERNS[pattern][1]))
    made = polygons.swath(pattern)["polygons"]
    assert made == polygons.gdal(pattern)["polygons"] > 50


def test_both_files_hold_all_rows(cache):
    boxes.draw(3000)
    assert writing.geoparquet(3000)["rows"] == writing.pyarrow(3000)["rows"] == 3000


def test_a_scene_goes_through_a_stand_in(cache, packages):
    package = packages.onnx
    scene = str(VirtualScene(900, 900, collar=0).write(cache / "scene.tif"))
    sample = runs.shard(scene, package, merge=True, device_ms=0.01)
    assert sample["tiles"] == 4
    assert sample["device"] == pytest.approx(4e-5)
    assert 60 < sample["detections"] < 120
    planned = runs.plan(scene, package, str(cache / "work"), shard_tiles=2)
    assert planned["shards"] == 2
    assert runs.middle_shard(planned["uri"]) == 1
    assert runs.shard_memory(planned["uri"], package, 1)["tiles"] == 2
