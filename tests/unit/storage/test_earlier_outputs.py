"""Tests of earlier outputs: swath removes its own before a command begins, and no other file."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from swath.errors import InputError
from swath.pipeline.local import run_local
from swath.storage.earlier_outputs import (
    GENERATOR,
    Output,
    has_json_keys,
    has_only_entries,
    is_html_page,
    remove_outputs,
)
from swath.storage.output_folder import DETECTIONS, MASK, RUN_OUTPUTS, SUMMARY, clear_outputs
from swath.training.report import REPORT_FILE
from swath.training.train import OUTPUTS as OF_TRAINING
from swath.training.train import PACKAGE
from tests.helpers import oracles
from tests.helpers.packages import TILE, for_task, write_package

ANY = Output("any.json", has_json_keys("a"))


@pytest.fixture
def out(make_scene, tmp_path):
    """Return the output folder of a run with a mask."""
    change = for_task(
        "semantic-segmentation",
        {"scores": [-1, 2, TILE, TILE]},
        classes=("land", "water"),
        background="land",
        mask=True,
    )
    package = write_package(tmp_path / "water", change, weights=oracles.two_classes())
    scene = make_scene(np.full((1, 60, 100), 80, np.uint8))
    run_local(scene, str(package), tmp_path / "out")
    assert names(tmp_path / "out") == [DETECTIONS, MASK, SUMMARY]
    return tmp_path / "out"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_files_of_a_run_are_known_again(out):
    clear_outputs(out, RUN_OUTPUTS)

    assert names(out) == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    clear_outputs(tmp_path / "none", RUN_OUTPUTS)

    assert names(tmp_path) == []


def others_table(path):
    pq.write_table(pa.table({"class": ["ship"]}), path)


def others_raster(path):
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", crs="EPSG:4326",
        transform=rasterio.Affine(1, 0, 0, 0, -1, 0),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 8, 8), np.uint8))


def others_json(path):
    path.write_text('{"mine": 1}')


def deep(path):
    path.write_text("[" * 100_000)


def nothing(path):
    path.write_bytes(b"")


def folder(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (DETECTIONS, others_table),
        (DETECTIONS, nothing),
        (DETECTIONS, folder),
        (MASK, others_raster),
        (MASK, nothing),
        (SUMMARY, others_json),
        (SUMMARY, deep),
        (SUMMARY, folder),
    ],
)
def test_what_swath_did_not_write_stays_and_so_does_the_rest(
    out, scene_of_dots, package, name, make
):
    (out / name).unlink()
    make(out / name)
    before = names(out)

    with pytest.raises(InputError, match=rf"{name} would be replaced, but swath did not write it"):
        run_local(scene_of_dots, str(package), out)

    assert names(out) == before


@pytest.fixture
def scene_of_dots(make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5] = 81
    return make_scene(pixels)


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "kept.json").write_text('{"a": 1}')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "any.json").symlink_to(tmp_path / "kept.json")

    remove_outputs(tmp_path / "out", [ANY])

    assert names(tmp_path / "out") == []
    assert (tmp_path / "kept.json").exists()


def test_a_link_that_leads_nowhere_is_not_swaths(tmp_path):
    (tmp_path / "any.json").symlink_to(tmp_path / "none")

    with pytest.raises(InputError, match="did not write it"):
        remove_outputs(tmp_path, [ANY])


def test_a_package_with_a_file_of_somebody_else_stays(tmp_path):
    made = tmp_path / PACKAGE
    made.mkdir()
    for name in ("mlm.json", "model.onnx", "model.pt2"):
        (made / name).write_text("")
    shutil.copytree(made, tmp_path / "kept")
    (tmp_path / REPORT_FILE).write_text(f"<html>{GENERATOR}")

    clear_outputs(tmp_path, OF_TRAINING)
    assert names(tmp_path) == ["kept"]

    (tmp_path / "kept").rename(made)
    (made / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="package would be replaced"):
        clear_outputs(tmp_path, OF_TRAINING)


def test_pages_of_others_are_not_swaths(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<html><p>of swath</p>")

    assert not is_html_page(page)
    assert not is_html_page(tmp_path)
    assert not has_only_entries("a")(page)


def test_json_of_others_is_not_swaths(tmp_path):
    path = tmp_path / "a.json"

    for content in ([], "a", {"b": 1}):
        path.write_text(json.dumps(content))
        assert not has_json_keys("a")(path)
