"""The wheel holds all of the package, and works outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers.labeled import dots

ROOT = Path(__file__).resolve().parents[1]
FIVE_LINES = """
import sys, swath
found = swath.detect(sys.argv[1], sys.argv[2])
frame = found.to_geodataframe()
print(swath.__file__)
print(len(frame), frame.crs)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, made by the build backend of pyproject.toml without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    (path,) = folder.glob("swath-*.whl")
    return path


def test_the_wheel_has_each_file_of_the_package(wheel):
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "swath").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert "swath/py.typed" in packed


def test_the_package_in_the_wheel_detects(wheel, package, make_scene, tmp_path):
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)

    ran = subprocess.run(
        [sys.executable, "-c", FIVE_LINES, make_scene(dots([(5, 5), (40, 40)])), str(package)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )

    home, frame = ran.stdout.splitlines()
    assert Path(home).is_relative_to(unpacked)
    assert frame == "2 EPSG:4326"
