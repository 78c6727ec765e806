"""Tests of the output folder: it holds the files of one run, even if the writing process dies."""

import subprocess
import sys
from pathlib import Path

import pytest

from swath.storage.output_folder import DETECTIONS, MASK, SUMMARY, move_outputs, work_folder

HOLD = """
import sys
from pathlib import Path
from swath.storage.output_folder import work_folder
with work_folder(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    print(work, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Yield another process that uses a work folder. It ends when its standard input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.work = Path(process.stdout.readline().strip())
        yield process


def put(out, **contents):
    """Write files in a work folder and move them into the output folder."""
    with work_folder(out) as work:
        files = {}
        for name, content in contents.items():
            files[name] = work / f"new-{name}"
            files[name].write_text(content)
        move_outputs(out, files)


def contents(out):
    return {path.name: path.read_text() for path in out.iterdir()}


def test_the_folder_is_made_and_nothing_is_left_beside_the_files(tmp_path):
    put(tmp_path / "a" / "b", **{SUMMARY: "1", DETECTIONS: "2"})

    assert contents(tmp_path / "a" / "b") == {SUMMARY: "1", DETECTIONS: "2"}


def test_no_file_of_an_earlier_run_stays(tmp_path):
    put(tmp_path, **{SUMMARY: "1", DETECTIONS: "2", MASK: "3"})
    put(tmp_path, **{SUMMARY: "4"})

    assert contents(tmp_path) == {SUMMARY: "4"}


def test_the_files_of_others_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    put(tmp_path, **{SUMMARY: "1"})

    assert contents(tmp_path) == {SUMMARY: "1", "notes.txt": "mine"}


def test_the_summary_comes_last(tmp_path, monkeypatch):
    put(tmp_path, **{SUMMARY: "old", DETECTIONS: "old"})
    with work_folder(tmp_path) as work:
        (work / SUMMARY).write_text("new")
        with pytest.raises(FileNotFoundError):
            move_outputs(tmp_path, {SUMMARY: work / SUMMARY, DETECTIONS: work / "absent"})

    assert contents(tmp_path) == {}


def test_a_killed_process_s_work_folder_is_removed_by_the_next_run(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert holder.work.exists()

    put(tmp_path, **{SUMMARY: "1"})

    assert contents(tmp_path) == {SUMMARY: "1"}


def test_a_running_process_s_work_folder_stays(tmp_path, holder):
    put(tmp_path, **{SUMMARY: "1"})

    assert [path.name for path in holder.work.iterdir()] == ["half"]
