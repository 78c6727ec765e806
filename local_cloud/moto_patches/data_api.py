"""Run SQL of the RDS Data API in the real database.

AWS: https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html

Moto 5.2.5 runs nothing and returns no records.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.rdsdata.responses import RDSDataServiceResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.postgis import rds
from local_cloud.postgis.database import Database
from local_cloud.services import Services

NAME = "data_api"


class _DatabaseError(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseErrorException", message)


class _BadRequestError(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("BadRequestException", message)


def apply(patcher: Patcher, services: Services) -> None:
    """Run each statement as the secret's user, in its own transaction."""

    def execute_statement(response: Any) -> str:
        secret = _read_secret(services, response._get_param("secretArn"))
        result = execute(
            services.database,
            response._get_param("database", "postgres"),
            response._get_param("sql"),
            user=secret["username"],
            password=secret["password"],
        )
        return json.dumps(result)

    patcher.replace(RDSDataServiceResponse, "execute_statement", execute_statement)


def execute(
    database: Database, name: str, statement: str, *, user: str, password: str
) -> dict[str, Any]:
    """Run a statement without parameters, and return the response of the Data API."""
    statement = _replace_database_name(statement, database, name)
    try:
        with _connect(database, name, statement, user=user, password=password) as connection:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
            updated = 0 if cursor.description else max(cursor.rowcount, 0)
    except psycopg.Error as error:
        state = f"; SQLState: {error.sqlstate}" if error.sqlstate else ""
        raise _DatabaseError(f"ERROR: {' '.join(str(error).split())}{state}") from error
    return {
        "records": [[_to_field(value) for value in row] for row in rows],
        "numberOfRecordsUpdated": updated,
        "generatedFields": [],
    }


def _read_secret(services: Services, arn: str) -> dict[str, str]:
    """Read the secret with which the Data API logs in."""
    try:
        response = services.client("secretsmanager").get_secret_value(SecretId=arn)
    except ClientError as error:
        raise _BadRequestError(f"the secret {arn} cannot be read: {error}") from error
    secret: dict[str, str] = json.loads(response["SecretString"])
    return secret


def _connect(
    database: Database, name: str, statement: str, *, user: str, password: str
) -> rds.Connection:
    """Log in as the user; the superuser runs what RDS allows that user but PostgreSQL does not."""
    connection = database.connect(name, user=user, password=password)
    if not rds.is_allowed_to_master(statement) or not _is_master(connection):
        return connection
    connection.close()
    return psycopg.connect(database.dsn(name), autocommit=True)


def _is_master(connection: rds.Connection) -> bool:
    row = connection.execute("SELECT pg_has_role('rds_superuser', 'MEMBER')").fetchone()
    return row == (True,)


def _replace_database_name(statement: str, database: Database, name: str) -> str:
    """Return the statement with the template's database replaced by the actual one."""
    return statement.replace(f" DATABASE {name} ", f" DATABASE {database.actual_name(name)} ")


def _to_field(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case float():
            return {"doubleValue": value}
    return {"stringValue": str(value)}
