"""Tests of the grants: each lets its grantee do what its name says, with those objects only."""

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Match, Template
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_s3 import Bucket

from infra.grants import read_objects, write_objects


@pytest.fixture(scope="module")
def allowed():
    """Actions and the resource's end of each statement of a role that reads and writes."""
    stack = Stack(App(), "grants")
    role = Role(stack, "role", assumed_by=ServicePrincipal("lambda.amazonaws.com"))
    bucket = Bucket(stack, "bucket")
    read_objects(role, bucket)
    write_objects(role, bucket, "runs/*")
    (policy,) = (
        Template.from_stack(stack).find_resources("AWS::IAM::Policy", Match.any_value()).values()
    )
    found = {}
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        joined = statement["Resource"].get("Fn::Join", ["", [""]])
        actions = statement["Action"]
        found.setdefault(joined[1][-1], set()).update(
            [actions] if isinstance(actions, str) else actions
        )
    return found


def test_who_reads_learns_what_there_is(allowed):
    assert allowed[""] == {"s3:ListBucket"}
    assert allowed["/*"] == {"s3:GetObject"}


def test_who_writes_takes_back_the_parts_of_an_upload_but_deletes_nothing(allowed):
    assert allowed["/runs/*"] == {"s3:PutObject", "s3:AbortMultipartUpload"}
