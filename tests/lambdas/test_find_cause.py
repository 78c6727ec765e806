import json

import pytest

from lambdas.find_cause import handler as module
from swath import storage
from swath.errors import TransientError
from swath.messages import JobFailure, ModelRef, RunOptions, RunRequest, SceneRef
from swath.pipeline.paths import RunPaths
from swath.settings import FindCauseSettings

RUN = "arn:aws:states:eu-west-1:123456789012:execution:swath-runs:0197"


@pytest.fixture
def work(tmp_path, set_env, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    set_env(FindCauseSettings(work_uri=str(tmp_path), results_uri=str(tmp_path / "results")))
    module.settings.cache_clear()
    yield str(tmp_path)
    module.settings.cache_clear()


def event(**detail):
    return {
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "resources": [RUN],
        "detail": {"executionArn": RUN, "name": "0197", "status": "FAILED", **detail},
    }


def test_the_event_comes_back_with_its_true_cause(work, context):
    left = JobFailure(error="OSError", cause="No space left on device", exit_code=1)
    storage.write_json(RunPaths(work, "0197").job_failure("5e1"), left.to_json())
    job = {"JobId": "5e1", "JobName": "0197", "Container": {"ExitCode": 1}}
    given = event(error="States.TaskFailed", cause=json.dumps(job), input="{}")

    found = module.handler(given, context)

    words = {"error": "OSError", "cause": "shard 0: No space left on device"}
    assert found == given | {"detail": given["detail"] | words}


def test_an_event_without_words_comes_back_with_some(work, context):
    found = module.handler(event() | {"id": "1"}, context)

    assert found["id"] == "1"
    assert found["detail"]["cause"] == "no cause was given"


def a_run():
    return RunRequest.new(
        scene=SceneRef(uri="s3://b/incoming/x.tif", etag="a", dropped_at="2026-11-21T12:00:00Z"),
        model=ModelRef(name="ships", uri="s3://m/ships.tar.gz", digest="d1"),
        options=RunOptions(),
    )


def test_the_summary_of_the_run_is_written(work, context):
    run = a_run()
    asked = json.dumps(run.to_json())

    module.handler(event(input=asked, stopDate=1_795_262_410_000, cause="no more"), context)

    summary = storage.read_json(f"{work}/results/runs/{run.run_id}/summary.json")
    assert (summary["status"], summary["cause"]) == ("failed", "no more")


def test_the_summary_is_written_without_a_cause(work, context, monkeypatch):
    def refuse(*_, **__):
        raise TransientError("not now")

    monkeypatch.setattr(module, "resolve_cause", refuse)
    run = a_run()
    asked = json.dumps(run.to_json())

    with pytest.raises(TransientError):
        module.handler(event(input=asked, stopDate=1_795_262_410_000, error="E"), context)

    summary = storage.read_json(f"{work}/results/runs/{run.run_id}/summary.json")
    assert (summary["error"], summary["cause"]) == ("E", "no cause was given")
