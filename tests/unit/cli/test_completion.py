"""Tests of shell completion: the words that a shell offers after TAB."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWATH = Path(sys.executable).with_name("swath")
FORMATS = ["auto", "coco", "geojson", "spacenet"]


def ran(words, **variables):
    return subprocess.run(
        [SWATH, *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def in_bash(line):
    words = line.split(" ")
    answer = ran(
        [], _SWATH_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    return answer.split()


def in_zsh(line):
    answer = ran([], _SWATH_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line)
    return [entry.split('"')[1] for entry in answer.partition("((")[2].splitlines()]


def in_fish(line):
    answer = ran(
        [],
        _SWATH_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS=line,
    )
    return [entry.split("\t")[0] for entry in answer.splitlines()]


@pytest.mark.parametrize("offered", [in_bash, in_zsh, in_fish])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("swath tr", ["transform", "train"]),
        ("swath model o", ["optimize"]),
        ("swath train labels scenes --format ", FORMATS),
        ("swath train labels scenes --on-", ["--on-sagemaker", "--on-demand"]),
        ("swath model init m.onnx --from t", ["torchvision", "transformers"]),
        ("swath local up --p", ["--port"]),
    ],
)
def test_words_are_completed(offered, line, expected):
    assert offered(line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell):
    script = ran([], _SWATH_COMPLETE=f"source_{shell}")

    assert f"_SWATH_COMPLETE=complete_{shell}" in script


def test_it_is_installed_for_the_shell_that_it_is_called_from(tmp_path):
    said = subprocess.run(
        ["bash", "-c", f"'{SWATH}' --install-completion; true"],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "bash completion installed in" in said
    scripts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_SWATH_COMPLETE=complete_bash" in script for script in scripts)


def test_words_are_completed_soon():
    """Check that completion imports none of the heavy modules."""
    code = (
        "import atexit, os, sys\n"
        "heavy = ('rasterio', 'onnxruntime', 'pyarrow', 'torch', 'numpy', 'boto3')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        "from swath.__main__ import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"_SWATH_COMPLETE": "complete_bash", "COMP_WORDS": "x r", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (told.stdout.split(), told.stderr.strip()) == (["run"], "[]")
