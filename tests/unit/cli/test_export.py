"""Tests of `swath export`: options, messages and exit codes."""

import pyogrio
import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_INPUT, app
from tests.unit.exports.test_export import write_run
from tests.unit.exports.test_selection import RUN


@pytest.fixture
def export(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("SWATH_DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run/detections.parquet", 80)
    return tmp_path / "run"


def test_the_rows_and_classes_are_printed(export, run, tmp_path):
    target = tmp_path / "ships.gpkg"
    result = export(
        run, "--out-file", target, "--class", "ship", "--min-score", "0.5", "--run", RUN
    )
    assert result.exit_code == 0, result.stderr
    count = pyogrio.read_info(target)["features"]
    assert 0 < count < 80
    assert result.stdout == f"{count} detections ({count} ship): {target}\n"


def test_times_without_a_zone_are_utc(export, run, tmp_path):
    counts = []
    for start in ("2026-05-31T12:00", "2026-05-31T12:00:00Z", "2026-05-31T14:00:00+02:00"):
        result = export(run, "--out-file", tmp_path / "o.csv", "--start", start, "--replace")
        assert result.exit_code == 0, result.stderr
        counts.append(result.stdout)
    assert len({*counts}) == 1
    assert not counts[0].startswith(("0 ", "80 "))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "there is nothing to export"),
        (["RUN", "--bbox", "1,2,3"], "is not four numbers"),
        (["RUN", "--bbox", "1,95,3,96"], "needs latitudes from -90 to 90"),
        (["RUN", "--run", "x"], "'x' is no run's id"),
        (["RUN", "--start", "yesterday"], "'yesterday' is no time in ISO 8601"),
        (["RUN", "--min-score", "2"], "--min-score"),
        (["RUN", "--format", "shp"], "'shp' is not one of"),
        (["RUN", "--area", "absent.geojson"], "absent.geojson"),
        (["RUN", "--class", "ship", "--out-file", "other.txt"], "states no format"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(export, run, tmp_path, options, message):
    words = [str(run) if word == "RUN" else word for word in options]
    result = export("--out-file", tmp_path / "o.csv", *words)
    assert result.exit_code == EXIT_INPUT
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "o.csv").exists()


def test_coco_cannot_come_from_the_database(export, tmp_path):
    result = export("--database", "postgresql://nowhere/x", "--out-file", tmp_path / "o.json")
    assert result.exit_code == EXIT_INPUT
    assert "COCO has boxes in px" in result.stderr
