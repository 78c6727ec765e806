from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import data_api
from local_cloud.services import Services
from tests.helpers.postgis import Cluster
from tests.local_cloud.canaries.aws import Aws, applied


def run(aws: Aws, sql: str, secret: str) -> dict[str, Any]:
    return aws.client("rds-data").execute_statement(
        resourceArn="arn:aws:rds:any", secretArn=secret, database="postgres", sql=sql
    )


@pytest.fixture
def secret(services: Services, aws: Aws, cluster: Cluster) -> Iterator[str]:
    """The secret of a master user, who may log in to any database of the server."""
    services.database = cluster.database
    manager = aws.client("secretsmanager")
    content = json.dumps({"username": cluster.master, "password": cluster.password})
    arn = manager.create_secret(Name=cluster.master, SecretString=content)["ARN"]
    yield arn
    manager.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def test_canary_data_api(services: Services, aws: Aws, cluster: Cluster, secret: str):
    row = [{"longValue": 42}, {"stringValue": "a"}, {"isNull": True}, {"booleanValue": True}]

    assert run(aws, "SELECT 40 + 2, 'a', NULL, true", "arn:aws:any")["records"] == []
    with applied(services, data_api):
        assert run(aws, "SELECT 40 + 2, 'a', NULL, true", secret)["records"] == [row]
        user = run(aws, "SELECT current_user", secret)["records"]

    assert user == [[{"stringValue": cluster.master}]]


def refused(aws: Aws, sql: str, secret: str) -> dict[str, str]:
    with pytest.raises(ClientError) as refused:
        run(aws, sql, secret)
    return refused.value.response["Error"]


def test_a_database_error_has_the_data_apis_code_and_its_reason(
    services: Services, aws: Aws, secret: str
):
    with applied(services, data_api):
        error = refused(aws, "SELECT FROM no_such_table", secret)

    assert error["Code"] == "DatabaseErrorException"
    assert re.search(r"no_such_table.*SQLState: 42P01", error["Message"])


def test_the_password_of_the_secret_is_the_one_that_counts(
    services: Services, aws: Aws, secret: str, cluster: Cluster
):
    cluster.administer(f"ALTER ROLE {cluster.master} PASSWORD 'changed'")
    with applied(services, data_api):
        error = refused(aws, "SELECT 1", secret)

    assert "password authentication failed" in error["Message"]


def test_a_secret_that_is_not_there_is_named(services: Services, aws: Aws, cluster: Cluster):
    services.database = cluster.database
    with applied(services, data_api):
        error = refused(aws, "SELECT 1", "arn:aws:secretsmanager:eu-west-1:1:secret:none")

    assert error["Code"] == "BadRequestException"
    assert "secret:none" in error["Message"]
