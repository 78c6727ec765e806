"""Test that only `swath.raster.dataset`, which detects damage, opens rasters for reading."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("src", "lambdas", "batch_jobs", "sagemaker_jobs", "local_cloud", "infra")
ALLOWED = {
    "src/swath/raster/dataset.py": {"DatasetReader"},
    # One pixel in memory, whose file system stays registered.
    "src/swath/raster/gdal_opener.py": {"rasterio.open", "MemoryFile"},
    "src/swath/raster/reader/single_block_tiff.py": {
        "MemoryFile"
    },  # one block, in the strict environment
    "src/swath/detection/segmentation/mask_raster.py": {
        "copy"
    },  # the run's own parts, in the strict environment too
}
"""Other files that open rasters, and the functions that they call."""
_OPENERS = {"DatasetReader", "MemoryFile", "WarpedVRT", "vrt", "shutil", "copy"}


def sources():
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def openers(tree):
    """Yield rasterio's functions with which a module opens rasters, other than for writing."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rasterio")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "rasterio.open" or (called == "open" and "open" in imported):
            mode = ast.unparse(node.args[1]) if len(node.args) > 1 else "'r'"
            if mode.strip("'\"") not in {"w", "r+"}:
                yield called
        elif called in imported & _OPENERS or called.startswith("rasterio.shutil"):
            yield called


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rasters_are_opened_in_one_place(path):
    found = set(openers(ast.parse(path.read_text(encoding="utf-8"))))

    assert found <= ALLOWED.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import rasterio\nwith rasterio.open(path) as f: pass", {"rasterio.open"}),
        ("import rasterio\nrasterio.open(path, 'r')", {"rasterio.open"}),
        ("import rasterio\nrasterio.open(path, 'w', width=1)", set()),
        ("from rasterio import open\nopen(path)", {"open"}),
        ("open(path)", set()),
        ("from rasterio.io import DatasetReader\nDatasetReader(path)", {"DatasetReader"}),
    ],
)
def test_what_counts_as_opening(code, found):
    assert set(openers(ast.parse(code))) == found
