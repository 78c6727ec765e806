"""The state machine: one function a state, and the way through them.

There is no Catch: an execution that fails stays redrivable at the state where it failed, and a rule
outside records it. Payloads stay small: what grows with the scene is in the work bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from aws_cdk import Duration
from aws_cdk.aws_batch import EcsJobDefinition, IJobQueue
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_stepfunctions import (
    Chain,
    Choice,
    Condition,
    DistributedMap,
    JitterType,
    JsonPath,
    S3JsonItemReader,
    TaskInput,
    TaskStateBase,
)
from aws_cdk.aws_stepfunctions_tasks import (
    BatchSubmitJob,
    EventBridgePutEvents,
    EventBridgePutEventsEntry,
    LambdaInvoke,
)
from constructs import Construct

from swath.errors import TransientError

State = TypeVar("State", bound=TaskStateBase)

EVENT_SOURCE = "swath"
RUN_COMPLETED = "Run Completed"
MAP_LABEL = "InferShards"

_LAMBDA_ERRORS = [
    TransientError.__name__,
    # https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
# Refusals to take a job, as far as they pass; a job that fails is States.TaskFailed.
_BATCH_ERRORS = ["Batch.ServerException", "Batch.AWSBatchException", "Batch.BatchException"]
# As `swath.storage.RunPaths` has it.
_SHARD_LIST = "runs/{}/shards.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What does the work of each state."""

    plan_scene: IFunction
    infer_shard: IFunction
    merge_detections: IFunction
    load_detections: IFunction
    publish_results: IFunction
    gpu_queue: IJobQueue
    gpu_job: EcsJobDefinition
    work: IBucket
    lambda_concurrency: int


def way(scope: Construct, steps: Steps) -> Chain:
    """The way of a scene through the states, from its plan to the event that says it is done."""
    finish = (
        merge_detections(scope, steps)
        .next(load_detections(scope, steps))
        .next(publish_results(scope, steps))
        .next(announce(scope))
    )
    return plan_scene(scope, steps).next(
        Choice(scope, "ChooseBackend")
        .when(nothing_to_infer(), finish)
        .when(one_shard_on_batch(), infer_shard_on_batch(scope, steps).next(finish))
        .when(on_batch(), infer_shards_on_batch(scope, steps).next(finish))
        .otherwise(infer_shards_on_lambda(scope, steps).next(finish))
    )


def plan_scene(scope: Construct, steps: Steps) -> LambdaInvoke:
    """RunRequest → PlanSummary at `$.plan`."""
    state = LambdaInvoke(
        scope,
        "PlanScene",
        lambda_function=steps.plan_scene,
        payload_response_only=True,
        result_path="$.plan",
        retry_on_service_exceptions=False,
    )
    return _patient(state)


def nothing_to_infer() -> Condition:
    """No tile has a valid pixel."""
    return Condition.number_equals("$.plan.shards", 0)


def on_batch() -> Condition:
    """The plan is for GPUs."""
    return Condition.string_equals("$.plan.backend", "batch")


def one_shard_on_batch() -> Condition:
    """The plan is for one GPU: an array job has two children at least."""
    return Condition.and_(on_batch(), Condition.number_equals("$.plan.shards", 1))


def infer_shard_on_batch(scope: Construct, steps: Steps) -> BatchSubmitJob:
    """The only shard, as a job of its own."""
    return _submit(scope, "InferShard", steps)


def infer_shards_on_batch(scope: Construct, steps: Steps) -> BatchSubmitJob:
    """All shards, as the children of an array job; it fails when one of them does."""
    return _submit(scope, "InferShards", steps, array_size=JsonPath.number_at("$.plan.shards"))


