"""Tests of arguments that no command can use: each is refused before the work begins."""

import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_INPUT, app


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (["model", "show", ""], "show"),
        (["model", "check", ""], "check"),
        (["run", "", "--model", "m", "--out", "o"], "run"),
        (["run", "x.tif", "--model", "", "--out", "o"], "--model"),
        (["run", "x.tif", "--model", "m", "--out="], "--out"),
        (["evaluate", "m", "", "images", "--out", "o"], "m"),
        (["local", "up", "--context", ""], "--context"),
    ],
)
def test_an_empty_word_is_no_path(words, before, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, words, prog_name="swath")

    assert result.exit_code == EXIT_INPUT
    line = f"error: the value after '{before}' is empty; give a value, or omit the option\n"
    assert result.stderr == line
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_to_nothing_is_not_an_empty_word(tmp_path):
    words = ["train", "absent", "images", "--out", str(tmp_path / "out"), "--set", "name="]

    result = CliRunner().invoke(app, words, prog_name="swath")

    assert "is empty" not in result.stderr
