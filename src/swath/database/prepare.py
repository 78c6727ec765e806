"""What the schema stands on and only an administrator may make: the role, PostGIS, the grants.

Done through the RDS Data API, which is reached over HTTPS with the cluster's own secret: the
function needs no place in the network, no password and no driver.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from swath.database.patience import persist
from swath.errors import SettingsError, TransientError
from swath.settings import PrepareDatabaseSettings

if TYPE_CHECKING:
    from mypy_boto3_rds_data import RDSDataServiceClient

PATIENCE = 120.0

# https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
_PASSING = {
    *("DatabaseResumingException", "DatabaseUnavailableException", "StatementTimeoutException"),
    *("ServiceUnavailableError", "InternalServerErrorException", "ThrottlingException"),
}


def statements(database: str, user: str) -> list[str]:
    """SQL that prepares a database for its user; running it again changes nothing.

    The administrator is never made a member of the role: whoever is in `rds_iam`, at any remove,
    can no longer log in by password, and that is how the Data API does.

    Raises:
        SettingsError: a name would need quoting.
    """
    for name in (database, user):
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", name):
            raise SettingsError(f"{name!r} is no plain PostgreSQL name: lower case, digits, _")
    return [
        f"DO $$ BEGIN CREATE ROLE {user} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        # The role rds_iam is part of RDS and of no other PostgreSQL.
        f"DO $$ BEGIN GRANT rds_iam TO {user}; EXCEPTION WHEN undefined_object THEN NULL; END $$",
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {user}",
        "CREATE EXTENSION IF NOT EXISTS postgis",
    ]


def prepare_database(
    settings: PrepareDatabaseSettings,
    *,
    client: RDSDataServiceClient | None = None,
    patience: float = PATIENCE,
) -> int:
    """Prepare the cluster's database, waiting for a paused one to wake; the statements run.

    Raises:
        SettingsError: a name would need quoting.
        TransientError: the database was not to be had within `patience` seconds.
        botocore.exceptions.ClientError: the database refused a statement.
    """
    client = client or boto3.client("rds-data")
    todo = statements(settings.database_name, settings.database_user)
    for statement in todo:
        _execute(client, settings, statement, patience)
    return len(todo)


def _execute(
    client: RDSDataServiceClient, settings: PrepareDatabaseSettings, statement: str, patience: float
) -> None:
    def attempt(_remaining: float) -> None:
        client.execute_statement(
            resourceArn=settings.cluster_arn,
            secretArn=settings.master_secret_arn,
            database=settings.database_name,
            sql=statement,
        )

    try:
        persist(attempt, mends=_passes, patience=patience)
    except ClientError as error:
        if _passes(error):
            raise TransientError(f"the database did not wake: {error}") from error
        raise


def _passes(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _PASSING