def infer_shards_on_lambda(scope: Construct, steps: Steps) -> DistributedMap:
    """All shards, each a child execution that keeps nothing of its output."""
    every = DistributedMap(
        scope,
        "InferShardsOnLambda",
        label=MAP_LABEL,
        item_reader=S3JsonItemReader(
            bucket=steps.work, key=JsonPath.format(_SHARD_LIST, JsonPath.string_at("$.run_id"))
        ),
        item_selector={
            "plan_uri": JsonPath.string_at("$.plan.uri"),
            "index": JsonPath.number_at("$$.Map.Item.Value"),
        },
        max_concurrency=steps.lambda_concurrency,
        result_path=JsonPath.DISCARD,
    )
    child = LambdaInvoke(
        scope,
        "InferShardOnLambda",
        lambda_function=steps.infer_shard,
        payload_response_only=True,
        # Up to 10,000 outputs are gathered, within 256 KiB: `{}` each.
        output_path=JsonPath.DISCARD,
        retry_on_service_exceptions=False,
    )
    return every.item_processor(_patient(child))


def merge_detections(scope: Construct, steps: Steps) -> LambdaInvoke:
    """→ MergeSummary at `$.merge`."""
    payload = TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")})
    return _invoke(scope, "MergeDetections", steps.merge_detections, payload, "$.merge")


def load_detections(scope: Construct, steps: Steps) -> LambdaInvoke:
    """→ LoadSummary at `$.load`."""
    return _invoke(scope, "LoadDetections", steps.load_detections, _results(), "$.load")


def publish_results(scope: Construct, steps: Steps) -> LambdaInvoke:
    """→ PublishSummary at `$.publish`."""
    return _invoke(scope, "PublishResults", steps.publish_results, _results(), "$.publish")


def announce(scope: Construct) -> EventBridgePutEvents:
    """Tell the account's event bus that the run is done."""
    detail = {
        "run_id": JsonPath.string_at("$.run_id"),
        "scene": JsonPath.object_at("$.scene"),
        "model": JsonPath.object_at("$.model"),
        "tiles": JsonPath.object_at("$.merge.tiles"),
        "detections": JsonPath.number_at("$.merge.detections"),
        "detections_uri": JsonPath.string_at("$.publish.detections_uri"),
        "item_uri": JsonPath.string_at("$.publish.item_uri"),
    }
    entry = EventBridgePutEventsEntry(
        source=EVENT_SOURCE, detail_type=RUN_COMPLETED, detail=TaskInput.from_object(detail)
    )
    state = EventBridgePutEvents(
        scope, "AnnounceRun", entries=[entry], result_path=JsonPath.DISCARD
    )
    # An event more than once is better than none.
    return _patient(state, errors=["States.TaskFailed"])


def _submit(
    scope: Construct, name: str, steps: Steps, *, array_size: float | None = None
) -> BatchSubmitJob:
    state = BatchSubmitJob(
        scope,
        name,
        job_name=JsonPath.string_at("$.run_id"),
        job_queue_arn=steps.gpu_queue.job_queue_arn,
        job_definition_arn=steps.gpu_job.job_definition_arn,
        array_size=array_size,
        payload=TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")}),
        result_path=JsonPath.DISCARD,
    )
    return _patient(state, errors=_BATCH_ERRORS)


def _invoke(
    scope: Construct, name: str, function: IFunction, payload: TaskInput, result_path: str
) -> LambdaInvoke:
    state = LambdaInvoke(
        scope,
        name,
        lambda_function=function,
        payload=payload,
        payload_response_only=True,
        result_path=result_path,
        retry_on_service_exceptions=False,
    )
    return _patient(state)


def _results() -> TaskInput:
    """The request as it was made: `$` has more by now than a RunRequest may have."""
    return TaskInput.from_object(
        {
            "request": JsonPath.object_at("$$.Execution.Input"),
            "plan": JsonPath.object_at("$.plan"),
            "merge": JsonPath.object_at("$.merge"),
        }
    )


def _patient(state: State, errors: list[str] | None = None) -> State:
    """Try again what trying again can mend: for about five minutes, never in step with others."""
    state.add_retry(
        errors=errors or _LAMBDA_ERRORS,
        interval=Duration.seconds(2),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=8,
        jitter_strategy=JitterType.FULL,
    )
    return state
