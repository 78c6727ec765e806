"""The example that embeds a pipeline in the stack of somebody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from examples.embedded import app
from infra.check import check_app, state_machine
from tests.infra.conftest import Synthesized, Template


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stack of the example, which has passed the checks of the deployed stack."""
    out = tmp_path_factory.mktemp("embedded") / "cdk.out"
    with pytest.MonkeyPatch.context() as patch:
        # Other tests do without the CDK's checks; cdk-nag is one of them.
        patch.delenv("CDK_VALIDATION", raising=False)
        patch.setenv("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
        patch.delenv("CDK_CONTEXT_JSON", raising=False)
        checks = list(check_app(app.build(str(out)), out, "embedded"))
    assert len(checks) == 3
    assert all(checks)
    template = json.loads((out / "harbour.template.json").read_text())
    return Synthesized(template, Template.from_json(template), out)


def subscribers(stack: Synthesized, prefix: str) -> list[Any]:
    """Targets of the rules whose logical ids start with a prefix."""
    rules = stack.resources("AWS::Events::Rule", prefix).values()
    return [target["Arn"]["Fn::GetAtt"][0] for rule in rules for target in rule["Targets"]]


def test_the_dashboard_learns_of_the_runs_that_the_pipeline_announces(harbour: Synthesized):
    rule = harbour.one("AWS::Events::Rule", "SwathDashboardRule")
    (entry,) = harbour.machine["States"]["AnnounceRun"]["Parameters"]["Entries"]

    assert rule["EventPattern"]["source"] == [entry["Source"]]
    assert rule["EventPattern"]["detail-type"] == [entry["DetailType"]]
    (target,) = subscribers(harbour, "SwathDashboardRule")
    assert target.startswith("Dashboard")


def test_the_operators_learn_of_failures(harbour: Synthesized):
    (topic,) = harbour.resources("AWS::SNS::Topic", "SwathFailures")
    found = [
        subscription["Endpoint"]["Fn::GetAtt"][0]
        for subscription in harbour.resources("AWS::SNS::Subscription").values()
        if subscription["TopicArn"] == {"Ref": topic}
    ]

    assert len(found) == 1
    assert found[0].startswith("Operators")


def test_the_ingest_service_may_deliver_scenes_and_no_more(harbour: Synthesized):
    (allowed,) = harbour.permissions("Ingest").items()

    assert allowed[0].startswith("<SwathStorageScenes")
    assert allowed[0].endswith(".Arn>/incoming/*")
    assert allowed[1] == {"s3:PutObject", "s3:AbortMultipartUpload"}


def test_the_pipeline_is_all_there_under_its_own_prefix(harbour: Synthesized, synthesize: Any):
    """The parts of a stack of swath's own with the same settings, each with `Swath` before it."""
    own = synthesize(backend="lambda", endpoints="")

    def kinds(stack: Synthesized, prefix: str) -> list[str]:
        return sorted(
            resource["Type"]
            for name, resource in stack.json["Resources"].items()
            if name.startswith(prefix) and not name.startswith("AWSCDK")
        )

    embedded = kinds(harbour, "Swath")
    embedded.remove("AWS::Events::Rule")  # the dashboard's
    assert embedded == kinds(own, "")
    assert harbour.json["Outputs"].keys() == own.json["Outputs"].keys()
    assert state_machine(harbour.json)["States"].keys() == own.machine["States"].keys()


def test_names_of_the_pipeline_tell_where_it_is(harbour: Synthesized, dev: Synthesized):
    def names(stack: Synthesized) -> set[str]:
        tags = stack.one("AWS::EC2::VPC")["Tags"]
        return {tag["Value"] for tag in tags if tag["Key"] == "Name"}

    assert names(harbour) == {"harbour/Swath/Network/Vpc"}
    assert names(dev) == {"swath/Network/Vpc"}
