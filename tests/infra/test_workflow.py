from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from benchmarks.retries.policy import Retrier
from swath import errors
from swath.messages import MergeSummary, PlanSummary, PublishSummary, RunRequest, ShardRequest


@pytest.fixture
def states(dev: Any) -> dict[str, Any]:
    return dev.machine["States"]


def test_a_run_goes_from_its_plan_to_the_event_that_it_is_done(dev: Any, states: dict[str, Any]):
    way = [dev.machine["StartAt"]]
    while "End" not in states[way[-1]]:
        way.append(states[way[-1]].get("Next") or states[way[-1]]["Default"])

    assert way == [
        "PlanScene",
        "ChooseBackend",
        "InferShardsOnLambda",
        "MergeDetections",
        "LoadDetections",
        "PublishResults",
        "AnnounceRun",
    ]


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        ({"backend": "lambda", "shards": 0}, "MergeDetections"),
        ({"backend": "batch", "shards": 0}, "MergeDetections"),
        ({"backend": "batch", "shards": 1}, "InferShard"),
        ({"backend": "batch", "shards": 2}, "InferShards"),
        ({"backend": "lambda", "shards": 1}, "InferShardsOnLambda"),
        ({"backend": "lambda", "shards": 900}, "InferShardsOnLambda"),
        ({"backend": "sagemaker-realtime", "shards": 0}, "MergeDetections"),
        ({"backend": "sagemaker-realtime", "shards": 1}, "InferShardsOnRealtimeEndpoint"),
        ({"backend": "sagemaker-async", "shards": 1}, "InferShardsOnAsyncEndpoint"),
        ({"backend": "sagemaker-serverless", "shards": 9}, "InferShardsOnServerlessEndpoint"),
    ],
)
def test_the_plan_chooses_the_backend(everything: Any, plan: dict[str, Any], state: str):
    states = everything.machine["States"]
    choose = states["ChooseBackend"]
    chosen = next((c["Next"] for c in choose["Choices"] if holds(c, plan)), choose["Default"])

    assert chosen == state
    assert chosen == "MergeDetections" or states[chosen]["Next"] == "MergeDetections"


def holds(choice: dict[str, Any], plan: dict[str, Any]) -> bool:
    if "And" in choice:
        return all(holds(part, plan) for part in choice["And"])
    value = plan[choice["Variable"].removeprefix("$.plan.")]
    return value == choice.get("NumericEquals", choice.get("StringEquals"))


def test_there_are_states_for_those_endpoints_only_that_are_deployed(states: dict[str, Any]):
    assert "InferShardsOnServerlessEndpoint" in states
    assert not {"InferShardsOnRealtimeEndpoint", "InferShardsOnAsyncEndpoint"} & set(states)


def test_nothing_is_caught_so_that_a_failed_run_can_be_redriven(everything: Any):
    for name, state in every_state(everything.machine):
        assert "Catch" not in state, name
        assert state["Type"] in {"Task", "Map", "Choice"}, name


