"""The endpoints: what they serve, how they scale, and how a new package gets there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.images import ROOT
from swath.models.packing import package_digest

KINDS = ("Realtime", "Async", "Serverless")
ON_HOSTS = ("Realtime", "Async")


def variant(stack: Any, kind: str) -> dict[str, Any]:
    (found,) = stack.one("AWS::SageMaker::EndpointConfig", f"Serve{kind}")["ProductionVariants"]
    return found


def policies(stack: Any, kind: str) -> dict[str, dict[str, Any]]:
    """The scaling policies by their type, of which there is one each."""
    found = stack.resources("AWS::ApplicationAutoScaling::ScalingPolicy", f"Serve{kind}").values()
    by_type = {policy["PolicyType"]: policy for policy in found}
    assert len(by_type) == len(found)
    return by_type


def target(stack: Any, kind: str) -> dict[str, Any]:
    return stack.one("AWS::ApplicationAutoScaling::ScalableTarget", f"Serve{kind}")


def tags(properties: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties["Tags"]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_serves_the_default_model(everything: Any, kind: str, models_dir: Path):
    model = everything.one("AWS::SageMaker::Model", f"Serve{kind}")
    uri = model["PrimaryContainer"]["ModelDataUrl"]["Fn::Sub"]

    # Other suffixes, and `ModelDataSource` on serverless endpoints, SageMaker does not take.
    assert uri.startswith("s3://cdk-")
    assert uri.endswith(".tar.gz")
    key = uri.rpartition("/")[2]
    catalog = {entry["digest"]: entry["uri"] for entry in catalog_of(everything).values()}
    digest = package_digest(models_dir / "ships")
    assert catalog[digest] == key
    assert tags(model) == {"swath:model": "ships", "swath:digest": digest}
    config = everything.one("AWS::SageMaker::EndpointConfig", f"Serve{kind}")
    assert tags(config) == tags(model)


def catalog_of(stack: Any) -> dict[str, dict[str, str]]:
    env = stack.one("AWS::Lambda::Function", "StartRunFunction")["Environment"]["Variables"]
    name = env["SWATH_CATALOG_URI"]["Fn::Sub"].rsplit("/", 1)[1]
    return json.loads((stack.folder / f"asset.{name}").read_text())


def test_another_package_is_another_model_behind_the_same_endpoint(
    synthesize: Callable[..., Any], everything: Any, tmp_path: Path
):
    (tmp_path / "ships").mkdir()
    (tmp_path / "ships" / "mlm.json").write_text(json.dumps({"id": "ships", "version": 2}))
    changed = synthesize(models_dir=str(tmp_path), endpoints="realtime,async,serverless")

    for kind in KINDS:
        # What CloudFormation replaces, model and configuration, has no name that could be taken.
        for part, name in (("Model", "ModelName"), ("EndpointConfig", "EndpointConfigName")):
            old, new = (
                stack.one(f"AWS::SageMaker::{part}", f"Serve{kind}")
                for stack in (everything, changed)
            )
            assert tags(old)["swath:digest"] != tags(new)["swath:digest"]
            assert name not in new
        old, new = (
            stack.one("AWS::SageMaker::Endpoint", f"Serve{kind}") for stack in (everything, changed)
        )
        assert old == new
        assert new["EndpointName"] == f"swath-{kind.lower()}"


def test_the_digest_in_the_tags_is_what_changes_the_model(everything: Any):
    models = everything.resources("AWS::SageMaker::Model")
    configs = everything.resources("AWS::SageMaker::EndpointConfig")

    assert len(models) == len(configs) == 3
    for config in configs.values():
        ((name, attribute),) = (v["ModelName"]["Fn::GetAtt"] for v in config["ProductionVariants"])
        assert name in models
        assert attribute == "ModelName"


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_made_once_its_role_may_read_it(everything: Any, kind: str):
    (model,) = (
        resource
        for name, resource in everything.json["Resources"].items()
        if name.startswith(f"Serve{kind}Model") and resource["Type"] == "AWS::SageMaker::Model"
    )

    assert any("RoleDefaultPolicy" in name for name in model["DependsOn"])


@pytest.mark.parametrize(
    ("kind", "alarms"),
    [
        ("Realtime", {"Invocation5XXErrors": "Average", "ModelLatency": "Average"}),
        (
            "Async",
            {
                "Invocation5XXErrors": "Average",
                "NotificationFailures": "Sum",
                "InvocationFailures": "Sum",
            },
        ),
        ("Serverless", {"Invocation5XXErrors": "Average", "ModelLatency": "Average"}),
    ],
)
def test_a_rollout_is_blue_green_and_goes_back_when_an_alarm_goes_off(
    everything: Any, kind: str, alarms: dict[str, str]
):
    config = everything.one("AWS::SageMaker::Endpoint", f"Serve{kind}")["DeploymentConfig"]
    watched = [
        everything.json["Resources"][alarm["AlarmName"]["Ref"]]["Properties"]
        for alarm in config["AutoRollbackConfiguration"]["Alarms"]
    ]

    policy = config["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
    wait = policy["TerminationWaitInSeconds"]
    # The old hosts stay for longer than an alarm takes to notice.
    assert all(wait >= 3 * alarm["Period"] * alarm["EvaluationPeriods"] for alarm in watched)
    assert policy["MaximumExecutionTimeoutInSeconds"] > wait
    assert {alarm["MetricName"]: alarm["Statistic"] for alarm in watched} == alarms
    for alarm in watched:
        dimensions = {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
        assert dimensions == {
            "EndpointName": f"swath-{kind.lower()}",
            "VariantName": variant(everything, kind)["VariantName"],
        }
        assert alarm["Namespace"] == "AWS/SageMaker"
        # Silence is no failure: an idle endpoint sends nothing.
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["AlarmActions"][0]["Ref"].startswith("FailuresTopic")


@pytest.mark.parametrize(
    ("metric", "minutes"),
    [
        ("Invocation5XXErrors", (2, 3)),
        ("InvocationFailures", (2, 3)),
        ("NotificationFailures", (1, 1)),
        ("ExpiredRequests", (1, 1)),
    ],
)
def test_one_failing_request_alarms_nobody_and_a_lost_one_does(
    everything: Any, metric: str, minutes: tuple[int, int]
):
    (alarm,) = (
        alarm
        for alarm in everything.resources("AWS::CloudWatch::Alarm", "ServeAsync").values()
        if alarm["MetricName"] == metric
    )

    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == minutes
    assert {d["Name"] for d in alarm["Dimensions"]} == {"EndpointName", "VariantName"}
    assert alarm["AlarmActions"][0]["Ref"].startswith("FailuresTopic")


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_may_create_its_own_log_group_and_no_other(everything: Any, kind: str):
    statements = [
        statement
        for policy in everything.resources("AWS::IAM::Policy", f"Serve{kind}Role").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if "logs:CreateLogGroup" in statement["Action"]
    ]

    (statement,) = statements
    group, attribute = statement["Resource"]["Fn::GetAtt"]
    logs = everything.json["Resources"][group]["Properties"]
    assert attribute == "Arn"
    assert logs["LogGroupName"] == f"/aws/sagemaker/Endpoints/swath-{kind.lower()}"


def test_transforms_compute_on_the_cpu_whatever_endpoints_there_are(synthesize: Callable[..., Any]):
    stack = synthesize(endpoints="async")
    image = stack.json["Outputs"]["ServingImageUri"]["Value"]["Fn::Sub"].rsplit(":", 1)[1]
    manifest = json.loads(next(stack.folder.glob("*.assets.json")).read_text())

    # The Dockerfile's own choice is a CPU's.
    assert "dockerBuildArgs" not in manifest["dockerImages"][image]["source"]


def test_a_slow_answer_is_noticed_before_it_is_cut_off(everything: Any):
    (alarm,) = (
        alarm
        for name, alarm in everything.resources("AWS::CloudWatch::Alarm", "ServeRealtime").items()
        if "Latency" in name
    )

    # Microseconds, of the sixty seconds that there are.
    assert alarm["Threshold"] == 45_000_000


def test_the_asynchronous_endpoint_goes_to_no_host_and_comes_back(everything: Any):
    scaled, by_type = target(everything, "Async"), policies(everything, "Async")

    assert (scaled["MinCapacity"], scaled["MaxCapacity"]) == (0, 2)
    assert set(by_type) == {"TargetTrackingScaling", "StepScaling"}
    tracking = by_type["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["CustomizedMetricSpecification"] == {
        "Namespace": "AWS/SageMaker",
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Dimensions": [{"Name": "EndpointName", "Value": "swath-async"}],
        "Statistic": "Average",
    }
    assert tracking.get("DisableScaleIn") is not True
    step = by_type["StepScaling"]["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ChangeInCapacity"
    assert step["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]


def test_a_request_at_no_host_wakes_one(everything: Any):
    (alarm,) = (
        alarm
        for alarm in everything.resources("AWS::CloudWatch::Alarm", "ServeAsync").values()
        if alarm["MetricName"] == "HasBacklogWithoutCapacity"
    )
    (action,) = alarm["AlarmActions"]

    policy, attribute = action["Fn::GetAtt"]
    assert attribute == "Arn"
    assert everything.json["Resources"][policy]["Properties"]["PolicyType"] == "StepScaling"
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert alarm["Dimensions"] == [{"Name": "EndpointName", "Value": "swath-async"}]


def test_the_real_time_endpoint_is_scaled_by_the_requests_under_way(everything: Any):
    scaled, by_type = target(everything, "Realtime"), policies(everything, "Realtime")

    assert (scaled["MinCapacity"], scaled["MaxCapacity"]) == (1, 2)
    assert set(by_type) == {"TargetTrackingScaling"}
    tracking = by_type["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["PredefinedMetricSpecification"]["PredefinedMetricType"] == (
        "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    )
    endpoint = everything.one("AWS::SageMaker::Endpoint", "ServeRealtime")
    assert endpoint["RetainAllVariantProperties"] is True


@pytest.mark.parametrize("kind", ON_HOSTS)
def test_a_run_alone_keeps_all_hosts_busy(everything: Any, kind: str):
    """Check that a run alone asks for more at a time than one host is to have."""
    shards = everything.machine["States"][f"InferShardsOn{kind}Endpoint"]["MaxConcurrency"]
    tracking = policies(everything, kind)["TargetTrackingScaling"]
    wanted = tracking["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]

    assert shards / target(everything, kind)["MaxCapacity"] > wanted


@pytest.mark.parametrize("kind", ON_HOSTS)
def test_what_is_scaled_is_the_variant_of_the_endpoint(everything: Any, kind: str):
    scaled = target(everything, kind)
    prefix, endpoint, suffix = scaled["ResourceId"]["Fn::Join"][1]

    assert (prefix, suffix) == ("endpoint/", f"/variant/{variant(everything, kind)['VariantName']}")
    assert endpoint["Fn::GetAtt"][0].startswith(f"Serve{kind}Endpoint")
    assert scaled["ScalableDimension"] == "sagemaker:variant:DesiredInstanceCount"
    assert "ServerlessConfig" not in variant(everything, kind)


def test_the_asynchronous_endpoint_tells_the_function_of_success_and_of_failure(everything: Any):
    config = everything.one("AWS::SageMaker::EndpointConfig", "ServeAsync")
    output = config["AsyncInferenceConfig"]["OutputConfig"]
    subscriptions = everything.resources("AWS::SNS::Subscription", "ResumeRun").values()

    topics = output["NotificationConfig"]
    assert {topics["SuccessTopic"]["Ref"], topics["ErrorTopic"]["Ref"]} == {
        subscription["TopicArn"]["Ref"] for subscription in subscriptions
    }
    assert topics["SuccessTopic"] != topics["ErrorTopic"]
    for subscription in subscriptions:
        assert subscription["Protocol"] == "lambda"
        lost = subscription["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert lost.startswith("UnresumedRunsQueue")
    for path, folder in (("S3OutputPath", "answers"), ("S3FailurePath", "failures")):
        _, (start, bucket, rest) = output[path]["Fn::Join"]
        assert (start, rest) == ("s3://", f"/invocations/{folder}")
        assert bucket["Ref"].startswith("StorageWork")


def test_a_notification_that_cannot_be_handled_is_kept_and_told_of(everything: Any):
    invoke = everything.one("AWS::Lambda::EventInvokeConfig", "ResumeRun")
    alarm = everything.one("AWS::CloudWatch::Alarm", "UnresumedRuns")

    lost = invoke["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    assert lost.startswith("UnresumedRunsQueue")
    assert alarm["AlarmActions"][0]["Ref"].startswith("FailuresTopic")


def test_the_topics_take_tls_only(everything: Any):
    for policy in everything.resources("AWS::SNS::TopicPolicy", "ServeAsync").values():
        (denied,) = policy["PolicyDocument"]["Statement"]
        assert denied["Effect"] == "Deny"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_gpu_hosts_get_the_gpu_image_and_a_driver_for_it(everything: Any):
    for kind in ON_HOSTS:
        assert variant(everything, kind)["InstanceType"] == "ml.g5.xlarge"
        container = everything.one("AWS::SageMaker::Model", f"Serve{kind}")["PrimaryContainer"]
        assert container["Environment"]["SWATH_DEVICE"] == "cuda"
        # CUDA 13 needs driver 580.
        ami = variant(everything, kind)["InferenceAmiVersion"]
        assert ami == "al2023-ami-sagemaker-inference-gpu-4-1"
        gpu = ROOT / dockerfile(everything, kind)
        assert gpu.name == "gpu.Dockerfile"
        assert "\nFROM nvidia/cuda:13" in gpu.read_text()
    assert dockerfile(everything, "Serverless") == "sagemaker_jobs/serve_model/Dockerfile"


def test_hosts_without_a_gpu_get_the_image_of_the_serverless_endpoint(
    synthesize: Callable[..., Any],
):
    stack = synthesize(
        endpoints="realtime,serverless",
        endpoint_instance_type="ml.c7i.xlarge",
        endpoint_max_instances=5,
        serverless_memory_mib=6144,
        serverless_max_concurrency=50,
    )

    assert image(stack, "Realtime") == image(stack, "Serverless")
    assert "InferenceAmiVersion" not in variant(stack, "Realtime")
    assert target(stack, "Realtime")["MaxCapacity"] == 5
    assert variant(stack, "Serverless")["ServerlessConfig"] == {
        "MemorySizeInMB": 6144,
        "MaxConcurrency": 50,
    }
    shards = stack.machine["States"]["InferShardsOnServerlessEndpoint"]
    assert shards["MaxConcurrency"] == 50


def image(stack: Any, kind: str) -> str:
    model = stack.one("AWS::SageMaker::Model", f"Serve{kind}")
    return model["PrimaryContainer"]["Image"]["Fn::Sub"].rsplit(":", 1)[1]


def dockerfile(stack: Any, kind: str) -> str:
    assets = json.loads(next(stack.folder.glob("*.assets.json")).read_text())
    source = assets["dockerImages"][image(stack, kind)]["source"]
    assert source["platform"] == "linux/amd64"
    return str(source["dockerFile"])


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoints_log_is_the_stacks_before_it_is_sagemakers(everything: Any, kind: str):
    group = everything.one("AWS::Logs::LogGroup", f"Serve{kind}")
    (endpoint,) = (
        resource
        for name, resource in everything.json["Resources"].items()
        if name.startswith(f"Serve{kind}Endpoint")
    )

    assert group["LogGroupName"] == f"/aws/sagemaker/Endpoints/swath-{kind.lower()}"
    assert any(name.startswith(f"Serve{kind}Logs") for name in endpoint["DependsOn"])


def test_no_endpoint_is_in_a_network(everything: Any):
    for model in everything.resources("AWS::SageMaker::Model").values():
        assert "VpcConfig" not in model
        # It would keep the container from S3, where shards and scenes are.
        assert not model.get("EnableNetworkIsolation")


def test_plan_scene_knows_which_endpoints_there_are(everything: Any, dev: Any):
    for stack, kinds in ((everything, "realtime,async,serverless"), (dev, "serverless")):
        env = stack.one("AWS::Lambda::Function", "PlanScene")["Environment"]["Variables"]
        assert env["SWATH_ENDPOINTS"] == kinds
