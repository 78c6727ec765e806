"""The examples of docs/python.md run, each after the ones above it, as in one notebook."""

import ast
import inspect
import json
import re
import shutil

import pytest

import swath
from local_cloud.demo.harbour import draw_harbour, write_harbour
from swath.training.options import TrainOptions
from tests.helpers.documented import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"^```python( notest)?\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def lies_within(bbox, side):
    x, y, width, height = bbox
    return x >= 0 and y >= 0 and x + width <= side and y + height <= side


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A folder with a scene, a folder of scenes with labels, and the repository's model."""
    harbour = draw_harbour(width=640, height=640)
    labels = write_harbour(harbour, tmp_path / "scenes" / "one.tif")
    # The port is drawn for a larger scene: some ships lie outside this one.
    known = json.loads(labels.read_text())
    known["annotations"] = [one for one in known["annotations"] if lies_within(one["bbox"], 640)]
    (tmp_path / "labels.json").write_text(json.dumps(known))
    labels.unlink()
    shutil.copy(tmp_path / "scenes" / "one.tif", tmp_path / "scene.tif")
    shutil.copytree(ROOT / "models" / "ships", tmp_path / "models" / "ships")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# rasterio's own `window_transform`.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_the_examples_run_in_their_order(notebook, capsys):
    names = {}

    for left_out, code in BLOCKS:
        if not left_out:
            exec(compile(code, "docs/python.md", "exec"), names)  # noqa: S102 (what the test is for)

    printed = capsys.readouterr().out
    assert "there is no scene at" in printed
    assert len(names["ships"]) > 0
    assert (notebook / "ships.parquet").is_file()
    assert (notebook / "detections" / "detections.gpkg").is_file()
    assert (notebook / "report" / "report.html").is_file()


def test_most_examples_run():
    """Check that only the training is left out: it takes too long, and has its own test."""
    assert [code for left_out, code in BLOCKS if left_out] == [BLOCKS[-1][1]]
    assert len(BLOCKS) > 7


def test_the_training_names_what_is_there():
    call = next(
        node
        for node in ast.walk(ast.parse(BLOCKS[-1][1]))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "swath.train"
    )
    options = ast.literal_eval(next(k.value for k in call.keywords if k.arg == "options"))
    positional = [None] * len(call.args)

    inspect.signature(swath.train).bind(*positional, **{k.arg: None for k in call.keywords})
    TrainOptions.from_values(options)
