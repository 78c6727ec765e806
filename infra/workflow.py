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

from infra.retries import with_function_retries, with_retries
from infra.shard_states import (
    BatchBackend,
    MapBackend,
    add_batch_array_job,
    add_batch_job,
    add_shard_map,
)
from swath.messages import Backend

EVENT_SOURCE = "swath"
RUN_COMPLETED = "Run Completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResources:
    """Functions and backends that do the work of the states."""

    plan_scene: IFunction
    merge_detections: IFunction
    load_detections: IFunction
    publish_results: IFunction
    lambda_backend: MapBackend
    batch_backend: BatchBackend | None
    """Backend AWS Batch; None if it is not deployed."""
    endpoint_backends: Sequence[MapBackend]
    """Deployed endpoints; `plan_scene` refuses a run on any other."""
    work: IBucket
    """Work bucket."""

    @property
    def map_backends(self) -> list[MapBackend]:
        """All backends that a Map calls."""
        return [self.lambda_backend, *self.endpoint_backends]

    @property
    def functions(self) -> list[IFunction]:
        """All functions that a state invokes."""
        return [
            *(self.plan_scene, self.merge_detections, self.load_detections, self.publish_results),
            *(backend.function for backend in self.map_backends),
        ]


def build_definition(scope: Construct, resources: WorkflowResources) -> Chain:
    """Create the chain of states, from the plan of a scene to the event about the completed run."""
    finish = (
        add_merge_detections(scope, resources)
        .next(add_load_detections(scope, resources))
        .next(add_publish_results(scope, resources))
        .next(add_announcement(scope))
    )
    choice = Choice(scope, "ChooseBackend").when(has_no_shards(), finish)
    if batch := resources.batch_backend:
        choice = choice.when(has_one_batch_shard(), add_batch_job(scope, batch).next(finish)).when(
            is_for_backend(Backend.BATCH), add_batch_array_job(scope, batch).next(finish)
        )
    for backend in resources.endpoint_backends:
        shards = add_shard_map(scope, backend, work=resources.work)
        choice = choice.when(is_for_backend(backend.backend), shards.next(finish))
    shards = add_shard_map(scope, resources.lambda_backend, work=resources.work)
    return add_plan_scene(scope, resources).next(choice.otherwise(shards.next(finish)))


def add_plan_scene(scope: Construct, resources: WorkflowResources) -> LambdaInvoke:
    """Create the state that plans a run: `RunRequest` → `PlanSummary` at `$.plan`."""
    state = LambdaInvoke(
        scope,
        "PlanScene",
        lambda_function=resources.plan_scene,
        payload_response_only=True,
        result_path="$.plan",
        retry_on_service_exceptions=False,
    )
    return with_function_retries(state)


def has_no_shards() -> Condition:
    """Return the condition that no tile of the scene has a valid pixel."""
    return Condition.number_equals("$.plan.shards", 0)


def is_for_backend(backend: Backend) -> Condition:
    """Return the condition that the plan is for a backend."""
    return Condition.string_equals("$.plan.backend", backend)


def has_one_batch_shard() -> Condition:
    """Return the condition that the plan has one shard on Batch; array jobs need two children."""
    return Condition.and_(
        is_for_backend(Backend.BATCH), Condition.number_equals("$.plan.shards", 1)
    )


def add_merge_detections(scope: Construct, resources: WorkflowResources) -> LambdaInvoke:
    """Create the state that merges the shards, with its `MergeSummary` at `$.merge`."""
    payload = TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")})
    return _add_invocation(scope, "MergeDetections", resources.merge_detections, payload, "$.merge")


def add_load_detections(scope: Construct, resources: WorkflowResources) -> LambdaInvoke:
    """Create the state that loads the detections, with its `LoadSummary` at `$.load`."""
    return _add_invocation(
        scope, "LoadDetections", resources.load_detections, _results_payload(), "$.load"
    )


def add_publish_results(scope: Construct, resources: WorkflowResources) -> LambdaInvoke:
    """Create the state that publishes the results, with its `PublishSummary` at `$.publish`."""
    return _add_invocation(
        scope, "PublishResults", resources.publish_results, _results_payload(), "$.publish"
    )


def add_announcement(scope: Construct) -> EventBridgePutEvents:
    """Create the state that sends the event about the completed run to the account's event bus."""
    detail = {
        "run_id": JsonPath.string_at("$.run_id"),
        "scene": JsonPath.object_at("$.scene"),
        "model": JsonPath.object_at("$.model"),
        "tiles": JsonPath.object_at("$.merge.tiles"),
        "detections": JsonPath.number_at("$.merge.detections"),
        # The merge writes both members always; what is unknown is absent or null within them.
        "acquisition": JsonPath.object_at("$.merge.acquisition"),
        "valid_area_m2": JsonPath.object_at("$.merge.valid_area_m2"),
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
    return with_retries(state, ["States.TaskFailed"])


def _add_invocation(
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
    return with_function_retries(state)


def _results_payload() -> TaskInput:
    """Return the payload with the original request: `$` has more fields than a RunRequest may."""
    return TaskInput.from_object(
        {
            "request": JsonPath.object_at("$$.Execution.Input"),
            "plan": JsonPath.object_at("$.plan"),
            "merge": JsonPath.object_at("$.merge"),
        }
    )
