"""Create the prerequisites of the schema that need an administrator: role, PostGIS and grants.

The module uses the RDS Data API, over HTTPS and with the cluster's own secret. So the function
needs no VPC, no password and no driver.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from swath.database.waking import retry_while
from swath.errors import SettingsError, TransientError
from swath.errors.service_errors import is_transient
from swath.settings import PrepareDatabaseSettings

if TYPE_CHECKING:
    from mypy_boto3_rds_data import RDSDataServiceClient

MAX_WAKE_SECONDS = 120.0
"""Timeout in s for waking a paused database."""

# https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
_WAKING_ERRORS = {
    "DatabaseResumingException",
    "DatabaseUnavailableException",
    "StatementTimeoutException",
}


# PostgreSQL makes the creator of a role a member of it, which only a superuser can undo. Therefore
# a temporary role creates the user and is dropped at once, so that the user has no members.
# https://www.postgresql.org/docs/17/role-attributes.html
_CREATE_ROLE = """\
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{user}') THEN RETURN; END IF;
    CREATE ROLE swath_creator CREATEROLE;
    GRANT swath_creator TO CURRENT_USER;
    SET LOCAL ROLE swath_creator;
    CREATE ROLE {user} LOGIN;
    RESET ROLE;
    DROP ROLE swath_creator;
EXCEPTION WHEN insufficient_privilege OR duplicate_object THEN
    CREATE ROLE {user} LOGIN;
END $$"""

# SQLSTATE 28P01 is a wrong password; 28000 is a rule that permits no login by password.
_LOGIN_REFUSED = re.compile("authentication failed|28P01|28000|pg_hba.conf rejects")


def preparation_statements(database: str, user: str) -> list[str]:
    """Return the SQL statements that prepare a database for its user; they are idempotent.

    Direct and indirect members of `rds_iam` log in by token, but the Data API logs the master user
    in by password. So the master user must not become a member of `user`. The last statement checks
    that the master user can still log in.

    Args:
        database: Name of the database.
        user: Name of the role that swath uses.

    Raises:
        SettingsError: A name would need quoting.
    """
    for name in (database, user):
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", name):
            raise SettingsError(
                f"{name!r} needs quoting in PostgreSQL; use only lower-case letters, digits and _"
            )
    return [
        _CREATE_ROLE.format(user=user),
        "CREATE EXTENSION IF NOT EXISTS postgis",
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {user}",
        f"GRANT rds_iam TO {user}",
        "SELECT 1",
    ]


def prepare_database(
    settings: PrepareDatabaseSettings,
    *,
    client: RDSDataServiceClient | None = None,
    timeout: float = MAX_WAKE_SECONDS,
) -> int:
    """Prepare the cluster's database, and wait for it to wake if it is paused.

    Args:
        settings: Settings that name the cluster, the database and the user.
        client: Client of the RDS Data API; by default a new one.
        timeout: Timeout in s for waking the database.

    Returns:
        The number of statements that were run.

    Raises:
        SettingsError: A name would need quoting, or the master user may not log in.
        TransientError: The database was not available within `timeout`.
        botocore.exceptions.ClientError: The database refused a statement.
    """
    client = client or boto3.client("rds-data")
    statements = preparation_statements(settings.database_name, settings.database_user)
    for statement in statements:
        _execute(client, settings, statement, timeout)
    return len(statements)


def _execute(
    client: RDSDataServiceClient, settings: PrepareDatabaseSettings, statement: str, timeout: float
) -> None:
    try:
        retry_while(_is_transient, timeout=timeout)(
            client.execute_statement,
            resourceArn=settings.cluster_arn,
            secretArn=settings.master_secret_arn,
            database=settings.database_name,
            sql=statement,
        )
    except Exception as error:
        if _is_transient(error):
            raise TransientError(f"the database did not wake: {error}") from error
        if isinstance(error, ClientError) and _LOGIN_REFUSED.search(str(error)):
            raise SettingsError(_login_refused_message(settings, error)) from error
        raise


def _login_refused_message(settings: PrepareDatabaseSettings, error: ClientError) -> str:
    return (
        f"the Data API cannot log in as the master user of {settings.cluster_arn} ({error}). "
        "Members of rds_iam can log in only by token. If the master user is a member, turn off the "
        f"cluster's IAM authentication, run REVOKE rds_iam FROM {settings.database_user}, turn "
        "the authentication on again and deploy again"
    )


def _is_transient(error: BaseException) -> bool:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    return code in _WAKING_ERRORS or is_transient(error)
