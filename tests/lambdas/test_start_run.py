"""start_run on moto's S3 and Step Functions."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from lambdas.start_run import handler as module
from swath import storage
from swath.errors import SettingsError
from swath.messages import RunRequest
from swath.settings import StartRunSettings
from tests.helpers import deliveries


@pytest.fixture
def aws():
    module.configuration.cache_clear()
    storage.s3.cache_clear()
    # A local cloud that ran in this process has executions really run.
    with mock_aws(config={"stepfunctions": {"execute_state_machine": False}}):
        yield
    module.configuration.cache_clear()
    storage.s3.cache_clear()


@pytest.fixture
def machine(aws, set_env):
    """A state machine, a catalog of one model, and the settings that lead there."""
    for bucket in ("assets", "work"):
        boto3.client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    entry = {"uri": "ships.tar.gz", "digest": "d1"}
    storage.write_json("s3://assets/catalog.json", {"ships": entry})
    arn = boto3.client("stepfunctions").create_state_machine(
        name="swath",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )["stateMachineArn"]
    set_env(
        StartRunSettings(
            state_machine_arn=arn,
            catalog_uri="s3://assets/catalog.json",
            default_model="ships",
            work_uri="s3://work",
            backend="lambda",
        )
    )
    return arn


def object_created(key, *, etag="0123abcd", size=1000):
    """S3's event, as in https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-11-21T12:00:00Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:s3:::scenes"],
        "detail": {
            "version": "0",
            "bucket": {"name": "scenes"},
            "object": {"key": key, "size": size, "etag": etag, "sequencer": "00617F08299329D189"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def executions(machine):
    states = boto3.client("stepfunctions")
    return [
        states.describe_execution(executionArn=execution["executionArn"])
        for execution in states.list_executions(stateMachineArn=machine)["executions"]
    ]


def test_an_object_starts_the_execution_of_its_run(machine, context):
    result = module.handler(object_created("incoming/x.tif"), context)

    (execution,) = executions(machine)
    assert result["outcome"] == "started"
    assert execution["name"] == result["run_id"]
    sent = RunRequest.from_json(json.loads(execution["input"])).to_json()
    asked = datetime.now(UTC) - datetime.fromisoformat(sent.pop("requested_at"))
    assert timedelta() <= asked < timedelta(minutes=1)
    assert sent == {
        "run_id": result["run_id"],
        "scene": {
            "uri": "s3://scenes/incoming/x.tif",
            "etag": "0123abcd",
            "dropped_at": "2026-11-21T12:00:00Z",
            "sequencer": "00617F08299329D189",
        },
        "model": {"name": "ships", "uri": "s3://assets/ships.tar.gz", "digest": "d1"},
        "options": {"backend": "lambda", "tolerated_failures": 0.0},
    }


def test_the_event_delivered_again_starts_nothing(machine, context):
    event = object_created("incoming/x.tif")
    first, again = module.handler(event, context), module.handler(event, context)
    # While the execution runs, Step Functions answers the second start as it did the first.
    assert again["outcome"] in {"started", "duplicate"}
    assert again["execution"] == first["execution"]
    assert len(executions(machine)) == 1


def test_the_object_dropped_again_starts_nothing(machine, context):
    first = object_created("incoming/x.tif")
    again = first | {"time": "2026-11-21T12:01:00Z"}
    outcomes = [module.handler(event, context)["outcome"] for event in (first, again)]
    assert outcomes == ["started", "duplicate"]
    assert len(executions(machine)) == 1


def run_ended(execution, status="ABORTED"):
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    return {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "time": "2026-11-21T12:00:01Z",
        "region": "eu-west-1",
        "resources": [execution["executionArn"]],
        "detail": {
            "executionArn": execution["executionArn"],
            "stateMachineArn": execution["stateMachineArn"],
            "name": execution["name"],
            "status": status,
            "startDate": 1763726400000,
            "stopDate": round(datetime.now(UTC).timestamp() * 1000),
            "input": execution["input"],
            "output": None,
            "error": None,
            "cause": None,
        },
    }


def test_the_end_of_a_failed_run_starts_the_drop_that_waited(machine, context):
    module.handler(object_created("incoming/x.tif"), context)
    again = object_created("incoming/x.tif") | {"time": "2026-11-21T12:01:00Z"}
    again["detail"]["object"]["sequencer"] = "00617F08299329D190"
    assert module.handler(again, context)["outcome"] == "duplicate"
    (execution,) = executions(machine)
    boto3.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])

    result = module.handler(run_ended(execution), context)

    assert result["outcome"] == "started"
    (other,) = (e for e in executions(machine) if e["name"] != execution["name"])
    scene = json.loads(other["input"])["scene"]
    assert scene["sequencer"] == "00617F08299329D190"
    assert scene["dropped_at"] == "2026-11-21T12:01:00Z"


@pytest.mark.parametrize(
    "key", ["incoming/a b+c.tif", "incoming/100%25.tif", "incoming/港/衛星.tif", 'incoming/"q".tif']
)
def test_a_key_is_taken_as_it_is(machine, context, key):
    module.handler(object_created(key), context)
    (execution,) = executions(machine)
    assert json.loads(execution["input"])["scene"]["uri"] == f"s3://scenes/{key}"


def test_the_folder_picks_the_model_even_if_there_is_none(machine, context):
    module.handler(object_created("incoming/trees/x.tif"), context)
    (execution,) = executions(machine)
    assert json.loads(execution["input"])["model"] == {
        "name": "trees",
        "uri": "",
        "digest": "",
        "deployed": ["ships"],
    }


@pytest.mark.parametrize("key", ["incoming/", "incoming/x.tif.aux.xml"])
def test_files_beside_scenes_are_ignored(machine, context, key):
    assert module.handler(object_created(key, size=0), context)["outcome"] == "ignored"
    assert executions(machine) == []


def test_a_missing_setting_is_named(aws, context, monkeypatch):
    monkeypatch.delenv("SWATH_STATE_MACHINE_ARN", raising=False)
    with pytest.raises(SettingsError, match="SWATH_STATE_MACHINE_ARN"):
        module.handler(object_created("incoming/x.tif"), context)


def test_the_parts_of_a_delivery_start_one_run(machine, context):
    boto3.client("s3").create_bucket(
        Bucket="scenes", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    events = []
    for path, content in deliveries.landsat().items():
        key = f"deliveries/x/{path}"
        stored = boto3.client("s3").put_object(Bucket="scenes", Key=key, Body=content)
        events.append(object_created(key, etag=stored["ETag"].strip('"'), size=len(content)))

    outcomes = [module.handler(event, context)["outcome"] for event in [*events, events[0]]]

    # All parts are there when the first event comes, but only the manifest says so.
    assert outcomes == ["waiting"] * 7 + ["started", "duplicate"]
    (execution,) = executions(machine)
    scene = json.loads(execution["input"])["scene"]
    assert scene["scene_id"] == f"landsat-c2-l2/{deliveries.LANDSAT_ID}"
