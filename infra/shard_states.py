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

from infra.retries import UNREAD, retry, retry_function
from swath.messages import Backend
from swath.pipeline.paths import SHARD_LIST, run_key

# Transient refusals to accept a job; a job that fails is States.TaskFailed.
_BATCH_ERRORS = ["Batch.ServerException", "Batch.AWSBatchException", "Batch.BatchException"]
# A notification was lost: the retry requests the shard again, which is done already.
_LOST = "States.Timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Backend for which a Map calls a function for each shard.

    Attributes:
        backend: Name of the backend.
        place: Suffix of the states' names.
        label: Label of the Map, which is part of the names of its child executions.
        function: Function that infers or requests one shard.
        concurrency: Maximum number of concurrent shards of one run.
        notified_within: Timeout for the callback with the task token; None if the function itself
            returns the result.
    """

    backend: Backend
    place: str
    label: str
    function: IFunction
    concurrency: int
    notified_within: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """Backend AWS Batch: a job queue and a job definition."""

    queue: IJobQueue
    job: str
    """Name of the job definition without a revision, so that jobs use the latest revision."""


def infer_shards(scope: Construct, mapped: Mapped, *, work: IBucket) -> DistributedMap:
    """Create the Map over all shards, each a child execution whose output is discarded."""
    item: dict[str, Any] = {
        "plan_uri": JsonPath.string_at("$.plan.uri"),
        "index": JsonPath.number_at("$$.Map.Item.Value"),
    }
    every = DistributedMap(
        scope,
        f"InferShardsOn{mapped.place}",
        label=mapped.label,
        item_reader=S3JsonItemReader(
            bucket=work,
            key=JsonPath.format(run_key("{}", SHARD_LIST), JsonPath.string_at("$.run_id")),
        ),
        item_selector=item,
        max_concurrency=mapped.concurrency,
        result_path=JsonPath.DISCARD,
    )
    retry(every, UNREAD)
    if mapped.notified_within:
        return every.item_processor(_wait(scope, mapped, mapped.notified_within))
    return every.item_processor(_ask(scope, mapped))


def infer_shard_on_batch(scope: Construct, gpus: Gpus) -> BatchSubmitJob:
    """Create the state that submits the only shard of a run as a single job."""
    return _submit(scope, "InferShard", gpus)


def infer_shards_on_batch(scope: Construct, gpus: Gpus) -> BatchSubmitJob:
    """Create the state that submits all shards as an array job, which fails if a child fails."""
    return _submit(scope, "InferShards", gpus, array_size=JsonPath.number_at("$.plan.shards"))


def _ask(scope: Construct, mapped: Mapped) -> LambdaInvoke:
    state = LambdaInvoke(
        scope,
        f"InferShardOn{mapped.place}",
        lambda_function=mapped.function,
        payload_response_only=True,
        # The Map collects up to 10,000 outputs within 256 KiB, so each output is only `{}`.
        output_path=JsonPath.DISCARD,
        retry_on_service_exceptions=False,
    )
    return retry_function(state)


def _wait(scope: Construct, mapped: Mapped, notified_within: Duration) -> LambdaInvoke:
    payload = {
        "plan_uri": JsonPath.string_at("$.plan_uri"),
        "index": JsonPath.number_at("$.index"),
        "task_token": JsonPath.task_token,
    }
    state = LambdaInvoke(
        scope,
        f"InferShardOn{mapped.place}",
        lambda_function=mapped.function,
        integration_pattern=IntegrationPattern.WAIT_FOR_TASK_TOKEN,
        payload=TaskInput.from_object(payload),
        task_timeout=Timeout.duration(notified_within),
        output_path=JsonPath.DISCARD,
        retry_on_service_exceptions=False,
    )
    return retry_function(state, _LOST)


def _submit(
    scope: Construct, name: str, gpus: Gpus, *, array_size: float | None = None
) -> BatchSubmitJob:
    state = BatchSubmitJob(
        scope,
        name,
        job_name=JsonPath.string_at("$.run_id"),
        job_queue_arn=gpus.queue.job_queue_arn,
        job_definition_arn=gpus.job,
        array_size=array_size,
        payload=TaskInput.from_object({"plan_uri": JsonPath.string_at("$.plan.uri")}),
        result_path=JsonPath.DISCARD,
    )
    return retry(state, _BATCH_ERRORS)
