"""Define the state machine of runs: its states and their order.

There is no Catch: a failed execution can be redriven from the state that failed, and a rule outside
the state machine records it. Payloads stay small: data that grows with the scene is in the work
bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_stepfunctions import Chain, Choice, Condition, JsonPath, TaskInput
from aws_cdk.aws_stepfunctions_tasks import (
    EventBridgePutEvents,
    EventBridgePutEventsEntry,
    LambdaInvoke,
)
from constructs import Construct

from infra.retries import retry, retry_function
from infra.shard_states import (
    Gpus,
    Mapped,
    infer_shard_on_batch,
    infer_shards,
    infer_shards_on_batch,
)
from swath.messages import Backend

EVENT_SOURCE = "swath"
RUN_COMPLETED = "Run Completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Functions and backends that do the work of the states."""

    plan_scene: IFunction
    merge_detections: IFunction
    load_detections: IFunction
    publish_results: IFunction
    on_lambda: Mapped
    on_gpus: Gpus | None
    """Backend AWS Batch; None if it is not deployed."""
    on_endpoints: Sequence[Mapped]
    """Deployed endpoints; `plan_scene` refuses a run on any other."""
    work: IBucket
    """Work bucket."""

    @property
    def maps(self) -> list[Mapped]:
        """All backends that a Map calls."""
        return [self.on_lambda, *self.on_endpoints]

    @property
    def functions(self) -> list[IFunction]:
        """All functions that a state invokes."""
        return [
            *(self.plan_scene, self.merge_detections, self.load_detections, self.publish_results),
            *(mapped.function for mapped in self.maps),
        ]


def way(scope: Construct, steps: Steps) -> Chain:
    """Create the chain of states, from the plan of a scene to the event about the completed run."""
    finish = (
        merge_detections(scope, steps)
        .next(load_detections(scope, steps))
        .next(publish_results(scope, steps))
        .next(announce(scope))
    )
    choice = Choice(scope, "ChooseBackend").when(nothing_to_infer(), finish)
    if gpus := steps.on_gpus:
        choice = choice.when(
            one_shard_on_batch(), infer_shard_on_batch(scope, gpus).next(finish)
        ).when(on(Backend.BATCH), infer_shards_on_batch(scope, gpus).next(finish))
    for mapped in steps.on_endpoints:
        shards = infer_shards(scope, mapped, work=steps.work)
        choice = choice.when(on(mapped.backend), shards.next(finish))
    shards = infer_shards(scope, steps.on_lambda, work=steps.work)
    return plan_scene(scope, steps).next(choice.otherwise(shards.next(finish)))


def plan_scene(scope: Construct, steps: Steps) -> LambdaInvoke:
    """Create the state that plans a run: `RunRequest` → `PlanSummary` at `$.plan`."""
    state = LambdaInvoke(
        scope,
        "PlanScene",
        lambda_function=steps.plan_scene,
        payload_response_only=True,
        result_path="$.plan",
        retry_on_service_exceptions=False,
    )
    return retry_function(state)


def nothing_to_infer() -> Condition:
    """Return the condition that no tile of the scene has a valid pixel."""
    return Condition.number_equals("$.plan.shards", 0)


def on(backend: Backend) -> Condition:
    """Return the condition that the plan is for a backend."""
    return Condition.string_equals("$.plan.backend", backend)


def one_shard_on_batch() -> Condition:
    """Return the condition that the plan has one shard on Batch; array jobs need two children."""
    return Condition.and_(on(Backend.BATCH), Condition.number_equals("$.plan.shards", 1))


def merge_detections(scope: Construct, steps: Steps) -> LambdaInvoke:
    """Create the state that merges the shards, with its `MergeSummary` at `$.merge`."""
    payload = TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")})
    return _invoke(scope, "MergeDetections", steps.merge_detections, payload, "$.merge")


def load_detections(scope: Construct, steps: Steps) -> LambdaInvoke:
    """Create the state that loads the detections, with its `LoadSummary` at `$.load`."""
    return _invoke(scope, "LoadDetections", steps.load_detections, _results(), "$.load")


def publish_results(scope: Construct, steps: Steps) -> LambdaInvoke:
    """Create the state that publishes the results, with its `PublishSummary` at `$.publish`."""
    return _invoke(scope, "PublishResults", steps.publish_results, _results(), "$.publish")


def announce(scope: Construct) -> EventBridgePutEvents:
    """Create the state that sends the event about the completed run to the account's event bus."""
    detail = {
        "run_id": JsonPath.string_at("$.run_id"),
        "scene": JsonPath.object_at("$.scene"),
        "model": JsonPath.object_at("$.model"),
        "tiles": JsonPath.object_at("$.merge.tiles"),
        "detections": JsonPath.number_at("$.merge.detections"),
        "warnings": JsonPath.object_at("$.merge.warnings"),
        "detections_uri": JsonPath.string_at("$.publish.detections_uri"),
        "item_uri": JsonPath.string_at("$.publish.item_uri"),
    }
    entry = EventBridgePutEventsEntry(
        source=EVENT_SOURCE, detail_type=RUN_COMPLETED, detail=TaskInput.from_object(detail)
    )
    state = EventBridgePutEvents(
        scope, "AnnounceRun", entries=[entry], result_path=JsonPath.DISCARD
    )
    # A duplicate event is better than none.
    return retry(state, ["States.TaskFailed"])


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
    return retry_function(state)


def _results() -> TaskInput:
    """Return the payload with the original request: `$` has more fields than a RunRequest may."""
    return TaskInput.from_object(
        {
            "request": JsonPath.object_at("$$.Execution.Input"),
            "plan": JsonPath.object_at("$.plan"),
            "merge": JsonPath.object_at("$.merge"),
        }
    )
