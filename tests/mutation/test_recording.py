"""Tests of the record of which tests reached which lines, also after a change of either."""

import json
import shutil
from pathlib import Path

import coverage
import pytest

from mutation import coverage_map
from mutation.coverage_map import CoverageMap
from mutation.mutants import list_mutants
from mutation.recording import Recording
from mutation.targets import Target

MODULE = "src/small.py"
SOURCE = "A = 1\n\n\ndef one():\n    return A + 1\n\n\ndef two():\n    return A + 2\n"
TESTS = "from small import one, two\n\n\ndef test_one():\n    assert one() == 2\n"
ONE, TWO = "tests/test_small.py::test_one", "tests/test_small.py::test_two"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "tree"
    for name, content in {
        MODULE: SOURCE,
        "tests/test_small.py": TESTS,
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["src"]\n'
        'addopts = ["--import-mode=importlib"]\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    shutil.copytree(Path(coverage_map.__file__).parent, root / "mutation")
    return root


@pytest.fixture
def recording(root, tmp_path):
    """A recording in which test_one ran line 5 and test_two line 9."""
    folder = tmp_path / "recording"
    (folder / "sources" / "src").mkdir(parents=True)
    (folder / "sources" / MODULE).write_text(SOURCE)
    (folder / "root").write_text(str(root))
    (folder / "durations.json").write_text(json.dumps({ONE: 0.5, TWO: 0.25, "x": float("nan")}))
    data = coverage.CoverageData(basename=str(folder / "coverage.db"))
    for test, line in ((f"{ONE}|run", 5), (f"{TWO}|run", 9)):
        data.set_context(test)
        data.add_lines({str(root / MODULE): [line]})
    data.write()
    data.close()
    return Recording(folder)


def test_tests_are_known_by_the_lines_that_they_reached(recording, root):
    assert recording.contexts(root, MODULE, (4, 5)) == {f"{ONE}|run"}
    assert recording.contexts(root, MODULE, (6, 8)) == set()
    assert recording.contexts(root, MODULE) == {f"{ONE}|run", f"{TWO}|run"}
    assert recording.durations == {ONE: 0.5, TWO: 0.25}


def test_lines_that_moved_are_found_again(recording, root):
    (root / MODULE).write_text("# A remark.\n\n" + SOURCE)

    assert recording.contexts(root, MODULE, (11, 11)) == {f"{TWO}|run"}


def test_lines_that_changed_are_reached_by_who_reached_what_stood_there(recording, root):
    (root / MODULE).write_text(
        SOURCE.replace("    return A + 2\n", "    a = A\n    return a + 2\n")
    )

    assert recording.contexts(root, MODULE, (9, 9)) == {f"{TWO}|run"}
    assert recording.contexts(root, MODULE, (10, 10)) == {f"{TWO}|run"}


def test_only_test_files_that_changed_are_recorded_again(root, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_map, "TESTS", ("tests",))
    monkeypatch.setattr(coverage_map, "list_targets", lambda _: [Target(MODULE)])
    recordings = tmp_path / "recordings"
    made, make = [], Recording.make
    monkeypatch.setattr(Recording, "make", lambda *args: (made.append(args[-1]), make(*args))[1])

    def covering(after):
        known = CoverageMap(root, recordings)
        known.update()
        (mutant,) = [m for m in list_mutants(root, MODULE) if m.after == after]
        return list(known.covering_tests(mutant, Target(MODULE)))

    assert covering("return A - 1") == [ONE]
    assert covering("return A - 2") == []
    assert covering("A = 2") == [ONE]
    more = TESTS + "\n\ndef test_two():\n    assert two() == 3\n"
    (root / "tests" / "test_small.py").write_text(more)
    (root / "tests" / "test_other.py").write_text("def test_nothing():\n    assert True\n")

    assert covering("return A - 2") == [TWO]
    assert sorted(covering("A = 2")) == [ONE, TWO]
    assert made == [["tests/test_small.py"], ["tests/test_other.py", "tests/test_small.py"]]
