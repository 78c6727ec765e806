import pytest

from lambdas.load_detections import handler as module
from swath.errors import PayloadError
from swath.messages import PlanSummary
from tests.helpers.runs import run_request


@pytest.fixture
def payload(merged):
    plan = PlanSummary(uri="s3://work/runs/1/plan.json", backend="batch", shards=1, tiles=9)
    return {
        "request": run_request().to_json(),
        "merge": merged(5).to_json(),
        "plan": plan.to_json(),
    }


@pytest.fixture(autouse=True)
def fresh_settings():
    module.settings.cache_clear()
    yield
    module.settings.cache_clear()


def test_a_run_is_loaded(database_env, connection, payload, context):
    assert module.handler(payload, context) == {"rows": 5, "superseded": False}
    row = connection.execute("SELECT status, backend, detections FROM swath.runs").fetchone()
    assert row == ("succeeded", "batch", 5)
    assert connection.execute("SELECT count(*) FROM swath.detections").fetchone() == (5,)


def test_a_payload_without_its_merge_is_refused(database_env, payload, context):
    del payload["merge"]
    with pytest.raises(PayloadError, match="merge"):
        module.handler(payload, context)
