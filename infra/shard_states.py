"""The states that have a run's shards inferred, for each backend.

A Map asks a function for one shard at a time and keeps nothing of the answers: a shard's receipt
lies in the work bucket. It asks for no more shards at once than the backend can hold, so that what
is refused for want of capacity is the exception.
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

# Refusals to take a job, as far as they pass; a job that fails is States.TaskFailed.
_BATCH_ERRORS = ["Batch.ServerException", "Batch.AWSBatchException", "Batch.BatchException"]
# A notification that is lost: the shard is asked for again, and found done.
_LOST = "States.Timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A backend that a Map asks for shards.

    Attributes:
        backend: its name.
        place: what the names of its states end in.
        label: of the Map, in the names of its child executions.
        function: what asks for one shard.
        concurrency: how many shards of one run it may hold at a time.
        notified_within: where the answer comes with a task token, how long it may take.
    """

    backend: Backend
    place: str
    label: str
    function: IFunction
    concurrency: int
    notified_within: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """AWS Batch: a queue, and the job for one shard."""

    queue: IJobQueue
    job: str
    """Name of the job definition, without a revision: the latest is submitted to."""


def infer_shards(scope: Construct, mapped: Mapped, *, work: IBucket) -> DistributedMap:
    """All shards, each a child execution that keeps nothing of its output."""
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
    """The only shard, as a job of its own."""
    return _submit(scope, "InferShard", gpus)


def infer_shards_on_batch(scope: Construct, gpus: Gpus) -> BatchSubmitJob:
    """All shards, as the children of an array job; it fails when one of them does."""
    return _submit(scope, "InferShards", gpus, array_size=JsonPath.number_at("$.plan.shards"))


def _ask(scope: Construct, mapped: Mapped) -> LambdaInvoke:
    state = LambdaInvoke(
        scope,
        f"InferShardOn{mapped.place}",
        lambda_function=mapped.function,
        payload_response_only=True,
        # Up to 10,000 outputs are gathered, within 256 KiB: `{}` each.
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
