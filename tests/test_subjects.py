"""`tools/check_subjects` checks the subjects of new commits, and nothing without the history."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "check_subjects"


def git(folder, *arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository whose second commit adds the script; the first one is older than the rule."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--allow-empty", "-m", "Whatever was usual before.")
    add_script(folder)
    git(folder, "add", "tools")
    git(folder, "commit", "-m", "tools: check the subjects of commits")
    return folder


def add_script(folder):
    (folder / "tools").mkdir()
    shutil.copy(SCRIPT, folder / "tools")


def commit(folder, subject):
    git(folder, "commit", "--allow-empty", "-m", subject)


def check(folder):
    return subprocess.run(
        [sys.executable, folder / "tools" / "check_subjects"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_subjects_before_the_script_do_not_count(repository):
    checked = check(repository)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "subject",
    [
        "reader: refuse damaged JPEG 2000 tiles",
        "local cloud: read tokens",
        "errors, messages: address the reader",
        "batch_jobs: process shards",
        "docs: add " + "a" * 62,
        "web: embed the map",
    ],
)
def test_good_subjects_pass(repository, subject):
    commit(repository, subject)

    assert check(repository).returncode == 0


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("docs: add " + "a" * 63, "73 characters"),
        ("Refuse damaged tiles", "area: verb"),
        ("reader: Refuse damaged tiles", "area: verb"),
        ("reader:", "area: verb"),
        ("reader: refused damaged tiles", "'refused' is not"),
        ("reader: refuses damaged tiles", "'refuses' is not"),
        ("reader: refusing damaged tiles", "'refusing' is not"),
    ],
)
def test_a_bad_subject_is_named_with_the_rule(repository, subject, why):
    commit(repository, subject)
    commit(repository, "reader: read tiles")

    checked = check(repository)

    assert checked.returncode == 1
    (line,) = checked.stderr.splitlines()
    assert repr(subject) in line
    assert why in line


def test_merges_do_not_count(repository):
    git(repository, "switch", "--quiet", "--create", "other")
    commit(repository, "reader: read tiles")
    git(repository, "switch", "--quiet", "main")
    git(repository, "merge", "--no-ff", "-m", "Merge a branch", "other")

    assert check(repository).returncode == 0


def test_a_shallow_clone_is_silent(repository, tmp_path):
    commit(repository, "Bad")
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.as_uri(), "shallow")

    checked = check(tmp_path / "shallow")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_source_archive_within_another_repository_is_silent(repository):
    archive = repository / "archive"
    archive.mkdir()
    add_script(archive)
    commit(repository, "Bad")

    checked = check(archive)

    assert (checked.returncode, checked.stderr) == (0, "")
