import json

import pytest

from lambdas.record_failure import handler as module
from tests.helpers.runs import run_request


@pytest.fixture(autouse=True)
def fresh_settings():
    module.settings.cache_clear()
    yield
    module.settings.cache_clear()


@pytest.fixture
def event():
    """An event: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html."""
    request = run_request()
    machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:swath"
    execution = f"{machine.replace('stateMachine', 'execution')}:{request.run_id}"
    return {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "time": "2026-11-21T12:00:10Z",
        "region": "eu-west-1",
        "resources": [execution],
        "detail": {
            "executionArn": execution,
            "stateMachineArn": machine,
            "name": request.run_id,
            "status": "FAILED",
            "startDate": 1795262400000,
            "stopDate": 1795262410000,
            "input": json.dumps(request.to_json()),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": None,
            "error": "SceneError",
            "cause": json.dumps({"errorMessage": "x.tif has no CRS", "errorType": "SceneError"}),
        },
    }


def test_a_failed_execution_is_recorded(database_env, connection, event, context):
    assert module.handler(event, context) == {"run_id": run_request().run_id, "recorded": True}
    row = connection.execute("SELECT status, error, cause FROM swath.runs").fetchone()
    assert row == ("failed", "SceneError", "x.tif has no CRS")


def test_a_failure_that_is_no_longer_news_is_let_go(database_env, connection, event, context):
    connection.execute(
        "INSERT INTO swath.runs (run_id, scene_uri, scene_etag, scene_dropped_at, model,"
        " model_digest, options, status, ended_at)"
        " VALUES (%s, 's', 'e', now(), 'm', 'd', '{}', 'succeeded', now())",
        [run_request().run_id],
    )
    connection.commit()
    assert module.handler(event, context)["recorded"] is False
