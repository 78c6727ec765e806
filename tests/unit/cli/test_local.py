import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swath.cli import app, local


def test_a_checkouts_local_cloud_is_run_with_the_options_given(monkeypatch: pytest.MonkeyPatch):
    became: list[object] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: became.extend(arguments))

    result = CliRunner().invoke(app, ["local", "up", "--port", "4566"])

    assert result.exit_code == 0
    program, words, environment = became
    assert program == sys.executable
    assert words == [sys.executable, "-m", "local_cloud", "--port", "4566"]
    assert str(local.CHECKOUT_FOLDER) in environment["PYTHONPATH"].split(os.pathsep)


def test_an_installed_package_says_where_the_local_cloud_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(local, "CHECKOUT_FOLDER", tmp_path)

    result = CliRunner().invoke(app, ["local", "up"])

    assert result.exit_code == 2
    assert "clone the repository" in result.stderr
