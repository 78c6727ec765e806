"""All flows of the stack, each run once, for tests of their calls and grants."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.faults.kinds import JobOutOfMemory
from tests.integration.archive import drop_noise
from tests.integration.pipeline import Pipeline, eventually
from tests.integration.test_pipeline import BACKENDS, write_scene
from tests.local_cloud.canaries.aws import new_name


def drive(pipeline: Pipeline, folder: Path) -> None:
    """Run every backend, every failure and every job that has a role of its own."""
    runs = [run_backend(pipeline, folder, backend, n) for backend in BACKENDS for n in range(2)]
    dropped = [drop(pipeline, folder, f"incoming/flow-{n}.tif", seed=40 + n) for n in range(2)]
    archived = [run_from_archive(pipeline, folder, backend) for backend in BACKENDS]
    archived.append(drop_noise(pipeline, folder, "incoming/flow-archive.json", seed=80))
    delivered = [deliver(pipeline, folder, n) for n in range(2)]
    fail_and_redrive(pipeline, folder)
    fail_asynchronously(pipeline, folder)
    fail_on_batch(pipeline, folder)
    invoke_with_an_image(pipeline, folder)
    train(pipeline)
    transform(pipeline)
    evaluate(pipeline)
    lose_events(pipeline)
    for uri in (*runs, *dropped, *archived, *delivered):
        run = pipeline.wait(uri)
        assert run.status == "succeeded", run.cause
    send_expired_notification(pipeline, pipeline.wait(runs[0]))
    pipeline.update_catalog()
    pipeline.wait(late := drop(pipeline, folder, "incoming/flow-late.tif", seed=44))
    pipeline.update_catalog()
    assert pipeline.wait(late).status == "succeeded"


def run_backend(pipeline: Pipeline, folder: Path, backend: Any, number: int) -> str:
    uri = drop(pipeline, folder, f"elsewhere/flow-{backend}-{number}.tif", seed=number)
    pipeline.start(pipeline.request(uri, backend))
    return uri


def run_from_archive(pipeline: Pipeline, folder: Path, backend: Any) -> str:
    """Run an Item whose files lie in a bucket of others; the Item's URI."""
    uri = drop_noise(pipeline, folder, f"elsewhere/flow-archive-{backend}.json")
    pipeline.start(pipeline.request(uri, backend))
    return uri


def drop(pipeline: Pipeline, folder: Path, key: str, *, seed: int) -> str:
    return pipeline.drop(write_scene(folder / "scene.tif", seed=seed), key)


def deliver(pipeline: Pipeline, folder: Path, number: int) -> str:
    """Drop a delivery of one file, and its marker; the file's URI."""
    drop(pipeline, folder, f"deliveries/flow-{number}/scene.tif", seed=90 + number)
    marker = folder / "marker"
    marker.write_bytes(b"")
    pipeline.drop(marker, f"deliveries/flow-{number}.done")
    return f"s3://{pipeline.scenes}/deliveries/flow-{number}/scene.tif"


def fail_and_redrive(pipeline: Pipeline, folder: Path) -> None:
    """Let two runs fail and be recorded; drop their scenes again, which redrives them."""
    uris = {}
    for number in range(2):
        key = f"incoming/no-such-model/flow-{number}.tif"
        uris[drop(pipeline, folder, key, seed=50 + number)] = key
    first = {uri: pipeline.wait(uri).ended_at for uri in uris}
    for number, key in enumerate(uris.values()):
        drop(pipeline, folder, key, seed=50 + number)
    for uri, ended in first.items():
        eventually(lambda: pipeline.runs(uri)[-1].ended_at > ended, "the second failure", 300)  # noqa: B023


def fail_asynchronously(pipeline: Pipeline, folder: Path) -> None:
    """Runs whose shard the asynchronous endpoint refuses: there is none of that index."""
    with another_definition(pipeline) as definition:
        every = definition["States"]["InferShardsOnAsyncEndpoint"]
        every["ItemSelector"] = {**every["ItemSelector"], "index": 9999}
        every["ItemSelector"].pop("index.$")
        update(pipeline, definition)
        for number in range(2):
            fail(pipeline, folder, "sagemaker-async", f"refused-{number}")


def fail_on_batch(pipeline: Pipeline, folder: Path) -> None:
    """Runs with a child job too many, which leaves its cause, and one whose job is killed."""
    with array_that_is_too_large(pipeline):
        for number in range(2):
            fail(pipeline, folder, "batch", f"job-too-many-{number}")
    with pipeline.cloud.fault(JobOutOfMemory(times=1)):
        fail(pipeline, folder, "batch", "killed")


