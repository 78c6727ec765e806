"""The RDS Data API runs SQL in the real database.

AWS: https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
Moto 5.2.5 runs nothing and answers with no records.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from moto.core.exceptions import JsonRESTError
from moto.rdsdata.responses import RDSDataServiceResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.postgis.database import Database
from local_cloud.services import Services

NAME = "data_api"


class _DatabaseError(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseErrorException", message)


def apply(patcher: Patcher, services: Services) -> None:
    """Run statements as the database's administrator, each in a transaction of its own."""

    def execute_statement(response: Any) -> str:
        answer = execute(
            services.database,
            response._get_param("database", "postgres"),
            response._get_param("sql"),
        )
        return json.dumps(answer)

    patcher.replace(RDSDataServiceResponse, "execute_statement", execute_statement)


def execute(database: Database, name: str, statement: str) -> dict[str, Any]:
    """The Data API's answer to a statement without parameters."""
    statement = _renamed(statement, database, name)
    try:
        with psycopg.connect(database.dsn(name), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            rows = done.fetchall() if done.description else []
            updated = 0 if done.description else max(done.rowcount, 0)
    except psycopg.Error as error:
        state = f"; SQLState: {error.sqlstate}" if error.sqlstate else ""
        raise _DatabaseError(f"ERROR: {' '.join(str(error).split())}{state}") from error
    return {
        "records": [[_field(value) for value in row] for row in rows],
        "numberOfRecordsUpdated": updated,
        "generatedFields": [],
    }


def _renamed(statement: str, database: Database, name: str) -> str:
    """The statement with the template's database replaced by the one that stands for it."""
    return statement.replace(f" DATABASE {name} ", f" DATABASE {database.actual_name(name)} ")


def _field(value: Any) -> dict[str, Any]:
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
