"""Scenarios of chaos: each ends truly, one more drop heals all, and rows are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.faults.kinds import DiskFull
from local_cloud.processes import can_limit_disk
from tests.helpers.fuzzing import FUZZING
from tests.integration.chaos.oracle import Rows, make_scenes
from tests.integration.chaos.runner import play, small_shards, words
from tests.integration.chaos.scenarios import draw
from tests.integration.pipeline import Pipeline

pytestmark = [pytest.mark.cloud, pytest.mark.fuzz, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Rows]]:
    return make_scenes(tmp_path_factory.mktemp("chaos"))


@pytest.fixture(scope="module")
def deployed(pipeline: Pipeline) -> Iterator[Pipeline]:
    with small_shards(pipeline):
        yield pipeline


def test_a_scenario_of_chaos_ends_as_it_should(
    deployed: Pipeline,
    scenes: list[tuple[Path, Rows]],
    seed: int,
    record_property: Any,
    capsys: pytest.CaptureFixture[str],
):
    scenario = draw(seed)
    if any(isinstance(fault, DiskFull) for fault in scenario.faults) and not can_limit_disk():
        pytest.skip("this machine lets nobody have a file system of one's own")

    outcome = play(deployed, scenes, scenario)

    for word in words(scenario, outcome):
        record_property("chaos", word)
    if FUZZING:
        with capsys.disabled():
            print(scenario, outcome, sep="\n")  # noqa: T201 - 200 of them take an hour
    assert not outcome.wrong, scenario
