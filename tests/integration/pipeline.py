"""The pipeline as its users see it: scenes go in by boto3, PostGIS says what came of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.rows import namedtuple_row

from local_cloud.cloud import LocalCloud
from swath import storage
from swath.messages import Backend, ModelRef, RunOptions, RunRequest, SceneRef

T = TypeVar("T")
RUNNING = {"RUNNING", "PENDING_REDRIVE"}


@dataclass(frozen=True)
class Pipeline:
    """The deployed stack, seen from outside."""

    cloud: LocalCloud

    def client(self, service: str) -> Any:
        return self.cloud.client(service)

    @property
    def outputs(self) -> dict[str, str]:
        return self.cloud.outputs

    @property
    def model(self) -> ModelRef:
        """The tests' model, as it is deployed."""
        uri = self.outputs["ModelCatalogUri"]
        bucket, key = storage.split_s3(uri)
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        entry = json.loads(body)["ships"]
        return ModelRef(name="ships", uri=f"s3://{bucket}/{entry['uri']}", digest=entry["digest"])

    @property
    def scenes(self) -> str:
        return self.outputs["ScenesBucket"]

    @property
    def results(self) -> str:
        return self.outputs["ResultsBucket"]

    @property
    def machine(self) -> str:
        return self.outputs["StateMachineArn"]

    @property
    def recorder(self) -> str:
        """The state machine that records failures."""
        found = self.client("stepfunctions").list_state_machines()["stateMachines"]
        (arn,) = (m["stateMachineArn"] for m in found if m["name"].endswith("-record-failure"))
        return str(arn)

    def queue(self, name: str) -> str:
        """The URL of the stack's queue whose name contains this."""
        urls = self.client("sqs").list_queues()["QueueUrls"]
        (found,) = (url for url in urls if f"-{name}" in url)
        return str(found)

    def drop(self, path: Path, key: str) -> str:
        """Put a file into the scenes bucket; its URI."""
        self.client("s3").put_object(Bucket=self.scenes, Key=key, Body=path.read_bytes())
        return f"s3://{self.scenes}/{key}"

    def request(
        self, uri: str, backend: Backend | str, model: ModelRef | None = None
    ) -> RunRequest:
        """Return what start_run would request, but with the caller's backend and model."""
        head = self.client("s3").head_object(Bucket=self.scenes, Key=uri.split("/", 3)[3])
        scene = SceneRef(
            uri=uri, etag=head["ETag"].strip('"'), dropped_at=head["LastModified"].isoformat()
        )
        options = RunOptions(backend=Backend(backend))
        return RunRequest.new(scene=scene, model=model or self.model, options=options)

    def start(self, request: RunRequest, *, machine: str = "") -> str:
        """Start a run; its execution's ARN."""
        return self.client("stepfunctions").start_execution(
            stateMachineArn=machine or self.machine,
            name=request.run_id,
            input=json.dumps(request.to_json()),
        )["executionArn"]

    def published(self, execution: str) -> pa.Table:
        """The GeoParquet file that a run has published, once it is over."""
        output = json.loads(self.ended(execution)["output"])
        bucket, key = storage.split_s3(output["publish"]["detections_uri"])
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return pq.read_table(pa.BufferReader(body))

    def wait(self, uri: str, *, after: int = 0, seconds: float = 300) -> Any:
        """The latest row in `swath.runs` of a scene, once there are more than `after` of them."""
        return eventually(
            lambda: (runs := self.runs(uri))[after:] and runs[-1],
            f"run {after + 1} of {uri} in the database",
            seconds,
        )

    def runs(self, uri: str) -> list[Any]:
        """The rows of `swath.runs` of a scene, the one that was recorded last at the end."""
        return self.query(
            "SELECT * FROM swath.runs WHERE scene_uri = %s ORDER BY recorded_at, run_id", uri
        )

    def summary(self, run_id: Any) -> dict[str, Any]:
        """Return what the results bucket says of a run."""
        key = f"runs/{run_id}/summary.json"
        body = self.client("s3").get_object(Bucket=self.results, Key=key)["Body"].read()
        said: dict[str, Any] = json.loads(body)
        return said

    def detections(self, uri: str) -> list[Any]:
        """The rows of `swath.detections` of a scene."""
        return self.query(
            "SELECT d.class AS label, d.score, ST_AsBinary(d.geom) AS wkb, d.run_id::text AS run_id"
            " FROM swath.detections d JOIN swath.runs r USING (run_id)"
            " WHERE r.scene_uri = %s ORDER BY d.id",
            uri,
        )

    def query(self, sql: Any, *parameters: Any) -> list[Any]:
        def rows(connection: psycopg.Connection[Any]) -> list[Any]:
            return connection.cursor(row_factory=namedtuple_row).execute(sql, parameters).fetchall()

        return query_with_retries(self.cloud.dsn(), rows)

    def executions(self) -> dict[str, str]:
        """Every execution of the state machine and its status."""
        pages = self.client("stepfunctions").get_paginator("list_executions")
        return {
            execution["name"]: execution["status"]
            for page in pages.paginate(stateMachineArn=self.machine)
            for execution in page["executions"]
        }

    def ended(self, execution: str) -> dict[str, Any]:
        """Wait until an execution is over, and return its description."""
        describe = self.client("stepfunctions").describe_execution

        def over() -> dict[str, Any] | None:
            about = describe(executionArn=execution)
            return about if about["status"] not in RUNNING else None

        return eventually(over, "the execution's end", 300) or {}

    def update_catalog(self) -> dict[str, int]:
        """Call the function as its schedule would do some minutes later."""
        functions = self.client("lambda").list_functions()["Functions"]
        (name,) = (f["FunctionName"] for f in functions if "UpdateCatalog" in f["FunctionName"])
        event = {
            "version": "0",
            "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "time": (datetime.now(UTC) + timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resources": [],
            "detail": {},
        }
        response = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        payload: dict[str, int] = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, payload
        return payload

    def wait_until_idle(self, seconds: float = 600) -> None:
        """Wait until nothing runs any more."""
        eventually(
            lambda: not RUNNING & set(self.executions().values()), "all executions' end", seconds
        )


def query_with_retries(
    dsn: str, ask: Callable[[psycopg.Connection[Any]], T], seconds: float = 30
) -> T:
    """Return what the database answers; ask it again where it restarts just now."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with psycopg.connect(dsn) as connection:
                return ask(connection)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def eventually(
    condition: Callable[[], T],
    what: str,
    seconds: float = 60,
    *,
    fails: type[BaseException] = pytest.fail.Exception,
) -> T:
    """Return the result of `condition` once it is true; fail, by name, when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.1)
    raise fails(f"waited {seconds:.0f} s for {what}")


def messages(pipeline: Pipeline, queue: str, containing: str) -> str:
    """The messages on the queue that contain a text; others are taken off it too."""
    received = pipeline.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    bodies = [json.loads(m["Body"])["Message"] for m in received.get("Messages", ())]
    for message in received.get("Messages", ()):
        pipeline.client("sqs").delete_message(
            QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"]
        )
    return "\n".join(body for body in bodies if containing in body)
