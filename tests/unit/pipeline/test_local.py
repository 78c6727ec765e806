import errno
import json
import os
from datetime import UTC, datetime

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio

import swath
from swath import storage
from swath.errors import (
    InputError,
    PackageError,
    RunIncompleteError,
    SceneChangedError,
    SceneError,
    SwathError,
)
from swath.messages import RunOptions
from swath.pipeline import local
from swath.pipeline.local import run_local
from swath.storage.output_folder import VECTOR_FILES


@pytest.fixture
def scene(make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5], pixels[0, 50, 90] = 81, 64
    return make_scene(pixels)


@pytest.fixture
def damaged(make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5] = -1
    return make_scene(pixels)


def test_a_run_leaves_its_files_and_nothing_else(scene, package, tmp_path):
    out = tmp_path / "out"

    report = run_local(scene, str(package), out)

    rows = pq.read_table(out / "detections.parquet").to_pylist()
    assert [(row["x_min"], row["y_min"]) for row in rows] == [(5, 5), (90, 50)]
    assert [row["score"] for row in rows] == pytest.approx([0.9, 0.8])
    assert sorted(path.name for path in out.iterdir()) == ["detections.parquet", "summary.json"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == report.to_json()
    assert summary["status"] == "succeeded"
    assert summary["tiles"] == {"planned": 40, "succeeded": 40, "failed": 0, "skipped": 0}
    assert summary["detections"] == 2
    assert list(summary["seconds"]) == ["plan", "infer", "merge"]


EVERY = [*VECTOR_FILES.values()]
RUN_FILES = ["detections.parquet", "summary.json"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_writes_further_formats_and_the_next_removes_them(scene, package, tmp_path):
    out = tmp_path / "out"

    report = run_local(scene, str(package), out, formats=[*VECTOR_FILES])

    assert names(out) == sorted([*RUN_FILES, *EVERY])
    for name in EVERY:
        assert pyogrio.read_info(out / name)["features"] == report.detections == 2
    assert list(report.seconds) == ["plan", "infer", "merge", "formats"]

    # SQLite leaves this file if another program has the database open.
    (out / "detections.gpkg-wal").write_bytes(b"")
    run_local(scene, str(package), out)
    assert names(out) == RUN_FILES


@pytest.mark.parametrize("form", [*VECTOR_FILES])
def test_a_file_of_the_user_s_own_is_never_replaced(scene, package, tmp_path, form):
    own = tmp_path / "out" / VECTOR_FILES[form]
    own.parent.mkdir()
    own.write_text("mine")

    run_local(scene, str(package), own.parent)

    with pytest.raises(InputError, match=rf"{own.name} would be replaced, but swath did not"):
        run_local(scene, str(package), own.parent, formats=[form])
    assert own.read_text() == "mine"
    assert names(own.parent) == sorted([*RUN_FILES, own.name])


def test_a_format_that_cannot_be_written_leaves_the_parquet(scene, package, tmp_path, monkeypatch):
    def full(source, target, form):
        target.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("swath.detection.vector_formats.write_vector", full)

    with pytest.raises(OSError, match="No space left"):
        run_local(scene, str(package), tmp_path / "out", formats=["fgb"])

    assert names(tmp_path / "out") == RUN_FILES
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "failed"


def test_a_format_is_refused_at_once_without_the_library_for_it(package, tmp_path, monkeypatch):
    monkeypatch.setattr("swath.errors.extras.find_spec", lambda _: None)

    with pytest.raises(ModuleNotFoundError, match="pyogrio"):
        run_local("absent.tif", str(package), tmp_path / "out", formats=["gpkg"])


def test_the_same_again_has_the_same_name_and_result(scene, package, tmp_path):
    first, again = (run_local(scene, str(package), tmp_path / name) for name in "ab")

    assert first.run_id == again.run_id
    files = [(tmp_path / name / "detections.parquet").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_progress_is_told(scene, package, tmp_path):
    told = []

    run_local(scene, str(package), tmp_path / "out", progress=lambda *args: told.append(args))

    assert {total for _, total in told} == {40}
    done = [tiles for tiles, _ in told]
    # Progress covers each shard, and the batches of 32 tiles in the first one.
    assert done == sorted(set(done))
    assert {0, 32, 40} < {*done}


def test_relative_paths(scene, package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    report = run_local("scene.tif", package.name, tmp_path / "out")

    assert report.scene == scene


def test_a_run_that_fails_by_an_error_of_no_kind_says_so_too(scene, package, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local, "merge_run", fail)

    with pytest.raises(OSError, match="No space left"):
        run_local(scene, str(package), tmp_path / "out")

    (summary,) = (tmp_path / "out").iterdir()
    said = json.loads(summary.read_text())
    assert said["status"] == "failed"
    assert said["error"] == "OSError"
    assert said["cause"] == "OSError: [Errno 28] No space left on device"


def test_a_failed_run_says_so(damaged, package, tmp_path):
    out = tmp_path / "out"

    with pytest.raises(RunIncompleteError, match="1 of 40 tiles failed"):
        run_local(damaged, str(package), out)

    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "the model returned NaN" in summary["cause"]
    assert not (out / "detections.parquet").exists()


def test_failures_may_be_tolerated(damaged, package, tmp_path):
    report = run_local(
        damaged, str(package), tmp_path / "out", options=RunOptions(tolerated_failures=0.1)
    )

    assert (report.status, report.tiles.failed, report.tiles.succeeded) == ("succeeded", 1, 39)


def test_a_scene_that_is_not_there(package, tmp_path):
    with pytest.raises(SceneError, match=r"no scene at .*absent\.tif"):
        run_local(str(tmp_path / "absent.tif"), str(package), tmp_path / "out")


def test_a_package_that_is_not_there(scene, tmp_path):
    with pytest.raises(PackageError, match="absent"):
        run_local(scene, str(tmp_path / "absent"), tmp_path / "out")


@pytest.mark.enable_socket
def test_everything_on_s3(scene, package, http_bucket, tmp_path):
    local.storage.copy(scene, f"{http_bucket}/scene.tif")

    report = run_local(f"{http_bucket}/scene.tif", str(package), tmp_path / "out")

    assert (report.scene, report.detections) == (f"{http_bucket}/scene.tif", 2)
    assert storage.exists(str(tmp_path / "out" / "detections.parquet"))


def test_a_database_is_loaded_too(scene, package, tmp_path, dsn, connection):
    report = run_local(scene, str(package), tmp_path / "out", database=dsn)

    rows = connection.execute(
        "SELECT class, score::float8, ST_IsValid(geom) FROM swath.detections ORDER BY id"
    ).fetchall()
    assert rows == [("dot", pytest.approx(0.9), True), ("dot", pytest.approx(0.8), True)]
    (run,) = connection.execute("SELECT run_id::text, status, backend FROM swath.runs").fetchall()
    assert run == (report.run_id, "succeeded", "local")
    assert "load" in report.seconds


def test_a_database_that_cannot_be_used_is_refused_before_the_inference(scene, package, tmp_path):
    seen = []
    with pytest.raises(SwathError, match="no connection to"):
        run_local(
            scene,
            str(package),
            tmp_path,
            database="host=127.0.0.1 port=1 user=x dbname=x",
            progress=lambda *done: seen.append(done),
        )

    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"
    assert not seen


def test_a_run_that_fails_to_load_leaves_its_detections(scene, package, tmp_path, server, dsn):
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]

    def close(done, of):
        with psycopg.connect(server, autocommit=True) as administrator:
            administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")

    with pytest.raises(SwathError, match="no connection to"):
        run_local(scene, str(package), tmp_path, database=dsn, progress=close)

    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"
    assert pq.read_table(tmp_path / "detections.parquet").num_rows == 2


def test_a_failed_run_leaves_nothing_of_an_earlier_one(damaged, package, tmp_path):
    out = tmp_path / "out"
    run_local(damaged, str(package), out, options=RunOptions(tolerated_failures=1))

    with pytest.raises(RunIncompleteError):
        run_local(damaged, str(package), out)

    assert [path.name for path in out.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("reason", ["scene", "package"])
def test_a_refused_run_leaves_nothing_of_an_earlier_one(scene, package, tmp_path, reason):
    out = tmp_path / "out"
    run_local(scene, str(package), out)
    given = {"scene": scene, "package": str(package), reason: str(tmp_path / "none")}

    with pytest.raises((SceneError, PackageError)):
        run_local(given["scene"], given["package"], out)

    assert list(out.iterdir()) == []


def test_the_files_of_an_earlier_run_are_gone_while_one_is_under_way(scene, package, tmp_path):
    out, seen = tmp_path / "out", []
    run_local(scene, str(package), out)

    run_local(scene, str(package), out, progress=lambda *_: seen.append([*out.glob("[!.]*")]))

    assert len(seen) > 1
    assert not any(seen)


def test_a_scene_that_is_replaced_before_its_rows_are_loaded_is_said(
    scene, package, tmp_path, dsn, connection
):
    def replace(done, of):
        if done == of:
            os.utime(scene, (0, 0))

    with pytest.raises(SceneChangedError, match="was replaced while its run was in progress"):
        run_local(scene, str(package), tmp_path / "out", database=dsn, progress=replace)
    assert connection.execute("SELECT count(*) FROM swath.runs").fetchone() == (0,)


def test_a_run_whose_rows_were_not_loaded_says_so(scene, package, tmp_path, dsn, connection):
    run_local(scene, str(package), tmp_path / "out", database=dsn)
    connection.execute(
        "UPDATE swath.runs SET run_id = gen_random_uuid(),"
        " scene_dropped_at = now() + interval '1 day'"
    )
    connection.commit()
    report = run_local(scene, str(package), tmp_path / "out", database=dsn)
    assert [w for w in report.warnings if "the detections of this run were not loaded" in w]


def test_a_given_time_of_acquisition_is_in_all_results(scene, package, tmp_path):
    given = "2026-05-31T12:00:00+02:00"
    plain = run_local(scene, str(package), tmp_path / "plain")
    report = run_local(scene, str(package), tmp_path / "out", acquired_at=given)

    assert plain.acquisition.acquired_at is None
    assert report.run_id == plain.run_id
    assert report.acquisition.acquired_at == "2026-05-31T10:00:00Z"
    assert report.acquisition.gsd == plain.acquisition.gsd == pytest.approx(10, rel=2e-3)
    said = storage.read_json(str(tmp_path / "out" / "summary.json"))
    assert said["acquisition"] == report.acquisition.to_json()
    assert said["valid_area_m2"] == report.valid_area_m2 > 0
    assert said["version"] == swath.__version__
    times = pq.read_table(tmp_path / "out" / "detections.parquet")["acquired_at"].unique()
    assert times.to_pylist() == [datetime(2026, 5, 31, 10, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2026-05-31", "noon", "2999-01-01T00:00:00Z"])
def test_a_time_of_acquisition_that_cannot_be_used_is_refused(scene, package, tmp_path, text):
    with pytest.raises(InputError, match=f"the time of acquisition '{text}' "):
        run_local(scene, str(package), tmp_path / "out", acquired_at=text)
    assert not (tmp_path / "out").exists()


def test_a_time_in_the_header_that_cannot_be_used_is_a_warning(make_scene, package, tmp_path):
    scene = make_scene(np.ones((1, 20, 20), np.uint8))
    with rasterio.open(scene, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="0000:00:00 00:00:00")

    report = run_local(scene, str(package), tmp_path / "out")

    assert report.acquisition.acquired_at is None
    assert "states '0000:00:00 00:00:00' in TIFFTAG_DATETIME" in report.warnings[0]
    assert list(swath.detect(scene, package).warnings) == list(report.warnings)
