from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)

from local_cloud.moto_patches import distributed_map
from local_cloud.moto_patches.distributed_map import is_threshold_exceeded
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied


def test_canary_distributed_map(services: Services, aws: Aws):
    machine = aws.machine(("Each", map_over_items(child=FAILING)))

    assert aws.execute(machine, ITEMS)["status"] == "SUCCEEDED"
    with applied(services, distributed_map):
        failed = aws.execute(machine, ITEMS)

    assert failed["status"] == "FAILED"
    assert failed["error"] == "States.ExceedToleratedFailureThreshold"


def test_canary_more_items_than_pythons_stack_is_deep(services: Services):
    with pytest.raises(RecursionError):
        run_pool(items=2000)
    with applied(services, distributed_map):
        assert run_pool(items=2000) == 2000


def run_pool(items: int) -> int:
    """One worker's items, with everything but the loop itself left out."""
    jobs = [SimpleNamespace(job_output={}) for _ in range(items)]
    closed: list[Any] = []
    frame = SimpleNamespace(open_inner_frame=lambda: None, delete_frame=lambda _: None)
    worker = SimpleNamespace(
        _env=frame,
        _eval_job=lambda **_: None,
        _job_pool=SimpleNamespace(
            next_job=lambda: jobs.pop() if jobs else None, close_job=closed.append
        ),
        stopped=lambda: False,
    )
    loop = DistributedItemProcessorWorker._eval_pool
    worker._eval_pool = lambda job, worker_frame: loop(worker, job, worker_frame)
    loop(worker, jobs.pop(), frame)
    return len(closed)


def test_items_from_an_object_in_s3_each_get_their_index(services: Services, aws: Aws):
    bucket = aws.bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="items.json", Body=b"[7, 8, 9]")
    each = map_over_object(bucket) | {
        "ItemSelector": {"index.$": "$$.Map.Item.Index", "value.$": "$$.Map.Item.Value"},
    }
    with applied(services, distributed_map):
        done = aws.execute(aws.machine(("Each", each)), {"key": "items.json"})

    assert done["status"] == "SUCCEEDED"
    assert [item["value"] for item in json.loads(done["output"])] == [7, 8, 9]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_list_that_cannot_be_read_has_an_error_of_its_own(
    services: Services, aws: Aws, damaged: bool
):
    bucket = aws.bucket()
    if damaged:
        aws.client("s3").put_object(Bucket=bucket, Key="items.json", Body=b"damaged")
    machine = aws.machine(("Each", map_over_object(bucket)))

    assert aws.execute(machine, {"key": "items.json"})["error"] == "States.Runtime"
    with applied(services, distributed_map):
        failed = aws.execute(machine, {"key": "items.json"})

    assert failed["error"] == "States.ItemReaderFailed"


def test_fewer_failures_than_are_tolerated_let_the_map_succeed(services: Services, aws: Aws):
    tolerant = map_over_items(child=FAILING) | {"ToleratedFailureCount": 3}
    with applied(services, distributed_map):
        assert aws.execute(aws.machine(("Each", tolerant)), ITEMS)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("failed", "count", "percentage", "over"),
    [
        (0, 0, 0, False),
        (1, 0, 0, True),
        (1, 1, 0, False),
        (2, 1, 0, True),
        (2, 0, 20, False),
        (3, 0, 20, True),
        (2, 1, 50, True),
    ],
)
def test_either_threshold_is_enough(failed: int, count: int, percentage: float, over: bool):
    assert (
        is_threshold_exceeded(failed, 10, tolerated_count=count, tolerated_percentage=percentage)
        is over
    )


ITEMS = [1, 2, 3]
PASSING = {"Type": "Pass", "End": True}
FAILING = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}


def map_over_object(bucket: str) -> dict[str, Any]:
    """Return a Map of the items that lie in the object whose key is the input's."""
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": bucket, "Key.$": "$.key"},
    }
    return map_over_items(child=PASSING) | {"ItemReader": reader}


def map_over_items(child: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Map",
        "MaxConcurrency": 2,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Child",
            "States": {"Child": child},
        },
    }