@contextlib.contextmanager
def array_that_is_too_large(pipeline: Pipeline) -> Iterator[None]:
    """Make an array of two jobs of a plan's only shard: the second job has no shard."""
    with another_definition(pipeline) as definition:
        definition["States"]["InferShard"]["Parameters"]["ArrayProperties"] = {"Size": 2}
        update(pipeline, definition)
        yield


def fail(pipeline: Pipeline, folder: Path, backend: Any, name: str) -> Any:
    """Have a run fail; its row in the database."""
    uri = drop(pipeline, folder, f"elsewhere/flow-{name}.tif", seed=60)
    pipeline.ended(pipeline.start(pipeline.request(uri, backend)))
    run = pipeline.wait(uri)
    assert run.status == "failed"
    return run


@contextlib.contextmanager
def another_definition(pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """The deployed machine's definition, to be changed for a while."""
    machines = pipeline.client("stepfunctions")
    before = machines.describe_state_machine(stateMachineArn=pipeline.machine)["definition"]
    try:
        yield json.loads(before)
    finally:
        update(pipeline, json.loads(before))


def update(pipeline: Pipeline, definition: dict[str, Any]) -> None:
    pipeline.client("stepfunctions").update_state_machine(
        stateMachineArn=pipeline.machine, definition=json.dumps(definition)
    )


def invoke_with_an_image(pipeline: Pipeline, folder: Path) -> None:
    """Images that people send to the asynchronous endpoint, one of which is none."""
    s3, work = pipeline.client("s3"), pipeline.outputs["WorkBucket"]
    runtime = pipeline.client("sagemaker-runtime")
    scene = write_scene(folder / "image.tif", seed=70)
    for number, body in enumerate((scene.read_bytes(), scene.read_bytes(), b"no image")):
        key = f"invocations/requests/flow-{number}.tif"
        s3.put_object(Bucket=work, Key=key, Body=body)
        answer = runtime.invoke_endpoint_async(
            EndpointName=pipeline.outputs["AsyncEndpoint"],
            InputLocation=f"s3://{work}/{key}",
            ContentType="image/tiff",
        )
        places = [answer["OutputLocation"], answer["FailureLocation"]]
        eventually(lambda: any(exists(pipeline, uri) for uri in places), "an answer", 120)  # noqa: B023


def exists(pipeline: Pipeline, uri: str) -> bool:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    found = pipeline.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)
    return bool(found.get("KeyCount"))


