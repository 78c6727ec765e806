from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.images import ROOT
from local_cloud.stacks.template import references
from swath.errors import SettingsError
from tests.helpers.documented import PAGES, commands
from tests.helpers.stacks import OUTPUTS

STATEFUL = ("AWS::S3::Bucket", "AWS::RDS::DBCluster")


def test_production_outlives_its_stack(production: Any):
    for resource in production.json["Resources"].values():
        if resource["Type"] in STATEFUL:
            assert resource["DeletionPolicy"] == "Retain"
            assert resource["UpdateReplacePolicy"] == "Retain"
    assert production.one("AWS::RDS::DBCluster")["DeletionProtection"] is True


def test_dev_goes_with_its_stack_but_for_the_bucket_that_gets_logs_for_hours(dev: Any):
    kept = {
        name for name, r in dev.json["Resources"].items() if r.get("DeletionPolicy") == "Retain"
    }

    assert kept == {*dev.resources("AWS::S3::Bucket", "StorageLogs"), *policies_of(dev, "Logs")}
    assert dev.one("AWS::RDS::DBCluster")["DeletionProtection"] is False


def policies_of(stack: Any, bucket: str) -> set[str]:
    return set(stack.resources("AWS::S3::BucketPolicy", f"Storage{bucket}Policy"))


@pytest.mark.parametrize("stage", ["dev", "production"])
def test_what_stays_depends_on_nothing_that_goes(stage: str, request: pytest.FixtureRequest):
    """EC2 and S3 refuse to delete what something else is in; a bucket's policy is part of it."""
    resources = request.getfixturevalue(stage).json["Resources"]
    kept = {name for name, r in resources.items() if r.get("DeletionPolicy") == "Retain"}
    policies = {name for name, r in resources.items() if r["Type"] == "AWS::S3::BucketPolicy"}

    def needed(name: str) -> set[str]:
        # The ARNs in a policy's statements are text: they may outlive what they name.
        whole = resources[name]
        return references(whole["Properties"]["Bucket"] if name in policies else whole)

    missing = {
        f"{name} -> {other}"
        for name in kept
        for other in needed(name) & resources.keys()
        if other not in kept
    }

    assert kept
    assert missing == set()
    assert {name for name in policies if needed(name) & kept} == policies & kept
    assert {name for name in kept if resources[name]["UpdateReplacePolicy"] == "Retain"} == kept


def test_production_keeps_the_network_that_its_database_is_in(production: Any):
    for name, resource in production.json["Resources"].items():
        if resource["Type"].startswith("AWS::EC2::") and "LaunchTemplate" not in resource["Type"]:
            assert resource["DeletionPolicy"] == "Retain", name


