"""A delivery on this machine: `run_local` reads it as a run on AWS does."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from swath.pipeline.local import run_local
from tests.helpers import deliveries

MODEL = str(Path(__file__).resolve().parents[3] / "small_models/ships")


def band(path, gsd, driver="JP2OpenJPEG"):
    size = 3000 // gsd
    noise = np.random.default_rng(gsd).integers(500, 2000, (1, size, size), "uint16")
    options = {"QUALITY": 100, "REVERSIBLE": True} if driver == "JP2OpenJPEG" else {}
    transform = Affine(gsd, 0, 500_000, 0, -gsd, 5_000_000)
    with rasterio.open(
        path, "w", driver=driver, width=size, height=size, count=1, dtype="uint16",
        crs="EPSG:32633", transform=transform, **options,
    ) as target:  # fmt: skip
        target.write(noise)
    return path.read_bytes()


@pytest.mark.parametrize("address", ["", "manifest.safe"])
def test_a_safe_folder(tmp_path, address):
    pixels = {name: band(tmp_path / f"{name}.jp2", 10) for name in ("B02", "B03", "B04", "B08")}
    pixels["B11"] = band(tmp_path / "B11.jp2", 20)
    folder = deliveries.write(deliveries.safe(pixels), tmp_path / "x.SAFE")

    report = run_local(str(folder / address), MODEL, tmp_path / "out")

    assert report.tiles.succeeded == report.tiles.planned > 0
    summary = (tmp_path / "out/summary.json").read_text()
    assert "2024-05-31T10:22:03.5" in summary


def test_a_landsat_bundle(tmp_path):
    pixels = {number: band(tmp_path / number, 30, "GTiff") for number in "23456"}
    files = deliveries.landsat(pixels, {5: "B08", 6: "B11"})
    folder = deliveries.write(files, tmp_path / "bundle")

    report = run_local(str(folder / f"{deliveries.LANDSAT_ID}_MTL.txt"), MODEL, tmp_path / "out")

    assert report.tiles.succeeded == report.tiles.planned > 0


def test_a_folder_of_files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("B02", "B03", "B04", "B08", "B11"):
        band(folder / f"{name}.tif", 10, "GTiff")

    report = run_local(str(folder), MODEL, tmp_path / "out")

    assert report.tiles.succeeded == report.tiles.planned > 0


def test_a_folder_of_one_file_with_all_bands(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", width=300, height=300, count=5, dtype="uint16",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as target:  # fmt: skip
        target.write(np.full((5, 300, 300), 700, "uint16"))

    report = run_local(str(folder), MODEL, tmp_path / "out")

    assert report.tiles.succeeded == report.tiles.planned > 0
