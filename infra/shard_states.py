"""Create the states that infer a run's shards, for each backend.

A Map calls a function for each shard and discards the outputs, since the receipts of shards are in
the work bucket. The Map's concurrency is limited to the backend's capacity, so that refusals for
lack of capacity are rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk.aws_batch import IJobQueue
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_stepfunctions import (
    DistributedMap,
    IntegrationPattern,
    JsonPath,
    S3JsonItemReader,
    TaskInput,
    Timeout,
)
from aws_cdk.aws_stepfunctions_tasks import BatchSubmitJob, LambdaInvoke
from constructs import Construct

from infra.retries import ITEM_READER_ERRORS, with_function_retries, with_retries
from swath.messages import Backend
from swath.pipeline.paths import SHARD_LIST_FILE, run_key

# Transient refusals to accept a job; a job that fails is States.TaskFailed.
_SUBMIT_ERRORS = ["Batch.ServerException", "Batch.AWSBatchException", "Batch.BatchException"]
# A notification was lost: the retry requests the shard again, which is done already.
_LOST_CALLBACK = "States.Timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapBackend:
    """Backend for which a Map calls a function for each shard.

    Attributes:
        backend: Name of the backend.
        state_suffix: Suffix of the states' names.
        label: Label of the Map, which is part of the names of its child executions.
        function: Function that infers or requests one shard.
        max_concurrency: Maximum number of concurrent shards of one run.
        callback_timeout: Timeout for the callback with the task token; None if the function itself
            returns the result.
    """

    backend: Backend
    state_suffix: str
    label: str
    function: IFunction
    max_concurrency: int
    callback_timeout: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBackend:
    """Backend AWS Batch: a job queue and a job definition."""

    queue: IJobQueue
    job_definition: str
    """Name of the job definition without a revision, so that jobs use the latest revision."""


def add_shard_map(scope: Construct, backend: MapBackend, *, work: IBucket) -> DistributedMap:
    """Create the Map over all shards, each a child execution whose output is discarded."""
    item: dict[str, Any] = {
        "plan_uri": JsonPath.string_at("$.plan.uri"),
        "index": JsonPath.number_at("$$.Map.Item.Value"),
    }
    shard_map = DistributedMap(
        scope,
        f"InferShardsOn{backend.state_suffix}",
        label=backend.label,
        item_reader=S3JsonItemReader(
            bucket=work,
            key=JsonPath.format(run_key("{}", SHARD_LIST_FILE), JsonPath.string_at("$.run_id")),
        ),
        item_selector=item,
        max_concurrency=backend.max_concurrency,
        result_path=JsonPath.DISCARD,
    )
    with_retries(shard_map, ITEM_READER_ERRORS)
    if backend.callback_timeout:
        return shard_map.item_processor(_add_callback(scope, backend, backend.callback_timeout))
    return shard_map.item_processor(_add_invocation(scope, backend))


def add_batch_job(scope: Construct, batch: BatchBackend) -> BatchSubmitJob:
    """Create the state that submits the only shard of a run as a single job."""
    return _add_job(scope, "InferShard", batch)


def add_batch_array_job(scope: Construct, batch: BatchBackend) -> BatchSubmitJob:
    """Create the state that submits all shards as an array job, which fails if a child fails."""
    return _add_job(scope, "InferShards", batch, array_size=JsonPath.number_at("$.plan.shards"))


def _add_invocation(scope: Construct, backend: MapBackend) -> LambdaInvoke:
    state = LambdaInvoke(
        scope,
        f"InferShardOn{backend.state_suffix}",
        lambda_function=backend.function,
        payload_response_only=True,
        # The Map collects up to 10,000 outputs within 256 KiB, so each output is only `{}`.
        output_path=JsonPath.DISCARD,
        retry_on_service_exceptions=False,
    )
    return with_function_retries(state)


def _add_callback(
    scope: Construct, backend: MapBackend, callback_timeout: Duration
) -> LambdaInvoke:
    payload = {
        "plan_uri": JsonPath.string_at("$.plan_uri"),
        "index": JsonPath.number_at("$.index"),
        "task_token": JsonPath.task_token,
    }
    state = LambdaInvoke(
        scope,
        f"InferShardOn{backend.state_suffix}",
        lambda_function=backend.function,
        integration_pattern=IntegrationPattern.WAIT_FOR_TASK_TOKEN,
        payload=TaskInput.from_object(payload),
        task_timeout=Timeout.duration(callback_timeout),
        output_path=JsonPath.DISCARD,
        retry_on_service_exceptions=False,
    )
    return with_function_retries(state, _LOST_CALLBACK)


def _add_job(
    scope: Construct, name: str, batch: BatchBackend, *, array_size: float | None = None
) -> BatchSubmitJob:
    state = BatchSubmitJob(
        scope,
        name,
        job_name=JsonPath.string_at("$.run_id"),
        job_queue_arn=batch.queue.job_queue_arn,
        job_definition_arn=batch.job_definition,
        array_size=array_size,
        payload=TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")}),
        result_path=JsonPath.DISCARD,
    )
    return with_retries(state, _SUBMIT_ERRORS)
