"""Assemblies are made once for what went into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cloud import synthesis
from local_cloud.errors import LocalCloudError
from local_cloud.synthesis import synthesize

APP = """
import os, pathlib, sys
out = pathlib.Path(os.environ["CDK_OUTDIR"])
out.mkdir()
(out / "manifest.json").write_text("{}")
(out / "context").write_text(os.environ["CDK_CONTEXT_JSON"])
log = pathlib.Path("runs")
log.write_text(log.read_text() + "x" if log.exists() else "x")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "app.py").write_text("one")
    monkeypatch.setattr(synthesis, "ROOT", tmp_path)
    monkeypatch.setattr(synthesis, "INPUTS", ("infra",))
    return tmp_path


def make(root: Path, app: str = APP) -> Path:
    return synthesize(assemblies=root / "build", app=("-c", app))


def test_the_same_inputs_are_synthesized_once(root: Path):
    assert make(root) == make(root)
    assert (root / "runs").read_text() == "x"


def test_changed_inputs_are_synthesized_beside_the_old_ones(root: Path):
    first = make(root)
    (root / "infra" / "app.py").write_text("two")
    second = make(root)

    assert first != second
    assert (first / "manifest.json").exists()
    assert (second / "manifest.json").exists()


def test_another_context_is_another_assembly(root: Path):
    plain = make(root)
    chosen = synthesize({"swath:stage": "production"}, assemblies=root / "build", app=("-c", APP))

    assert (plain / "context").read_text() == "{}"
    assert (chosen / "context").read_text() == '{"swath:stage": "production"}'
    assert make(root) == plain


def test_changed_models_are_noticed_wherever_they_are(root: Path, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    made = []
    for content in ("one", "two"):
        (models / "mlm.json").write_text(content)
        context = {"swath:models_dir": str(models)}
        made.append(synthesize(context, assemblies=root / "build", app=("-c", APP)))

    assert made[0] != made[1]


def test_pythons_caches_change_nothing(root: Path):
    first = make(root)
    (root / "infra" / "__pycache__").mkdir()
    (root / "infra" / "__pycache__" / "app.pyc").touch()

    assert make(root) == first


def test_old_assemblies_go(root: Path):
    for number in range(9):
        (root / "infra" / "app.py").write_text(str(number))
        latest = make(root)

    kept = [path for path in (root / "build").iterdir() if path.is_dir()]
    assert len(kept) == 6
    assert latest in kept


def test_an_app_that_fails_leaves_nothing_and_its_error_is_reported(root: Path):
    with pytest.raises(LocalCloudError, match="no such construct"):
        make(root, app="raise SystemExit('no such construct')")

    assert [path for path in (root / "build").iterdir() if path.is_dir()] == []
    assert make(root).is_dir()


def test_a_traceback_of_the_app_is_reported_in_one_line(root: Path):
    with pytest.raises(LocalCloudError, match=r"failed: ZeroDivisionError: .*; `npx cdk synth`"):
        make(root, app="1 / 0")


def test_without_node_the_cdk_is_not_started(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(root))

    with pytest.raises(LocalCloudError, match=r"needs Node\.js, .* install Node"):
        make(root)
    assert not (root / "runs").exists()
