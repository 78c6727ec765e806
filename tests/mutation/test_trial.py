"""One mutant against real tests, in a small repository of its own."""

import subprocess

import pytest

from mutation.mutants import list_mutants
from mutation.trial import RepositoryCopy

FILES = {
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n'
    'pythonpath = ["src"]\n',
    "tests/conftest.py": "",
    "src/grading.py": "def passes(mark):\n    return mark >= 50 and fine(mark)\n\n\n"
    "def fine(mark):\n    while mark > 100:\n        mark -= 1\n    return True\n",
    "tests/test_grading.py": "from grading import fine, passes\n\n\n"
    "def test_much():\n    assert passes(80)\n\n\n"
    "def test_little():\n    assert not passes(20)\n\n\n"
    "def test_too_much():\n    assert fine(102)\n",
}
MODULE = "src/grading.py"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    tree = RepositoryCopy(root, tmp_path / "copy")
    tree.refresh()
    monkeypatch.chdir(tree.folder)
    return tree


def mutant_of(tree, after):
    (mutant,) = [m for m in list_mutants(tree.root, MODULE) if m.after == after]
    return mutant


def try_mutant(tree, after, *names, seconds=0.1):
    durations = {f"tests/test_grading.py::{name}": seconds for name in names}
    with tree.mutated(mutant_of(tree, after)):
        return tree.test(durations)


def test_a_mutant_is_killed_by_the_first_test_that_fails(tree):
    outcome = try_mutant(tree, "return fine(mark)", "test_much", "test_little")

    assert (outcome.status, outcome.passed) == ("killed", 1)
    assert outcome.by == "tests/test_grading.py::test_little"
    assert "assert not True" in outcome.message


def test_a_mutant_that_no_test_notices_survives(tree):
    outcome = try_mutant(tree, "return mark > 50 and fine(mark)", "test_much", "test_little")

    assert (outcome.status, outcome.passed, outcome.by) == ("survived", 2, "")


def test_a_mutant_that_hangs_is_stopped(tree, monkeypatch):
    monkeypatch.setattr("mutation.plugin._MIN_TIMEOUT_SECONDS", 0.5)

    outcome = try_mutant(tree, "mark += 1", "test_too_much", seconds=0.01)

    assert (outcome.status, outcome.by) == ("timeout", "tests/test_grading.py::test_too_much")


def test_a_child_that_hangs_outside_a_test_is_stopped(tree, monkeypatch):
    monkeypatch.setattr("mutation.trial._START_SECONDS", 0.5)
    (tree.folder / "conftest.py").write_text("while True:\n    pass\n")

    assert try_mutant(tree, "mark += 1", "test_much", seconds=0.01).status == "timeout"


def test_a_module_that_cannot_be_imported_any_more_is_noticed(tree):
    (tree.folder / "tests" / "test_grading.py").write_text("from grading import nothing\n")

    outcome = try_mutant(tree, "mark += 1", "test_much")

    assert (outcome.status, outcome.by) == ("killed", "tests/test_grading.py")
    assert "cannot import name 'nothing'" in outcome.message


def test_the_copy_follows_the_repository_and_is_as_before_after_a_trial(tree):
    with tree.mutated(mutant_of(tree, "mark += 1")):
        assert "mark += 1" in (tree.folder / MODULE).read_text()
    assert (tree.folder / MODULE).read_text() == FILES[MODULE]
    assert (tree.root / MODULE).read_text() == FILES[MODULE]

    (tree.root / "new.py").write_text("")
    (tree.root / "tests" / "test_grading.py").unlink()
    tree.refresh()

    assert (tree.folder / "new.py").exists()
    assert not (tree.folder / "tests" / "test_grading.py").exists()
