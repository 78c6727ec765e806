from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import distributed_map, state_map_runs
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import REFUSALS, Aws, applied
from tests.local_cloud.canaries.test_distributed_map import FAILING, PASSING, map_over_items

EACH = map_over_items(child=FAILING) | {"ItemSelector": {"index.$": "$$.Map.Item.Value"}}


def map_run(aws: Aws, execution: dict[str, Any]) -> str:
    runs = aws.client("stepfunctions").list_map_runs(executionArn=execution["executionArn"])
    (found,) = runs["mapRuns"]
    return str(found["mapRunArn"])


def test_canary_state_map_runs(services: Services, aws: Aws):
    states = aws.client("stepfunctions")
    with applied(services, distributed_map):
        failed = aws.execute(aws.machine(("Each", EACH)), [5])
        with pytest.raises(REFUSALS):
            states.list_executions(mapRunArn=map_run(aws, failed))

    with applied(services, distributed_map, state_map_runs):
        failed = aws.execute(aws.machine(("Each", EACH)), [5])
        (child,) = states.list_executions(mapRunArn=map_run(aws, failed))["executions"]
        described = states.describe_execution(executionArn=child["executionArn"])

    assert child["status"] == "FAILED"
    assert ":execution:" in child["executionArn"]
    assert failed["startDate"] <= child["startDate"] <= child["stopDate"]
    assert described["mapRunArn"] == child["mapRunArn"]
    assert described["input"] == '{"index": 5}'
    assert (described["error"], described["cause"]) == ("Broken", "on purpose")


def test_children_are_listed_by_status_and_page_by_page(services: Services, aws: Aws):
    states = aws.client("stepfunctions")
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericGreaterThan": 2, "Next": "Bad"}],
        "Default": "Good",
    }
    each = map_over_items(child=choice)
    each["ItemProcessor"]["States"] |= {"Bad": FAILING, "Good": PASSING}
    each["ItemProcessor"]["States"]["Child"].pop("End", None)
    with applied(services, distributed_map, state_map_runs):
        failed = aws.execute(aws.machine(("Each", each)), [1, 2, 3, 4, 5])
        run = map_run(aws, failed)
        pages = states.get_paginator("list_executions")

        def found(**options: Any) -> list[list[str]]:
            every = pages.paginate(mapRunArn=run, **options)
            return [[child["status"] for child in page["executions"]] for page in every]

        assert found(statusFilter="FAILED", PaginationConfig={"PageSize": 2}) == [
            ["FAILED", "FAILED"],
            ["FAILED"],
        ]
        assert found(statusFilter="SUCCEEDED") == [["SUCCEEDED", "SUCCEEDED"]]
        assert found(statusFilter="TIMED_OUT") == [[]]
        assert len(found()[0]) == 5


def test_a_map_run_that_is_none_is_refused_and_machines_are_listed_as_before(
    services: Services, aws: Aws
):
    states = aws.client("stepfunctions")
    with applied(services, distributed_map, state_map_runs):
        machine = aws.machine(("Each", EACH))
        aws.execute(machine, [1])
        (execution,) = states.list_executions(stateMachineArn=machine)["executions"]
        described = states.describe_execution(executionArn=execution["executionArn"])
        with pytest.raises(ClientError, match="Map Run does not exist"):
            states.list_executions(mapRunArn=machine.replace("stateMachine", "mapRun") + "/x:y")

    assert execution["status"] == described["status"] == "FAILED"
