"""Tests of `swath plan`: what it prints in 80 columns, its JSON, and its refusals."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_INPUT, app
from swath.cli.quantities import (
    format_bytes,
    format_dollar_range,
    format_dollars,
    format_seconds,
    format_seconds_range,
)
from swath.models.package import describe_package
from swath.pipeline.forecast.contents import Forecast
from swath.pipeline.forecast.estimates import Range


@pytest.fixture
def plan(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(app, ["plan", *map(str, arguments)])


@pytest.fixture
def scene(make_scene, package):
    count = len(describe_package(package).description.bands)
    pixels = np.ones((count, 60, 100), "int16")
    pixels[:, :, 50:] = 0
    return make_scene(pixels, nodata=0, tiled=True, blockxsize=16, blockysize=16)


def test_it_says_what_would_happen(plan, scene, package):
    result = plan(scene, "--model", package)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(result.stdout.split())
    assert "100 x 60 px, EPSG:32633" in text
    assert "40 tiles of" in text
    assert "without a valid pixel are skipped" in text
    assert "requests to S3" in text
    assert "backend lambda" in text
    assert "not measured on this machine yet; add --calibrate" in text
    assert "table of 2026-11-28" in text


def test_a_calibration_gives_seconds_and_dollars(plan, scene, package):
    result = plan(scene, "--model", package, "--calibrate")

    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "s to start, measured on" in " ".join(result.stdout.split())
    row = next(line for line in result.stdout.splitlines() if line.startswith("batch"))
    assert " to " in row
    assert "$" in row
    assert "not measured" not in plan(scene, "--model", package).stdout


def test_json_is_the_forecast(plan, scene, package):
    result = plan(scene, "--model", package, "--json")

    forecast = Forecast.from_json(json.loads(result.stdout))
    assert forecast.scene.uri == str(scene)
    assert (forecast.tiles, forecast.backend) == (40, "lambda")
    assert forecast.skipped > 0
    assert forecast.calibration is None


def test_a_backend_can_be_chosen(plan, scene, package):
    result = plan(scene, "--model", package, "--json", "--backend", "batch")

    assert json.loads(result.stdout)["backend"] == "batch"


def test_warnings_of_the_run_go_to_standard_error(plan, make_scene, package):
    count = len(describe_package(package).description.bands)
    units = [("kelvin", 0.01, 0.0)] * count
    scene = make_scene(np.ones((count, 60, 100), "int16"), units=units)

    result = plan(scene, "--model", package)

    assert "warning: " in result.stderr
    assert "states a unit" in result.stderr


def test_what_the_run_refuses_is_refused(plan, scene, package, tmp_path):
    missing = plan(tmp_path / "x.tif", "--model", package)
    unknown = plan(scene, "--model", tmp_path / "no-package")
    backend = plan(scene, "--model", package, "--backend", "sagemaker-async")

    assert {missing.exit_code, unknown.exit_code, backend.exit_code} == {EXIT_INPUT}
    assert "there is no scene at" in missing.stderr
    assert "no-package" in unknown.stderr
    assert "'sagemaker-async' has no endpoint in this stack" in backend.stderr
    assert {r.stdout for r in (missing, unknown, backend)} == {""}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_949, "1 MB"),
        (12_345_678, "12.3 MB"),
        (5.5e9, "5.5 GB"),
        (2e12, "2 TB"),
        (5e16, "50,000 TB"),
    ],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (125, "2 min 5 s"),
        (1234, "21 min"),
        (3599.8, "1 h"),
        (5400, "1 h 30 min"),
        (200_000, "2.3 days"),
    ],
)
def test_times(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "$0"),
        (0.00001, "below $0.0001"),
        (0.000123, "$0.00012"),
        (0.0234, "$0.023"),
        (12.3456, "$12.35"),
        (12345, "$12,345.00"),
    ],
)
def test_dollars(dollars, text):
    assert format_dollars(dollars) == text


def test_ranges():
    assert format_seconds_range(None) == format_dollar_range(None) == "?"
    assert format_seconds_range(Range(5.0, 5.0)) == "5.0 s"
    assert format_dollar_range(Range(0.01, 2.0)) == "$0.01 to $2.00"