def train(pipeline: Pipeline) -> None:
    """Training jobs on scenes and on what lies in the results bucket."""
    outputs, s3 = pipeline.outputs, pipeline.client("s3")
    training = f"s3://{outputs['ResultsBucket']}/training"
    for number in range(2):
        for bucket, key in (
            (outputs["ScenesBucket"], f"labeled/flow-{number}/scene.tif"),
            (outputs["ResultsBucket"], f"training/data/flow-{number}/labels.json"),
        ):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        channels = {
            "scenes": f"s3://{outputs['ScenesBucket']}/labeled/flow-{number}",
            "labels": f"{training}/data/flow-{number}",
        }
        pipeline.client("sagemaker").create_training_job(
            TrainingJobName=new_name(),
            RoleArn=outputs["TrainingRoleArn"],
            AlgorithmSpecification={
                "TrainingImage": outputs["TrainingImageUri"],
                "TrainingInputMode": "File",
            },
            InputDataConfig=[
                {"ChannelName": name, "DataSource": s3_source(uri)}
                for name, uri in channels.items()
            ],
            OutputDataConfig={"S3OutputPath": f"{training}/flow-{number}"},
            CheckpointConfig={"S3Uri": f"{training}/checkpoints/flow-{number}"},
            ResourceConfig={
                "InstanceType": "ml.g5.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )


def transform(pipeline: Pipeline) -> None:
    """Transform jobs with the deployed model and with trained ones."""
    outputs, sagemaker = pipeline.outputs, pipeline.client("sagemaker")
    trained = [f"training/flow-{number}/model.tar.gz" for number in range(2)]
    for key in trained:
        pipeline.client("s3").put_object(Bucket=outputs["ResultsBucket"], Key=key, Body=b"")
    models = [pipeline.model.uri, *(f"s3://{outputs['ResultsBucket']}/{key}" for key in trained)]
    models.append(f"s3://{outputs['ResultsBucket']}/training/missing/model.tar.gz")
    for number, uri in enumerate(models):
        pipeline.client("s3").put_object(
            Bucket=outputs["ScenesBucket"], Key=f"images/flow-{number}.tif", Body=b""
        )
        name = new_name()
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=outputs["ServingRoleArn"],
            PrimaryContainer={"Image": outputs["ServingImageUri"], "ModelDataUrl": uri},
        )
        with contextlib.suppress(ClientError) if "missing" in uri else contextlib.nullcontext():
            sagemaker.create_transform_job(
                TransformJobName=name,
                ModelName=name,
                TransformInput={
                    "DataSource": s3_source(f"s3://{outputs['ScenesBucket']}/images/flow-{number}")
                },
                TransformOutput={
                    "S3OutputPath": f"s3://{outputs['ResultsBucket']}/transforms/flow-{number}"
                },
                TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            )


def evaluate(pipeline: Pipeline) -> None:
    """Evaluation jobs of deployed and trained models, on scenes, and against an earlier report."""
    outputs, s3 = pipeline.outputs, pipeline.client("s3")
    results, scenes = f"s3://{outputs['ResultsBucket']}", f"s3://{outputs['ScenesBucket']}"
    for number in range(2):
        report = f"evaluations/flow-{number}/report.json"
        s3.put_object(Bucket=outputs["ResultsBucket"], Key=report, Body=b"")
        inputs = {
            "package": pipeline.model.uri,
            "trained": f"{results}/training/flow-{number}/model.tar.gz",
            "scenes": f"{scenes}/images/flow-{number}",
            "before": f"{results}/{report}",
        }
        pipeline.client("sagemaker").create_processing_job(
            ProcessingJobName=new_name(),
            RoleArn=outputs["EvaluationRoleArn"],
            AppSpecification={"ImageUri": outputs["EvaluationImageUri"]},
            ProcessingInputs=[
                {"InputName": name, "S3Input": {"S3Uri": uri, "S3DataType": "S3Prefix"}}
                for name, uri in inputs.items()
            ],
            ProcessingOutputConfig={
                "Outputs": [
                    {
                        "OutputName": "report",
                        "S3Output": {
                            "S3Uri": f"{results}/evaluations/flow-{number}",
                            "LocalPath": "/opt/ml/processing/output",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            ProcessingResources={
                "ClusterConfig": {
                    "InstanceType": "ml.m5.large",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 1,
                }
            },
        )


def lose_events(pipeline: Pipeline) -> None:
    """Events that functions fail on, time and again, until they are set aside."""
    queues = [pipeline.queue(name) for name in ("UnstartedRuns", "UnresumedRuns", "UnrecordedF")]
    for name in ("StartRun", "ResumeRun"):
        pipeline.client("lambda").invoke(
            FunctionName=function(pipeline, name), InvocationType="Event", Payload=b"{}"
        )
    pipeline.client("stepfunctions").start_execution(
        stateMachineArn=pipeline.recorder, name="no-event", input="{}"
    )
    for queue in queues:
        eventually(lambda: drain(pipeline, queue), "a dead letter", 120)  # noqa: B023


def drain(pipeline: Pipeline, queue: str) -> bool:
    sqs = pipeline.client("sqs")
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return bool(found)


def function(pipeline: Pipeline, name: str) -> str:
    functions = pipeline.client("lambda").list_functions()["Functions"]
    (found,) = (f["FunctionName"] for f in functions if f"-{name}Function" in f["FunctionName"])
    return str(found)


def send_expired_notification(pipeline: Pipeline, run: Any) -> None:
    """A run's objects are gone; every function that reads them says so."""
    s3, work = pipeline.client("s3"), pipeline.outputs["WorkBucket"]
    machine = pipeline.machine.replace(":stateMachine:", ":execution:")
    about = pipeline.ended(f"{machine}:{run.run_id}")
    done = json.loads(about["output"])
    merged = {"request": json.loads(about["input"]), "plan": done["plan"], "merge": done["merge"]}
    for found in s3.list_objects_v2(Bucket=work, Prefix=f"runs/{run.run_id}/")["Contents"]:
        s3.delete_object(Bucket=work, Key=found["Key"])
    payloads = {
        "MergeDetections": {"plan_uri": done["plan"]["uri"]},
        "LoadDetections": merged,
        "PublishResults": merged,
        "ResumeRun": notification(f"s3://{work}/runs/{run.run_id}/request.json"),
    }
    for name, payload in payloads.items():
        pipeline.client("lambda").invoke(
            FunctionName=function(pipeline, name), Payload=json.dumps(payload)
        )


def notification(request: str) -> dict[str, Any]:
    """SageMaker's word of an answer to a request, as a topic hands it to a function."""
    message = {
        "invocationStatus": "Completed",
        "requestParameters": {"endpointName": "swath-async", "inputLocation": request},
        "responseParameters": {"outputLocation": f"{request}.out"},
        "inferenceId": "1",
    }
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


def s3_source(uri: str) -> dict[str, Any]:
    return {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
