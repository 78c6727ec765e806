"""The guard against GPU jobs that wait for ever: `tests/local_cloud` runs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from infra import check


def test_a_blocked_queue_is_reported_with_its_reason(dev: Any):
    rule = dev.one("AWS::Events::Rule", "GpuWatchBlocked")
    (target,) = rule["Targets"]
    (queue,) = dev.resources("AWS::Batch::JobQueue")

    assert rule["EventPattern"] == {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job Queue Blocked"],
        "detail": {"jobQueue": [{"Fn::GetAtt": [queue, "JobQueueArn"]}]},
    }
    assert target["Arn"]["Ref"].startswith("FailuresTopic")
    assert "$.detail.statusReason" in target["InputTransformer"]["InputPathsMap"].values()
    assert "quota" in target["InputTransformer"]["InputTemplate"]


def test_each_runnable_job_is_watched_but_of_an_array_only_the_first_child(dev: Any):
    pattern = dev.one("AWS::Events::Rule", "GpuWatchRunnable")["EventPattern"]

    assert pattern["detail-type"] == ["Batch Job State Change"]
    assert pattern["detail"]["status"] == ["RUNNABLE"]
    assert pattern["detail"]["arrayProperties"] == {"index": [0, {"exists": False}]}


def test_a_job_waits_as_long_as_the_settings_say(synthesize: Callable[..., Any]):
    machine = check.state_machines(synthesize(gpu_wait_hours=7).json)["swath-gpu-watch"]

    assert machine["States"]["WaitForHost"]["Seconds"] == 7 * 3600
    assert "within 7 h" in machine["States"]["EndJob"]["Parameters"]["Reason"]
    # https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
    assert len(machine["States"]["EndJob"]["Parameters"]["Reason"]) <= 1024


def test_the_watch_may_do_what_its_states_do(dev: Any):
    machine = check.state_machines(dev.json)["swath-gpu-watch"]
    allowed = set().union(*dev.permissions("GpuWatchMachineRole").values())
    called = {
        re.sub(r".*aws-sdk:(\w+):(\w)", lambda m: f"{m[1]}:{m[2].upper()}", state["Resource"])
        for state in machine["States"].values()
        if state["Type"] == "Task"
    }

    assert allowed == called
