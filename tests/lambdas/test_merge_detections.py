import numpy as np
import pyarrow.parquet as pq
import pytest

from lambdas.merge_detections import handler as module
from swath.errors import PayloadError, RunIncompleteError
from swath.pipeline.shard import run_shard


@pytest.fixture
def plan_uri(make_plan, make_scene):
    pixels = np.zeros((1, 60, 100), np.int16)
    pixels[0, 5, 5], pixels[0, 50, 90] = 81, 64
    return make_plan(make_scene(pixels), shard_tiles=20)


def test_a_run_is_merged(plan_uri, context):
    for index in range(3):
        run_shard(plan_uri, index)

    answer = module.handler({"plan_uri": plan_uri}, context)

    assert answer["detections"] == 2 == len(pq.read_table(answer["uri"]))
    assert answer["tiles"] == {"planned": 40, "succeeded": 40, "failed": 0, "skipped": 0}


def test_an_incomplete_run_is_not(plan_uri, context):
    run_shard(plan_uri, 1)

    with pytest.raises(RunIncompleteError, match="2 of 3 shards"):
        module.handler({"plan_uri": plan_uri}, context)


def test_a_payload_of_another_form_is_refused(context):
    with pytest.raises(PayloadError, match="MergeDetections"):
        module.handler({"uri": "x"}, context)
