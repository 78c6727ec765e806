"""Tests of runs with their own score threshold: the rows equal those of a package with it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from swath import storage
from swath.errors import SettingsError
from swath.evaluation.package_variant import write_variant
from swath.messages import RunOptions
from swath.models.package import load_package
from swath.pipeline.local import run_local
from swath.pipeline.merge import merge_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard

OWN = 0.5
"""The threshold of the package."""


@pytest.fixture
def scene(make_scene):
    """Return a scene of bright pixels with scores of 0.3 to 1; some touch others or tile edges."""
    rng = np.random.default_rng(5)
    pixels = np.zeros((1, 60, 100), np.int16)
    places = rng.choice(pixels.size, 300, replace=False)
    pixels.flat[places] = np.round(100 * rng.uniform(0.3, 1, 300) ** 2)
    return make_scene(pixels)


def rows(out):
    kept = pq.read_table(out / "detections.parquet", columns=["geometry", "class", "score"])
    return kept.to_pylist()


@pytest.mark.parametrize("threshold", [OWN, 0.7, 1.0])
def test_a_run_has_the_rows_of_a_package_with_that_threshold(scene, package, tmp_path, threshold):
    other = write_variant(load_package(package), tmp_path / "other", score_threshold=threshold)

    raised = run_local(
        scene, str(package), tmp_path / "a", options=RunOptions(score_threshold=threshold)
    )
    run_local(scene, str(other), tmp_path / "b")

    found = rows(tmp_path / "a")
    assert found == rows(tmp_path / "b")
    assert len(found) == raised.detections > 0
    # Scores are float32, and so is the threshold in the comparison.
    assert min(row["score"] for row in found) >= np.float32(threshold)


def test_a_run_below_the_packages_own_threshold_is_refused_with_it(scene, package, tmp_path):
    with pytest.raises(SettingsError, match=r"0\.4 is below .* reports scores from 0\.5 on; give"):
        run_local(scene, str(package), tmp_path, options=RunOptions(score_threshold=0.4))


def test_nothing_of_one_threshold_is_taken_for_another(scene, package, make_plan, tmp_path):
    plans = {
        threshold: make_plan(
            scene, shard_tiles=10, score_threshold=threshold, work=str(tmp_path / "work")
        )
        for threshold in (0.6, 0.8)
    }
    found = {}
    for threshold, uri in plans.items():
        plan = RunStore.open(uri).plan
        assert plan.output_spec.score_threshold == plan.options.score_threshold == threshold
        for index in range(len(plan.shards)):
            run_shard(uri, index)
        found[threshold] = merge_run(uri)
    again = {threshold: merge_run(uri) for threshold, uri in plans.items()}

    assert plans[0.6] != plans[0.8]
    assert found[0.6].detections > found[0.8].detections > 0
    assert {key: one.detections for key, one in again.items()} == {
        key: one.detections for key, one in found.items()
    }
    own = make_plan(scene, shard_tiles=10, work=str(tmp_path / "work"))
    assert own not in plans.values()
    assert RunStore.open(own).plan.output_spec.score_threshold == OWN
    options = json.loads(storage.read_bytes(own))["options"]
    assert options == {"backend": "local", "tolerated_failures": 0.0}