def test_nothing_is_paid_for_by_the_hour_while_nothing_runs(dev: Any):
    dev.template.resource_count_is("AWS::EC2::NatGateway", 0)
    dev.template.resource_count_is("AWS::EC2::EIP", 0)
    dev.template.resource_count_is("AWS::Lambda::ProvisionedConcurrencyConfig", 0)
    dev.template.resource_count_is("AWS::RDS::DBProxy", 0)
    assert [e["VpcEndpointType"] for e in dev.resources("AWS::EC2::VPCEndpoint").values()] == [
        "Gateway"
    ]
    assert {
        environment["ComputeResources"]["MinvCpus"]
        for environment in dev.resources("AWS::Batch::ComputeEnvironment").values()
    } == {0}
    assert dev.one("AWS::RDS::DBCluster")["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0
    (variant,) = dev.one("AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    assert "ServerlessConfig" in variant
    assert "ProvisionedConcurrency" not in variant["ServerlessConfig"]


def test_only_the_triggers_run_while_the_stack_is_deployed(dev: Any):
    custom = {
        resource["Type"]
        for resource in dev.json["Resources"].values()
        if resource["Type"].startswith(("Custom::", "AWS::CloudFormation::"))
    }

    assert custom == {"Custom::Trigger"}


def test_a_rollback_calls_no_version_that_has_lain_idle(dev: Any):
    """CDK's provider retries no call of a function that Lambda has deactivated."""
    for name in ("DatabasePrepared", "DatabaseMigrated"):
        handler = dev.json["Resources"][name]["Properties"]["HandlerArn"]
        assert handler["Fn::Join"][1][-1] == ":$LATEST"


def test_the_database_is_prepared_then_migrated_then_scenes_are_let_in(dev: Any):
    resources = dev.json["Resources"]
    rule = next(name for name in resources if name.startswith("StartRunSceneDropped"))
    cluster = next(iter(dev.resources("AWS::RDS::DBInstance")))

    assert cluster in resources["DatabasePrepared"]["DependsOn"]
    assert "DatabasePrepared" in resources["DatabaseMigrated"]["DependsOn"]
    assert "DatabaseMigrated" in resources[rule]["DependsOn"]
    # The old release works with the new schema, but not the other way round.
    for writer in ("LoadDetectionsFunction", "RecordFailureFunction"):
        functions = [
            resource
            for name, resource in resources.items()
            if name.startswith(writer) and resource["Type"] == "AWS::Lambda::Function"
        ]
        assert len(functions) == 1
        assert "DatabaseMigrated" in functions[0]["DependsOn"]
    for name, function in (
        ("DatabasePrepared", "PrepareDatabase"),
        ("DatabaseMigrated", "MigrateDatabase"),
    ):
        # A changed image is another version, for which the trigger runs anew.
        version, _ = resources[name]["Properties"]["Version"]["Fn::GetAtt"]
        assert resources[version]["Type"] == "AWS::Lambda::Version"
        assert version.startswith(f"{function}FunctionCurrentVersion")


def test_users_find_everything_among_the_outputs(dev: Any):
    assert set(dev.json["Outputs"]) == {
        "ScenesBucket",
        "WorkBucket",
        "DetectionsTable",
        "ResultsBucket",
        "StateMachineArn",
        "JobQueueArn",
        "FailureTopicArn",
        "ModelCatalogUri",
        "Settings",
        "DatabaseHost",
        "DatabaseClusterArn",
        "InferShardFunction",
        "DatabaseSecretArn",
        "ServerlessEndpoint",
        "ServingRoleArn",
        "ServingImageUri",
    }


def test_with_all_settings_there_are_all_outputs(everything: Any):
    outputs = everything.json["Outputs"]

    assert outputs["RealtimeEndpoint"]["Value"] == "swath-realtime"
    assert outputs["AsyncEndpoint"]["Value"] == "swath-async"
    assert outputs["ServerlessEndpoint"]["Value"] == "swath-serverless"
    assert outputs["TrainingRoleArn"]["Value"]["Fn::GetAtt"][0].startswith("TrainingRole")
    assert outputs["EvaluationRoleArn"]["Value"]["Fn::GetAtt"][0].startswith("EvaluationRole")
    assert outputs["DataBuckets"]["Value"] == "my-data"
    # What commands are tested with is what a stack has.
    assert outputs.keys() >= OUTPUTS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_documented_commands_leave_to_fill_in_is_an_output(page: Path, everything: Any):
    # Outputs begin with a capital letter; `<run_id>` and the like are the user's own values.
    left = {
        name
        for command in commands(page)
        for word in command
        for name in re.findall(r"<([A-Z]\w*)>", word)
    }

    assert left <= everything.json["Outputs"].keys()


def test_every_log_is_kept_for_as_long_as_the_settings_say(synthesize: Callable[..., Any]):
    groups = synthesize(log_retention_days=7).resources("AWS::Logs::LogGroup")

    assert {group["RetentionInDays"] for group in groups.values()} == {7}
    assert len(groups) == 19


def test_every_function_logs_where_the_settings_apply(dev: Any):
    for name, function in dev.resources("AWS::Lambda::Function").items():
        assert "LogGroup" in function.get("LoggingConfig", {}), name


def test_settings_reach_what_they_are_for(synthesize: Callable[..., Any]):
    stack = synthesize(
        name="scenes",
        backend="batch",
        tolerated_failures=0.1,
        score_threshold=0.5,
        lambda_max_tiles=7,
        lambda_concurrency=3,
        default_model="storage-tanks",
        gpu_max_vcpus=32,
        spot_bid_percentage=60,
        gpu_instance_types="g5.2xlarge,g6",
        database_min_acu=0.5,
        database_max_acu=16,
        work_retention_days=3,
        endpoints="",
    )

    assert stack.folder.joinpath("scenes.template.json").exists()
    assert stack.resources("AWS::SageMaker::Endpoint") == {}
    assert (
        stack.one("AWS::StepFunctions::StateMachine", "Runs")["StateMachineName"] == "scenes-runs"
    )
    assert stack.machine["States"]["InferShardsOnLambda"]["MaxConcurrency"] == 3
    start = stack.one("AWS::Lambda::Function", "StartRun")["Environment"]["Variables"]
    assert start["SWATH_BACKEND"] == "batch"
    assert start["SWATH_TOLERATED_FAILURES"] == "0.1"
    assert start["SWATH_SCORE_THRESHOLD"] == "0.5"
    assert start["SWATH_DEFAULT_MODEL"] == "storage-tanks"
    plan = stack.one("AWS::Lambda::Function", "PlanScene")["Environment"]["Variables"]
    assert plan["SWATH_LAMBDA_MAX_TILES"] == "7"
    spot = stack.one("AWS::Batch::ComputeEnvironment", "GpusSpot")["ComputeResources"]
    assert (spot["MaxvCpus"], spot["BidPercentage"]) == (32, 60)
    assert set(spot["InstanceTypes"]) == {"g5.2xlarge", "g6"}
    assert stack.one("AWS::RDS::DBCluster")["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0.5,
        "MaxCapacity": 16,
    }
    assert 3 in [
        rule.get("ExpirationInDays")
        for rule in stack.one("AWS::S3::Bucket", "StorageWork")["LifecycleConfiguration"]["Rules"]
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"default_model": "cars"}, ["'cars'", "ships", "storage-tanks"]),
        ({"models_dir": "/nowhere"}, ["models_dir", "/nowhere"]),
        ({"gpu_instance_types": "g5,x99"}, ["gpu_instance_types", "x99"]),
        ({"backend": "sagemaker-async"}, ["'sagemaker-async'", "add 'async' to 'endpoints'"]),
    ],
)
def test_what_cannot_be_deployed_is_refused_before_it_is_tried(
    synthesize: Callable[..., Any], settings: dict[str, str], words: list[str]
):
    with pytest.raises(SettingsError) as caught:
        synthesize(**settings)

    for word in words:
        assert word in str(caught.value)


def test_the_app_needs_no_account_no_region_and_no_docker(tmp_path: Path, models_dir: Path):
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{node_folder()}",
        "HOME": str(tmp_path),
        "CDK_OUTDIR": str(tmp_path / "out"),
        "CDK_VALIDATION": "false",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "CDK_CONTEXT_JSON": f'{{"swath:models_dir": "{models_dir}"}}',
    }

    done = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out" / "swath.template.json").exists()


def node_folder() -> str:
    for folder in os.environ["PATH"].split(os.pathsep):
        if Path(folder, "node").exists():
            return folder
    pytest.fail("node is not on the PATH")
