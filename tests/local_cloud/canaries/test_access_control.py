"""Canaries of access control: each is about what vanilla moto leaves open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from moto.sts.models import sts_backends

from local_cloud.clients import ACCOUNT, REGION, Clients
from local_cloud.moto_patches import access_control
from local_cloud.permissions.access import Access, AccessDeniedError
from local_cloud.permissions.call_log import CALLS_FILE, read_calls
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, create_role, new_name


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = aws.bucket()
    for key in ("may/read", "secret"):
        aws.client("s3").put_object(Bucket=name, Key=key, Body=b"here")
    return name


@pytest.fixture
def enforced(services: Services) -> Iterator[None]:
    with applied(services, access_control):
        yield


def clients_of_role(services: Services, *statements: Any) -> Clients:
    """Clients of a Lambda function whose role has these statements."""
    role = create_role(services.client("iam"), new_name(), *statements)
    session = services.access.session(role, "lambda.amazonaws.com")
    return Clients(services.endpoint, session.key, session.secret, session.token)


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def error(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_canary_access_control(services: Services, bucket: str):
    s3 = clients_of_role(services, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/may/*")).get("s3")
    s3.get_object(Bucket=bucket, Key="secret")

    with applied(services, access_control):
        read = s3.get_object(Bucket=bucket, Key="may/read")["Body"].read()
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="secret")

    assert read == b"here"
    assert error(caught) == (403, "AccessDenied")
    assert f"s3:GetObject on resource: arn:aws:s3:::{bucket}/secret" in str(caught.value)


@pytest.mark.usefixtures("enforced")
def test_an_object_that_is_missing_is_403_to_who_may_not_list(services: Services, bucket: str):
    objects = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    blind = clients_of_role(services, objects).get("s3")
    seeing = clients_of_role(
        services, objects, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    ).get("s3")

    with pytest.raises(ClientError) as refused:
        blind.head_object(Bucket=bucket, Key="missing")
    with pytest.raises(ClientError) as missing:
        seeing.head_object(Bucket=bucket, Key="missing")

    assert error(refused) == (403, "403")
    assert error(missing) == (404, "404")


@pytest.mark.usefixtures("enforced")
def test_a_copy_needs_its_source_and_a_part_needs_its_object(services: Services, bucket: str):
    s3 = clients_of_role(services, allow("s3:PutObject", f"arn:aws:s3:::{bucket}/may/*")).get("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="may/parts")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="may/parts", UploadId=upload, PartNumber=1, Body=b"1")

    with pytest.raises(ClientError, match="s3:GetObject on"):
        s3.copy_object(Bucket=bucket, Key="may/copy", CopySource=f"{bucket}/secret")
    with pytest.raises(ClientError, match="s3:AbortMultipartUpload on"):
        s3.abort_multipart_upload(Bucket=bucket, Key="may/parts", UploadId=upload)
    with pytest.raises(ClientError, match=f"s3:DeleteObject on resource: .*{bucket}/secret"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "secret"}]})


@pytest.mark.usefixtures("enforced")
def test_each_protocol_refuses_in_its_own_form(services: Services, aws: Aws):
    clients = clients_of_role(services, allow("s3:GetObject", "*"))
    url = aws.queue()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("sqs", "send_message", {"QueueUrl": url, "MessageBody": "x"}),
        ("sns", "publish", {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:t", "Message": "x"}),
        ("lambda", "invoke", {"FunctionName": "f"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"\xff"}),
        ("batch", "submit_job", {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}),
        ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]}),
    ]
    for service, operation, arguments in calls:
        with pytest.raises(ClientError) as caught:
            getattr(clients.get(service), operation)(**arguments)
        assert caught.value.response["Error"]["Code"].startswith("AccessDenied"), service
        assert "is not authorized to perform" in str(caught.value), service


@pytest.mark.usefixtures("enforced")
def test_a_grant_on_another_resource_is_none(services: Services):
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint"
    runtime = clients_of_role(services, allow("sagemaker:InvokeEndpoint", f"{arn}/mine")).get(
        "sagemaker-runtime"
    )

    with pytest.raises(ClientError, match=rf"on resource: {arn}/other "):
        runtime.invoke_endpoint(EndpointName="other", Body=b"")
    runtime.invoke_endpoint(EndpointName="mine", Body=b"")


@pytest.mark.usefixtures("enforced")
def test_credentials_that_nobody_issued_open_nothing(services: Services, bucket: str):
    stranger = Clients(services.endpoint, "AKIAIOSFODNN7EXAMPLE", "secret")
    forged = Clients(
        services.endpoint,
        services.access.session(create_role(services.client("iam"), new_name()), LAMBDA).key,
        "secret",
        "another token",
    )

    for clients in (stranger, forged):
        with pytest.raises(ClientError) as caught:
            clients.get("s3").list_buckets()
        assert error(caught) == (403, "InvalidAccessKeyId")
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            clients.get("stepfunctions").list_state_machines()
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            clients.get("sns").list_topics()
    assert httpx.get(f"{services.endpoint}/{bucket}/may/read").status_code == 403


LAMBDA = "lambda.amazonaws.com"


@pytest.mark.usefixtures("enforced")
def test_a_session_ends(services: Services):
    clients = clients_of_role(services, allow("s3:ListAllMyBuckets", "*"))
    clients.get("s3").list_buckets()
    assumed = sts_backends[ACCOUNT]["aws"].assumed_roles[-1]
    assumed.expiration -= dt.timedelta(days=1)

    with pytest.raises(ClientError) as caught:
        clients.get("s3").list_buckets()

    assert error(caught) == (403, "ExpiredToken")


@pytest.mark.usefixtures("enforced")
def test_a_container_is_given_its_roles_credentials(services: Services):
    role = create_role(services.client("iam"), new_name(), services=("ecs-tasks.amazonaws.com",))
    variables = services.access.container_variables(role, "ecs-tasks.amazonaws.com")
    uri = variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    given = httpx.get(uri).json()
    clients = Clients(
        services.endpoint, given["AccessKeyId"], given["SecretAccessKey"], given["Token"]
    )

    assert variables == services.access.container_variables(role, "ecs-tasks.amazonaws.com")
    assert role.rpartition("/")[2] in clients.get("sts").get_caller_identity()["Arn"]
    assert httpx.get(f"{uri}x").status_code == 404


def test_a_role_is_for_the_services_that_it_trusts(services: Services):
    role = create_role(services.client("iam"), new_name(), services=(LAMBDA,))

    services.access.session(role, LAMBDA)
    with pytest.raises(AccessDeniedError, match=r"ecs-tasks\.amazonaws\.com cannot assume"):
        services.access.session(role, "ecs-tasks.amazonaws.com")


@pytest.mark.usefixtures("enforced")
def test_decisions_are_recorded_once_each(services: Services, bucket: str, tmp_path: Any):
    s3 = clients_of_role(services, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/may/*")).get("s3")
    for _ in range(2):
        s3.get_object(Bucket=bucket, Key="may/read")
        with pytest.raises(ClientError):
            s3.get_object(Bucket=bucket, Key="secret")

    seen = [(str(call), allowed) for call, allowed in read_calls(tmp_path / CALLS_FILE)]

    assert seen == [
        (f"s3:GetObject on arn:aws:s3:::{bucket}/may/read", True),
        (f"s3:GetObject on arn:aws:s3:::{bucket}/secret", False),
    ]


def test_permissions_that_a_service_needs_are_required(services: Services, tmp_path: Any):
    access = Access(services.endpoint, services.clients, tmp_path)
    namespaces = {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}
    role = create_role(
        services.client("iam"),
        new_name(),
        allow("logs:Create*", "arn:aws:logs:*:*:log-group:mine:*"),
        allow("cloudwatch:PutMetricData", "*", Condition=namespaces),
    )

    stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:mine:log-stream:s"
    access.require(role, "logs:CreateLogStream", resource=stream)
    with pytest.raises(AccessDeniedError, match=r"logs:PutLogEvents on resource: .*mine"):
        access.require(role, "logs:CreateLogStream", "logs:PutLogEvents", resource=stream)
    metrics = "cloudwatch:PutMetricData"
    assert access.allows(role, metrics, "*", {"cloudwatch:namespace": "/aws/sagemaker/E"})
    assert not access.allows(role, metrics, "*", {"cloudwatch:namespace": "Mine"})
    assert not access.allows(role, metrics, "*")