def every_state(machine: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    inner = [s["ItemProcessor"] for s in machine["States"].values() if s["Type"] == "Map"]
    return [*machine["States"].items(), *(pair for m in inner for pair in every_state(m))]


def functions(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The states that call a function."""
    found = every_state(machine)
    return {name: state for name, state in found if ":lambda:" in state.get("Resource", "")}


def test_every_state_that_calls_a_function_has_the_same_retriers(everything: Any):
    states = functions(everything.machine)

    assert len(states) == 8
    for name, state in states.items():
        throttled, not_ready, faults, crashed = state["Retry"]
        assert throttled["ErrorEquals"] == ["Lambda.TooManyRequestsException"], name
        assert set(not_ready["ErrorEquals"]) >= {
            "Lambda.CodeArtifactUserPendingException",
            "Lambda.ResourceNotReadyException",
            "Lambda.ResourceConflictException",
        }
        ours = {n for n, item in vars(errors).items() if isinstance(item, type) and n[0] != "_"}
        assert ours & set(faults["ErrorEquals"]) == {"TransientError"}, name
        assert not {"States.ALL", "States.TaskFailed"} & set(faults["ErrorEquals"])
        assert "Runtime.ExitError" in crashed["ErrorEquals"], name
        assert "Runtime.OutOfMemory" not in crashed["ErrorEquals"], "it would only need as much"
        # A notification may be lost; an answer that somebody waits for is not.
        assert ("States.Timeout" in faults["ErrorEquals"]) == ("TimeoutSeconds" in state), name
        named = [error for retrier in state["Retry"] for error in retrier["ErrorEquals"]]
        assert len(named) == len(set(named)), "only the first retrier of an error counts"


def retrier(errors: list[str], interval: int, attempts: int, longest: int) -> dict[str, Any]:
    """A retrier whose delays double and are drawn at random."""
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": interval,
        "MaxAttempts": attempts,
        "BackoffRate": 2,
        "MaxDelaySeconds": longest,
        "JitterStrategy": "FULL",
    }


SERVICE_ERRORS = [
    "TransientError",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
]


TIMEOUT_ERRORS = ["Sandbox.Timedout", "Lambda.Unknown"]


def test_retriers_are_what_the_simulation_was_read_for(everything: Any):
    for name, state in functions(everything.machine).items():
        throttled, not_ready, faults, crashed = state["Retry"]

        assert throttled == retrier(["Lambda.TooManyRequestsException"], 5, 720, 120), name
        assert (not_ready["IntervalSeconds"], not_ready["MaxAttempts"]) == (20, 30), name
        lost = ["States.Timeout"] if "TimeoutSeconds" in state else []
        assert faults == retrier([*SERVICE_ERRORS, *lost], 2, 8, 60), name
        # The longest function ends after 15 minutes: an hour is lost at most.
        assert crashed == retrier(["Runtime.ExitError", *TIMEOUT_ERRORS], 5, 2, 60), name


def test_all_that_is_retried_elsewhere_is_what_no_job_is_the_cause_of(everything: Any):
    """`States.TaskFailed` of a job would compute nine times what fails each time."""
    called = functions(everything.machine)
    batch = ["Batch.ServerException", "Batch.AWSBatchException", "Batch.BatchException"]

    others = {n: s.get("Retry") for n, s in every_state(everything.machine) if n not in called}

    maps = [name for name, state in everything.machine["States"].items() if state["Type"] == "Map"]
    assert len(maps) == 4
    assert {name: with_retries for name, with_retries in others.items() if with_retries} == {
        # Its list was not read; no shard was asked for.
        **{name: [retrier(["States.ItemReaderFailed"], 2, 8, 60)] for name in maps},
        "InferShard": [retrier(batch, 2, 8, 60)],
        "InferShards": [retrier(batch, 2, 8, 60)],
        "AnnounceRun": [retrier(["States.TaskFailed"], 2, 8, 60)],
    }


def test_retriers_name_errors_that_lambda_has(everything: Any):
    """Check that each error is one of Invoke in botocore, or one that Step Functions documents."""
    invoke = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    known = {f"Lambda.{shape.name}" for shape in invoke.error_shapes}
    own = {"ClientExecutionTimeoutException", "AWSLambdaException", "SdkClientException"}
    known |= {f"Lambda.{name}" for name in own} | {"Lambda.Unknown"}

    for state in functions(everything.machine).values():
        for retrier in state["Retry"]:
            named = {error for error in retrier["ErrorEquals"] if error.startswith("Lambda.")}
            assert named <= known


def test_an_idle_function_is_waited_for_longer_than_lambda_takes_to_wake_it(everything: Any):
    for name, state in functions(everything.machine).items():
        retrier = Retrier.from_entry(state["Retry"][1])

        assert not retrier.jitter, "a random delay may be nearly zero each time"
        assert 15 <= retrier.upper_bound(0) <= 20, name
        assert sum(retrier.upper_bound(n) for n in range(retrier.max_attempts)) >= 300, name


def test_throttled_functions_are_retried_out_of_step_and_a_pause_is_never_long(everything: Any):
    for name, state in functions(everything.machine).items():
        retrier = Retrier.from_entry(state["Retry"][0])

        assert retrier.jitter, "those that are refused at once would come back at once"
        assert (retrier.upper_bound(0), retrier.upper_bound(retrier.max_attempts)) == (5, 120), name


def test_no_retrier_exceeds_what_step_functions_allows(everything: Any):
    """https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""
    for name, state in every_state(everything.machine):
        for entry in state.get("Retry", ()):
            assert entry["MaxAttempts"] <= 99_999_999, name
            assert entry.get("MaxDelaySeconds", 1) < 31_622_400, name


def test_an_execution_that_uses_all_of_its_retries_has_room_for_them_in_its_history(
    everything: Any,
):
    machine = everything.machine
    maps = [state for state in machine["States"].values() if state["Type"] == "Map"]
    for execution in (machine, *(state["ItemProcessor"] for state in maps)):
        retriers = [r for s in execution["States"].values() for r in s.get("Retry", ())]
        # Scheduled, started, submitted, failed.
        assert sum(4 * (r["MaxAttempts"] + 1) for r in retriers) < 25_000 - 1_000


@pytest.mark.parametrize(
    ("place", "concurrency"),
    [("RealtimeEndpoint", 8), ("AsyncEndpoint", 8), ("ServerlessEndpoint", 5)],
)
def test_an_endpoint_is_asked_for_as_many_shards_as_it_can_hold(
    everything: Any, place: str, concurrency: int
):
    states = everything.machine["States"]
    on_lambda, on_endpoint = states["InferShardsOnLambda"], states[f"InferShardsOn{place}"]

    assert on_endpoint["MaxConcurrency"] == concurrency
    for part in ("ItemReader", "ItemSelector", "ResultPath"):
        assert on_endpoint[part] == on_lambda[part]
    (child,) = on_endpoint["ItemProcessor"]["States"].values()
    assert child["OutputPath"] is None
    labels = [state["Label"] for state in states.values() if state["Type"] == "Map"]
    assert len(set(labels)) == len(labels) == 4


def test_a_shard_at_the_asynchronous_endpoint_waits_for_its_token_but_not_for_ever(
    everything: Any,
):
    shards = everything.machine["States"]["InferShardsOnAsyncEndpoint"]
    (state,) = shards["ItemProcessor"]["States"].values()
    env = everything.one("AWS::Lambda::Function", "SubmitShard")["Environment"]["Variables"]

    assert state["Resource"].endswith(":lambda:invoke.waitForTaskToken")
    assert state["Parameters"]["Payload"] == {
        "plan_uri.$": "$.plan_uri",
        "index.$": "$.index",
        "task_token.$": "$$.Task.Token",
    }
    waits = int(env["SWATH_QUEUE_SECONDS"]) + int(env["SWATH_INFERENCE_SECONDS"])
    assert waits < state["TimeoutSeconds"] <= waits + 600
    # What SageMaker allows for:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
    assert int(env["SWATH_QUEUE_SECONDS"]) <= 21_600
    assert int(env["SWATH_INFERENCE_SECONDS"]) <= 3_600
    assert shards["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] == "STANDARD"


def test_the_map_reads_the_list_of_shards_and_keeps_nothing_of_their_output(
    dev: Any, states: dict[str, Any]
):
    map_state = states["InferShardsOnLambda"]
    key = map_state["ItemReader"]["Parameters"]["Key.$"]

    assert map_state["ItemReader"]["ReaderConfig"] == {"InputType": "JSON"}
    assert key == "States.Format('runs/{}/shards.json', $.run_id)"
    assert map_state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert map_state["ItemSelector"] == {
        "plan_uri.$": "$.plan.uri",
        "index.$": "$$.Map.Item.Value",
    }
    assert map_state["MaxConcurrency"] == 100
    assert map_state["ResultPath"] is None
    (child,) = map_state["ItemProcessor"]["States"].values()
    assert child["OutputPath"] is None


def test_batch_takes_one_shard_as_a_job_and_more_as_an_array(states: dict[str, Any]):
    one, many = states["InferShard"], states["InferShards"]

    for state in (one, many):
        assert state["Resource"].endswith(":batch:submitJob.sync")
        assert state["Parameters"]["Parameters"] == {"plan_uri.$": "$.plan.uri"}
        assert state["ResultPath"] is None
    assert "ArrayProperties" not in one["Parameters"]
    assert many["Parameters"]["ArrayProperties"] == {"Size.$": "$.plan.shards"}


def test_every_path_into_the_state_is_a_field_of_a_payload(everything: Any):
    fields = {
        "plan": PlanSummary.__struct_fields__,
        "merge": MergeSummary.__struct_fields__,
        "publish": PublishSummary.__struct_fields__,
        **dict.fromkeys(RunRequest.__struct_fields__, ()),
        **dict.fromkeys(ShardRequest.__struct_fields__, ()),
    }
    for path in sorted(set(state_paths(everything.machine))):
        _, first, *rest = path.split(".")
        assert first in fields, path
        assert not rest or rest[0] in fields[first], path


def state_paths(value: Any, key: str = "") -> list[str]:
    if isinstance(value, dict):
        return [path for k, v in value.items() for path in state_paths(v, k)]
    if isinstance(value, list):
        return [path for v in value for path in state_paths(v)]
    reads = key.endswith(".$") or key in {"Variable", "InputPath"}
    return [value] if reads and isinstance(value, str) and value.startswith("$.") else []


def test_steps_after_the_plan_get_the_request_as_it_was_made(states: dict[str, Any]):
    for name in ("LoadDetections", "PublishResults"):
        assert states[name]["Parameters"] == {
            "request.$": "$$.Execution.Input",
            "plan.$": "$.plan",
            "merge.$": "$.merge",
        }
    assert "Parameters" not in states["PlanScene"]


def test_the_end_of_a_run_is_told_on_the_event_bus(states: dict[str, Any]):
    (entry,) = states["AnnounceRun"]["Parameters"]["Entries"]

    assert (entry["Source"], entry["DetailType"]) == ("swath", "Run Completed")
    assert set(entry["Detail"]) >= {"run_id.$", "scene.$", "detections_uri.$", "item_uri.$"}
    assert entry["Detail"]["warnings.$"] == "$.merge.warnings"
    assert entry["Detail"]["acquisition.$"] == "$.merge.acquisition"
    assert entry["Detail"]["valid_area_m2.$"] == "$.merge.valid_area_m2"


def test_an_execution_ends_some_day_and_can_stop_its_jobs(dev: Any):
    allowed = dev.permissions("RunsMachineRole")

    assert dev.machine["TimeoutSeconds"] == 2 * 86400
    assert {"batch:TerminateJob", "batch:DescribeJobs"} <= allowed["*"]


def test_a_redriven_execution_may_redrive_its_children(everything: Any):
    allowed = everything.permissions("RunsMachineDistributedMapPolicy")
    resources = [r for r, actions in allowed.items() if "states:RedriveExecution" in actions]

    assert sorted(resource.rpartition("/")[2] for resource in resources) == [
        "InferShards:*",
        "InferShardsAsync:*",
        "InferShardsRealtime:*",
        "InferShardsServerless:*",
    ]
