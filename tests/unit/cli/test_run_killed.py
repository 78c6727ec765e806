"""Tests of a killed `swath run --database`: it leaves the old or the new rows, and whole files."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest

from swath.storage.output_folder import DETECTIONS, SUMMARY
from tests.helpers.fuzzing import draws

SEED = 20261128


class Runs:
    """One scene that changes, its output folder and its database rows."""

    def __init__(self, make_scene, package, out, dsn):
        self.make_scene, self.out, self.dsn = make_scene, out, dsn
        self.package = package
        self.dots = 700
        self.environment = {**os.environ, "SWATH_DATABASE_URL": dsn}

    def change(self):
        """Replace the scene with one that has another number of bright pixels."""
        self.dots += 1
        pixels = np.zeros((1, 300, 400), np.int16)
        rows, cols = np.divmod(np.arange(self.dots), 40)
        pixels[0, 5 + 8 * rows, 5 + 8 * cols] = 81
        self.scene = self.make_scene(pixels)

    def start(self):
        """Start `swath run` as a process."""
        command = [Path(sys.executable).with_name("swath"), "run", self.scene]
        options = ["--model", str(self.package), "--out", str(self.out)]
        return subprocess.Popen(
            [*command, *options],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self):
        """Run `swath run` to its end and measure its duration."""
        started = time.perf_counter()
        with self.start() as process:
            _, said = process.communicate()
        self.seconds = time.perf_counter() - started
        assert process.returncode == 0, said

    def kill_after(self, seconds):
        """Start `swath run` and kill it after `seconds`, unless it has ended before."""
        with self.start() as process:
            try:
                process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()

    def rows(self):
        """Return the number of rows of each run, after every transaction has ended."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("LOCK TABLE swath.detections, swath.runs IN ACCESS EXCLUSIVE MODE")
            return connection.execute(
                "SELECT count(*), runs.status, runs.detections FROM swath.detections"
                " JOIN swath.runs USING (run_id) GROUP BY runs.run_id"
            ).fetchall()

    def check_files(self):
        """Check that the summary counts the file's detections, and that each file is complete."""
        found = (self.out / DETECTIONS).exists() and pq.read_table(self.out / DETECTIONS).num_rows
        if (self.out / SUMMARY).exists():
            assert found == json.loads((self.out / SUMMARY).read_text())["detections"]


@pytest.fixture
def runs(make_scene, package, tmp_path, dsn):
    """Return a scene whose first version is loaded."""
    runs = Runs(make_scene, package, tmp_path / "out", dsn)
    runs.change()
    runs.finish()
    return runs


@pytest.mark.fuzz
def test_any_moment(runs, record_property):
    """Check kills at random moments of a run, most of them near its end."""
    moments = random.Random(SEED)
    outcomes = {"old": 0, "new": 0}
    old = runs.dots
    for _ in range(draws(3, fuzz=50)):
        runs.change()

        runs.kill_after(moments.triangular(0, 1.1, 1) * runs.seconds)

        ((count, status, claimed),) = runs.rows()
        assert (status, claimed) == ("succeeded", count)
        assert count in (old, runs.dots)
        outcomes["old" if count == old else "new"] += 1
        runs.check_files()
        old = count
    runs.finish()
    assert runs.rows() == [(runs.dots, "succeeded", runs.dots)]
    assert sorted(path.name for path in runs.out.iterdir()) == [DETECTIONS, SUMMARY]
    record_property("rows", outcomes)


def test_within_the_transaction(runs):
    old = runs.dots
    runs.change()
    with psycopg.connect(runs.dsn) as blocker:
        blocker.execute("LOCK TABLE swath.detections IN SHARE MODE")
        with psycopg.connect(runs.dsn, autocommit=True) as watcher, runs.start() as process:
            while (
                process.poll() is None
                and not watcher.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall()
            ):
                pass
            process.kill()

    assert process.returncode == -9
    assert runs.rows() == [(old, "succeeded", old)]
    runs.finish()
    assert runs.rows() == [(runs.dots, "succeeded", runs.dots)]
