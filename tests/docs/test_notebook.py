"""The notebook runs from its first cell to its last, and the repository has it without outputs."""

import base64
import io
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "detect.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The notebook after it ran in a kernel of its own, which writes below a temporary folder."""
    home = tmp_path_factory.mktemp("jupyter")
    private = {name: str(home) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "TMPDIR")}
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**private, "JUPYTER_RUNTIME_DIR": str(home / "runtime")}.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", paths)
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        )
        client.execute()
    return notebook


def results(notebook):
    """Return the output of each cell with a value, by the last line of its code."""
    return {
        cell.source.splitlines()[-1]: output.data
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    }


def test_the_repository_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)

    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.timeout(300)
def test_the_notebook_shows_the_ships(ran):
    html = results(ran)["ships"]["text/html"]
    data = html.split("data:image/jpeg;base64,")[1].split('"')[0]

    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (640, 480)
    assert re.search(r'<img [^>]*alt="[^"]*\d+ [^"]*ship', html)
    assert len(html) < 200_000


@pytest.mark.timeout(300)
def test_the_notebook_tells_the_same_in_each_form(ran):
    shown = {line: data["text/plain"] for line, data in results(ran).items()}
    in_memory = int(re.search(r"\d+", shown["ships"]).group())

    assert in_memory > 20
    assert shown["len(parquet), len(features)"] == f"({in_memory}, {in_memory})"
    assert shown["report.status, report.detections"] == f"('succeeded', {in_memory})"
    assert "there is no scene at" in shown['problem.replace(str(work), "…")']


@pytest.mark.timeout(300)
def test_no_cell_writes_to_standard_error(ran):
    streams = [
        output.text
        for cell in ran.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream"
    ]

    assert streams == []
