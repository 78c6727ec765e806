from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import data_api
from local_cloud.postgis.database import Database
from local_cloud.postgis.server import PostgisServer
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied


def run(aws: Aws, sql: str) -> dict[str, Any]:
    return aws.client("rds-data").execute_statement(
        resourceArn="arn:aws:rds:any", secretArn="arn:aws:any", database="postgres", sql=sql
    )


def test_canary_data_api(services: Services, aws: Aws, postgis_server: PostgisServer):
    host, port = postgis_server.host, postgis_server.port
    services.database = Database(
        host=host,
        port=port,
        administrator={"host": host, "port": str(port), "user": "postgres"},
    )
    row = [{"longValue": 42}, {"stringValue": "a"}, {"isNull": True}, {"booleanValue": True}]

    assert run(aws, "SELECT 40 + 2, 'a', NULL, true")["records"] == []
    with applied(services, data_api):
        assert run(aws, "SELECT 40 + 2, 'a', NULL, true")["records"] == [row]


def test_what_the_database_refuses_has_the_data_apis_code_and_its_reason(
    services: Services, aws: Aws, postgis_server: PostgisServer
):
    host, port = postgis_server.host, postgis_server.port
    services.database = Database(
        host=host,
        port=port,
        administrator={"host": host, "port": str(port), "user": "postgres"},
    )
    with (
        applied(services, data_api),
        pytest.raises(ClientError, match=r"no_such_table.*42P01") as refused,
    ):
        run(aws, "SELECT FROM no_such_table")

    assert refused.value.response["Error"]["Code"] == "DatabaseErrorException"
