from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import check


def test_a_bad_dockerfile_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "Dockerfile"
    path.write_text("FROM debian\nRUN cd /tmp && sudo ls\n")
    monkeypatch.setattr(check, "DOCKERFILES", (str(path),))

    assert list(check.check_dockerfiles()) == [False]


def test_the_definition_is_whole_once_its_references_are_resolved(dev: Any):
    text = json.dumps(check.state_machine(dev.json))

    assert "Fn::" not in text
    assert '"Ref"' not in text
    assert "arn:aws:states:::batch:submitJob.sync" in text


@pytest.mark.parametrize(("state", "sound"), [("ChooseBackend", True), ("Nowhere", False)])
def test_a_way_that_leads_nowhere_is_found(dev: Any, tmp_path: Path, state: str, sound: bool):
    definition = check.state_machine(dev.json)
    definition["States"]["PlanScene"]["Next"] = state
    path = tmp_path / "asl.json"
    path.write_text(json.dumps(definition))

    assert check.check_state_machine(path, "dev") is sound
