"""Tests of the permissions: each call of a role is granted, and a call needs each grant.

A failure names what a change of the stack needs or no longer needs. Grant the call where the role
is made in `infra/constructs`, take an unused statement away, or have `flows.py` use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud
from tests.helpers.assembly import ARCHIVE
from tests.integration import flows
from tests.integration.archive import drop_noise
from tests.integration.grants import Grant, Roles, Unproven, load_roles
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

# At most ten. Each of these grants stays, though no call of the local cloud shows it to be needed.
UNPROVEN = (
    Unproven("boto3 aborts an upload in parts that fails; here none fails", "s3:AbortMultipart*"),
    Unproven(
        "the CDK lets machines call each version of a function; they call none by version",
        "lambda:InvokeFunction",
        ("arn:aws:lambda:*:function:*:[*]",),
        "*Machine",
    ),
    Unproven("of executions that are aborted, and of jobs without a host", "batch:TerminateJob"),
    Unproven("the CDK gives them with SendMessage to an on-failure queue", "sqs:Get*"),
    Unproven(
        "AWS does not say whether a Map's child is checked on the machine or on <machine>/<label>; "
        "the local cloud checks the latter",
        "states:SendTask*",
        ("*:stateMachine:swath-runs",),
        "ResumeRun",
    ),
    Unproven(
        "the label of the only asynchronous Map",
        "states:SendTask*",
        ("*:stateMachine:swath-runs/[*]",),
        "ResumeRun",
        used=True,
    ),
    Unproven(
        "the watches of hosts and of deliveries run on schedules, and none passes here",
        "*",
        roles="*Watch*",
    ),
    Unproven("no update of the catalog fails here", "sqs:SendMessage", roles="*UpdateCatalog*"),
    Unproven("services name log streams as they like", "logs:*", ("*:log-group:*",), used=True),
    Unproven(
        "a run that is redriven after a deployment has the package and the job definition that it "
        "began with",
        "*",
        ("arn:aws:s3:::cdk-hnb659fds-assets-*/[*].gz", "*:job-definition/[*]"),
        used=True,
    ),
)


@pytest.fixture(scope="session")
def roles(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Roles:
    """The roles, once all flows have been run."""
    flows.drive(pipeline, tmp_path_factory.mktemp("flows"))
    return load_roles(pipeline.cloud, "swath")


def find_exemption(grant: Grant) -> Unproven | None:
    return next((one for one in UNPROVEN if one.covers(grant)), None)


def test_each_call_is_granted(roles: Roles):
    # S3 looks for this permission when a file is missing; the buckets of others need not give it.
    lists = ("s3:ListBucket", f"arn:aws:s3:::{ARCHIVE}")
    refused = [call for call in roles.refused if (call.action, call.resource) != lists]
    assert [f"{call.role} may not {call}" for call in refused] == []
    assert sum(map(len, roles.calls.values())) > 500


def test_each_grant_is_used_by_a_call_that_nothing_else_allows(roles: Roles):
    unused, table = [], []
    for grant in roles.every():
        one, call = find_exemption(grant), roles.used_by(grant)
        table.append(f"{grant}\n    {call.resource if call else one.because if one else 'UNUSED'}")
        if call is None and (one is None or one.used):
            unused.append(str(grant))
    write_table(table)

    assert unused == []


def write_table(lines: list[str]) -> None:
    """The list of grants with the call that uses each, for people to read."""
    build = Path(__file__).resolve().parents[2] / "build"
    build.mkdir(exist_ok=True)
    (build / "permissions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_removing_or_narrowing_a_grant_loses_a_call(roles: Roles):
    survivors, removed, narrowed, excused = [], 0, 0, 0
    for grant in roles.every():
        one = find_exemption(grant)
        if one is None or one.used:
            removed += 1
            if roles.used_by(grant) is None:
                survivors.append(f"without {grant}")
        if one is None:
            narrowed += 1
            if roles.narrowed(grant) is None:
                survivors.append(f"narrower: {grant}")
        else:
            excused += 1
    print(  # noqa: T201 - the counts are what people ask for
        f"{removed} grants taken away, {narrowed} narrowed, {len(survivors)} unnoticed; "
        f"{excused} on the list of {len(UNPROVEN)}"
    )

    assert survivors == []


def test_the_list_of_unproven_grants_is_short_and_current(roles: Roles):
    idle = [one.because for one in UNPROVEN if not any(map(one.covers, roles.every()))]

    assert len(UNPROVEN) <= 10
    assert idle == []


@pytest.mark.parametrize("function", ["PlanScene", "MergeDetections"])
def test_a_run_fails_by_name_where_a_function_lacks_a_grant(
    pipeline: Pipeline, tmp_path: Path, function: str
):
    """Check the failure of a function that lacks a grant.

    Every run met it when the merge read a package that its role did not cover.
    """
    uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=80), f"elsewhere/no-{function}.tif")
    with without(pipeline.cloud, function, "s3:GetObject"):
        execution = pipeline.start(pipeline.request(uri, "lambda"))
        run = pipeline.wait(uri)
        entered = states(pipeline, execution)

    assert run.status == "failed"
    assert "403" in run.cause or "AccessDenied" in run.cause
    assert entered[-1] == function
    role = role_name(pipeline.cloud, function)
    refused = {(c.role, c.action) for c, allowed in pipeline.cloud.calls if not allowed}
    assert (role, "s3:GetObject") in refused


@pytest.mark.parametrize("function", ["PlanScene", "InferShard"])
def test_a_run_fails_by_name_where_a_function_may_not_read_a_source(
    pipeline: Pipeline, tmp_path: Path, function: str
):
    uri = drop_noise(pipeline, tmp_path, f"elsewhere/no-source-{function}.json", seed=81)
    with without(pipeline.cloud, function, "s3:GetObject", on=ARCHIVE):
        pipeline.start(pipeline.request(uri, "lambda"))
        run = pipeline.wait(uri)

    assert run.status == "failed"
    assert f"s3://{ARCHIVE}/c2/no-source-{function}/" in run.cause
    assert "may not be read" in run.cause
    role = role_name(pipeline.cloud, function)
    refused = {(c.role, c.action) for c, allowed in pipeline.cloud.calls if not allowed}
    assert (role, "s3:GetObject") in refused


def states(pipeline: Pipeline, execution: str) -> list[str]:
    """The names of the machine's states that an execution has entered."""
    history = pipeline.client("stepfunctions").get_execution_history(executionArn=execution)
    details = (event.get("stateEnteredEventDetails") for event in history["events"])
    return [one["name"] for one in details if one]


@contextmanager
def without(cloud: LocalCloud, function: str, action: str, *, on: str = "") -> Iterator[None]:
    """A function's role lacks an action for a while, or only on resources with that name."""
    iam, name = cloud.client("iam"), role_name(cloud, function)
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    less: Any = json.loads(json.dumps(before))
    for statement in less["Statement"]:
        if action in statement["Action"]:
            resources = statement["Resource"]
            every = [resources] if isinstance(resources, str) else resources
            statement["Resource"] = [one for one in every if on not in one]
    less["Statement"] = [statement for statement in less["Statement"] if statement["Resource"]]
    assert less != before
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(less))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(before))


def role_name(cloud: LocalCloud, function: str) -> str:
    roles = cloud.client("iam").get_paginator("list_roles").paginate()
    names = [role["RoleName"] for page in roles for role in page["Roles"]]
    (found,) = (name for name in names if name.startswith(f"swath-{function}Role"))
    return str(found)
