"""Faults of the programs beside the command: jobs, functions, and the local cloud."""

import json

from tests.errors.fault import Fault

_JOBS, _FUNCTIONS, _LOCAL = "Jobs by hand", "Functions", "The local cloud"
_USAGE, _INPUT = 2, 65


def jobs():
    """The programs of the containers, run by hand."""
    shard = "batch_jobs.infer_shard"
    plan = ("--plan-uri", "absent/runs/r/plan.json")
    for wrong, words, env, code in (
        ("no plan is named", (), {}, _USAGE),
        ("the plan is absent", plan, {}, _INPUT),
        ("the address is of no plan", ("--plan-uri", "nowhere"), {}, _INPUT),
        ("the index is a word", plan, {"AWS_BATCH_JOB_ARRAY_INDEX": "one"}, _USAGE),
        ("the device is unknown", plan, {"SWATH_DEVICE": "tpu"}, _INPUT),
    ):
        yield Fault(_JOBS, wrong, words, code, env, program=shard)
    train = "sagemaker_jobs.train_model"
    for wrong, words, folder, code in (
        ("no scenes", (), "job/none", _INPUT),
        ("hyperparameters of broken JSON", (), "job/broken", _INPUT),
        ("hyperparameters of deep JSON", (), "job/deep", _INPUT),
        ("hyperparameters that are a list", (), "job/list", _INPUT),
        ("a number among the hyperparameters", (), "job/number", _INPUT),
        ("an unknown hyperparameter", (), "job/unknown", _INPUT),
        ("a hyperparameter out of range", (), "job/range", _INPUT),
    ):
        env = {"SM_INPUT_DIR": folder, "SM_OUTPUT_DIR": "job/out", "SM_MODEL_DIR": "job/model",
               "SM_CHECKPOINT_DIR": "job/checkpoints"}  # fmt: skip
        yield Fault(_JOBS, wrong, words, code, env, program=train)
    serve = "sagemaker_jobs.serve_model"
    here = {"SWATH_SERVE_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": "0"}
    for wrong, env, code in (
        ("no model to serve", {"SM_MODEL_DIR": "absent"}, _INPUT),
        ("a model that is none", {"SM_MODEL_DIR": "packages/broken-json"}, _INPUT),
        ("the port is a word", {"SAGEMAKER_BIND_TO_PORT": "http"}, _USAGE),
        ("the port is in use", {"SM_MODEL_DIR": "packages/good",
                                "SAGEMAKER_BIND_TO_PORT": "{used}"}, 3),
        ("a setting is a word", {"SWATH_SERVE_WAITING": "many"}, _USAGE),
    ):  # fmt: skip
        yield Fault(_JOBS, wrong, (), code, here | env, program=serve)


_DROP = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "time": "2026-01-01T00:00:00Z",
    "detail": {
        "bucket": {"name": "b"},
        "object": {"key": "incoming/a.tif", "etag": "e", "size": 1},
    },
}
_START = {
    "SWATH_STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m",
    "SWATH_CATALOG_URI": "models.json",
    "SWATH_DEFAULT_MODEL": "ships",
    "SWATH_WORK_URI": "work",
}


def functions():
    """The Lambda functions, with settings or events that are missing or wrong."""
    for wrong, name, event, env in (
        ("no settings", "start_run", _DROP, {}),
        ("no catalog", "start_run", _DROP, _START),
        ("a catalog that is none", "start_run", _DROP,
         _START | {"SWATH_CATALOG_URI": "options/list.json"}),
        ("a share in words", "start_run", _DROP, _START | {"SWATH_TOLERATED_FAILURES": "some"}),
        ("an empty event", "plan_scene", {}, {"SWATH_WORK_URI": "work"}),
        ("an empty event", "infer_shard", {}, {}),
        ("an event of another form", "infer_shard", {"plan_uri": 7, "index": 0}, {}),
        ("a plan that is absent", "infer_shard",
         {"plan_uri": "absent/runs/r/plan.json", "index": 0}, {}),
        ("an empty event", "invoke_endpoint", {}, {}),
        ("an empty event", "submit_shard", {}, {}),
        ("an empty event", "merge_detections", {}, {}),
        ("a plan that is absent", "merge_detections", {"plan_uri": "absent/runs/r/plan.json"}, {}),
        ("an empty event", "load_detections", {}, {}),
        ("an empty event", "publish_results", {}, {}),
        ("no settings", "prepare_database", {}, {}),
        ("no settings", "migrate_database", {}, {}),
        ("a port in words", "migrate_database", {},
         {"SWATH_DATABASE_HOST": "h", "SWATH_DATABASE_PORT": "many"}),
        ("an event about no run", "record_failure", {"detail": {}}, {}),
        ("a message that is none", "resume_run", {"Records": [{"Sns": {"Message": "x"}}]},
         {"SWATH_WORK_URI": "work"}),
    ):  # fmt: skip
        yield Fault(
            _FUNCTIONS, f"{name}: {wrong}", (name, json.dumps(event)), 1, env, program="function"
        )


def local_cloud():
    """`swath local up` where something is missing or wrong."""
    up = ("local", "up")
    for wrong, words, env, code in (
        ("a setting without a value", (*up, "--context", "nothing"), {}, 1),
        ("a setting of something else", (*up, "--context", "color=red"), {}, 1),
        ("an unknown setting", (*up, "--context", "swath:color=red"), {}, 1),
        ("a setting in words", (*up, "--context", "swath:lambda_max_tiles=many"), {}, 1),
        ("no folder of models", (*up, "--context", "swath:models_dir=absent"), {}, 1),
        ("a port out of range", (*up, "--port", "70000"), {}, 2),
        ("a port in use", (*up, "--port", "{used}"), {}, 1),
        ("no Node.js", (*up, "--context", "swath:work_retention_days=31"),
         {"PATH": "/usr/sbin"}, 1),
        ("no DSN", up, {"SWATH_POSTGIS_SERVER": "no dsn at all"}, 1),
        ("a database that is not there", up,
         {"SWATH_POSTGIS_SERVER": "postgresql://u@127.0.0.1:{closed}/d"}, 1),
    ):  # fmt: skip
        yield Fault(_LOCAL, wrong, words, code, env)
