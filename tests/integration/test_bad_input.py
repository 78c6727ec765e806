"""Every bad object ends in a failed run with a recorded cause and a notification."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from swath.messages import Backend, ModelRef
from swath.models.packing import pack
from tests.integration.pipeline import Pipeline, eventually, messages
from tests.integration.test_pipeline import SHIPS, write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.tif", ["cannot be opened as GeoTIFF"]),
        ("empty.tif", ["empty"]),
        ("three-bands.tif", ["3", "B11"]),
        ("no-crs.tif", ["coordinate reference system"]),
    ],
)
def test_a_bad_scene_fails_with_its_cause(
    pipeline: Pipeline, failure_queue: str, tmp_path: Path, name: str, words: list[str]
):
    scene = tmp_path / name
    match name:
        case "text.tif":
            scene.write_text("These are the voyages of no raster at all.\n" * 50)
        case "empty.tif":
            scene.write_bytes(b"")
        case "three-bands.tif":
            write_scene(scene, count=3)
        case "no-crs.tif":
            write_scene(scene, crs=None)

    run = pipeline.wait(pipeline.drop(scene, f"incoming/{name}"))
    message = eventually(lambda: messages(pipeline, failure_queue, name), f"word of {name}")

    assert run.status == "failed"
    assert name in run.cause
    for word in words:
        assert word in run.cause
        assert word in message
    assert pipeline.detections(run.scene_uri) == []


def test_every_corrupt_file_ends_in_a_recorded_run(pipeline: Pipeline, data: Path):
    files = [path for path in (data / "corrupt").iterdir() if path.suffix != ".tsv"]
    uris = {path.name: pipeline.drop(path, f"incoming/{path.name}") for path in files}

    runs = {name: pipeline.wait(uri, seconds=600) for name, uri in uris.items()}

    assert len(runs) == 62
    for name, run in runs.items():
        assert run.status == "failed", name
        assert name in run.cause, (name, run.cause)


@pytest.mark.parametrize("backend", ["lambda", "batch", "sagemaker-realtime", "sagemaker-async"])
def test_weights_that_cannot_be_loaded_are_named_though_a_child_met_them(
    pipeline: Pipeline, tmp_path: Path, backend: Backend
):
    model = broken_model(pipeline, tmp_path)
    scene = write_scene(tmp_path / "scene.tif", seed=5)
    uri = pipeline.drop(scene, f"elsewhere/broken-model-on-{backend}.tif")

    pipeline.start(pipeline.request(uri, backend, model))
    run = pipeline.wait(uri)

    assert (run.status, run.error) == ("failed", "RunIncompleteError")
    assert "PackageError" in run.cause
    assert "model.onnx" in run.cause


def broken_model(pipeline: Pipeline, folder: Path) -> ModelRef:
    """The demo's model with weights that are none; no checksum gives them away."""
    package = folder / "broken"
    shutil.copytree(SHIPS, package)
    (package / "model.onnx").write_bytes(b"no weights at all")
    description = json.loads((package / "mlm.json").read_text())
    for asset in description["assets"].values():
        asset.pop("file:checksum", None)
    (package / "mlm.json").write_text(json.dumps(description))
    digest = pack(package, folder / "broken.tar.gz")
    uri = pipeline.drop(folder / "broken.tar.gz", "elsewhere/broken.tar.gz")
    return ModelRef(name="broken", uri=uri, digest=digest)
