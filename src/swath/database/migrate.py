"""Migrate the database's schema to the version of this release.

Migrations change the schema alone. `swath.database.move_rows` moves the rows of earlier releases.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from swath.database.connect import Connection, transient_errors
from swath.database.waking import retry_while
from swath.errors import SettingsError

logger = logging.getLogger(__name__)

# Arbitrary number of the advisory lock, which no other program should use: "swath" in ASCII.
_LOCK_ID = 0x7377617468
# Table in which Alembic stores a database's revision.
VERSION_TABLE: dict[str, Any] = {"version_table": "migration", "version_table_schema": "swath"}
MAX_LOCK_SECONDS = 120.0
"""Time in s for which a migration tries to lock tables that others use."""
_POSTGIS: LiteralString = "CREATE EXTENSION postgis"
_SCHEMA: LiteralString = "CREATE SCHEMA swath"


def migrate(connection: Connection, *, revision: str = "head") -> str:
    """Run the pending migrations; return the database's revision afterwards.

    Either all migrations succeed or none does. Concurrent callers take turns. If this release does
    not have the database's revision, a later release has migrated the database. The function then
    leaves it unchanged, so that a deployment can be rolled back.

    Args:
        connection: Connection that is not in a transaction; the function commits.
        revision: Revision to migrate to; by default that of this release.

    Raises:
        SettingsError: The extension or the schema is missing, and this user may not create it; or
            views of others depend on a table that a migration replaces.
        TransientError: The connection was lost, or others used the tables for two minutes. Nothing
            has changed.
    """
    with transient_errors("migrating the database"):
        return str(
            retry_while(_is_lock_error, timeout=MAX_LOCK_SECONDS)(_migrate, connection, revision)
        )


def _migrate(connection: Connection, revision: str) -> str:
    config = Config()
    config.set_main_option("script_location", "swath.database:migrations")
    # Alembic needs SQLAlchemy, which wraps the given connection here.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    with engine.begin() as wrapped:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_ID])
        _create_if_missing(
            connection, "SELECT FROM pg_extension WHERE extname = 'postgis'", _POSTGIS
        )
        _create_if_missing(connection, "SELECT FROM pg_namespace WHERE nspname = 'swath'", _SCHEMA)
        if later := _later_revision(wrapped, config):
            logger.warning(
                "the database is at revision %s of a later release, and stays unchanged", later
            )
            return later
        config.attributes["connection"] = wrapped
        try:
            command.upgrade(config, revision)
        except psycopg.errors.DependentObjectsStillExist as error:
            raise SettingsError(error.diag.message_primary) from error
        return str(MigrationContext.configure(wrapped, opts=VERSION_TABLE).get_current_revision())


def _is_lock_error(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected)


def _later_revision(connection: SqlConnection, config: Config) -> str | None:
    """Return the database's revision if this release does not have it; None otherwise."""
    context = MigrationContext.configure(connection, opts=VERSION_TABLE)
    revision = context.get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return None if revision in known else revision


def run_sql_file(script: str) -> None:
    """Run the SQL file beside a migration's script as it is, without parameters or escapes.

    Args:
        script: Path of the migration's Python file; the SQL file has the same stem.
    """
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(Path(script).with_suffix(".sql").read_text(encoding="utf-8"))


def _create_if_missing(
    connection: Connection, exists: LiteralString, create: LiteralString
) -> None:
    """Create an extension or schema if it is missing.

    IF NOT EXISTS would need the privilege to create even if the object exists.

    Args:
        connection: Connection to the database.
        exists: Query that returns a row if the object exists.
        create: Statement that creates the object.

    Raises:
        SettingsError: The object is missing, and this user may not create it.
    """
    if connection.execute(exists).fetchone() is not None:
        return
    try:
        connection.execute(create)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"{reason}; an administrator of the database {connection.info.dbname} must "
            f"run {create} once"
        ) from error
