from __future__ import annotations

from typing import Any

import pytest

from local_cloud.permissions.api_permissions import ApiRequest, required_permissions

REGION, ACCOUNT = "eu-west-1", "123456789012"
OBJECT = "arn:aws:s3:::b/k/e.tif"


def permissions_for(service: str, operation: str, parameters: Any = None, **more: Any) -> list[str]:
    request = ApiRequest(
        service=service,
        operation=operation,
        parameters=parameters or {},
        region=REGION,
        account=ACCOUNT,
        **more,
    )
    return [f"{action} {resource}" for action, resource, _ in required_permissions(request)]


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetObject", "s3:GetObject"),
        ("HeadObject", "s3:GetObject"),
        ("PutObject", "s3:PutObject"),
        ("CreateMultipartUpload", "s3:PutObject"),
        ("UploadPart", "s3:PutObject"),
        ("CompleteMultipartUpload", "s3:PutObject"),
        ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
        ("ListParts", "s3:ListMultipartUploadParts"),
        ("DeleteObject", "s3:DeleteObject"),
    ],
)
def test_an_objects_operation_needs_its_action_on_the_object(operation: str, action: str):
    assert permissions_for("s3", operation, {"Bucket": "b", "Key": "k/e.tif"}) == [
        f"{action} {OBJECT}"
    ]


@pytest.mark.parametrize(
    ("operation", "action"),
    [("ListObjectsV2", "s3:ListBucket"), ("HeadBucket", "s3:ListBucket")],
)
def test_a_buckets_operation_needs_its_action_on_the_bucket(operation: str, action: str):
    assert permissions_for("s3", operation, {"Bucket": "b"}) == [f"{action} arn:aws:s3:::b"]


def test_a_version_a_copy_and_a_header_need_more():
    key = {"Bucket": "b", "Key": "k/e.tif"}

    assert permissions_for("s3", "GetObject", {**key, "VersionId": "1"}) == [
        f"s3:GetObjectVersion {OBJECT}"
    ]
    assert permissions_for("s3", "CopyObject", key, headers={"X-Amz-Copy-Source": "/a/x%20y"}) == [
        "s3:GetObject arn:aws:s3:::a/x y",
        f"s3:PutObject {OBJECT}",
    ]
    assert permissions_for("s3", "PutObject", key, headers={"x-amz-tagging": "a=b"}) == [
        f"s3:PutObject {OBJECT}",
        f"s3:PutObjectTagging {OBJECT}",
    ]


def test_a_job_needs_its_queue_and_its_definition():
    given = {"jobQueue": arn("batch", "job-queue/q"), "jobDefinition": "d:1"}

    assert permissions_for("batch", "SubmitJob", given) == [
        f"batch:SubmitJob {arn('batch', 'job-queue/q')}",
        f"batch:SubmitJob {arn('batch', 'job-definition/d:1')}",
    ]


def test_sql_needs_the_cluster_and_the_secret():
    assert permissions_for(
        "rds-data", "ExecuteStatement", {"resourceArn": "c", "secretArn": "s"}
    ) == [
        "rds-data:ExecuteStatement c",
        "secretsmanager:GetSecretValue s",
    ]


def test_a_function_is_named_or_has_an_arn_and_perhaps_a_version():
    function = arn("lambda", "function:f")

    for name in ("f", function):
        assert permissions_for("lambda", "Invoke", {"FunctionName": name}) == [
            f"lambda:InvokeFunction {function}"
        ]
    assert permissions_for("lambda", "Invoke", {"FunctionName": "f", "Qualifier": "3"}) == [
        f"lambda:InvokeFunction {function}:3"
    ]


def test_a_task_response_is_checked_on_the_waiting_machine():
    found = permissions_for(
        "states", "SendTaskSuccess", {"taskToken": "t"}, machine_for_token={"t": "m/l"}.get
    )

    assert found == ["states:SendTaskSuccess m/l"]


def test_executions_are_listed_by_their_machine_or_by_their_map_run():
    for parameter in ("stateMachineArn", "mapRunArn"):
        assert permissions_for("states", "ListExecutions", {parameter: "a"}) == [
            "states:ListExecutions a"
        ]
    assert permissions_for("states", "ListMapRuns", {"executionArn": "e"}) == [
        "states:ListMapRuns e"
    ]


def test_an_unlisted_operation_is_checked_on_all_resources():
    assert permissions_for("ec2", "RunInstances") == ["ec2:RunInstances *"]
