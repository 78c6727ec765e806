"""Bring the database's schema up to date."""

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
from swath.errors import SettingsError

logger = logging.getLogger(__name__)

# Any number will do that nobody else locks: "swath" in ASCII.
_LOCK = 0x7377617468
# Where Alembic keeps the revision that a database is at.
VERSION_TABLE: dict[str, Any] = {"version_table": "migration", "version_table_schema": "swath"}
_POSTGIS: LiteralString = "CREATE EXTENSION postgis"
_SCHEMA: LiteralString = "CREATE SCHEMA swath"


def migrate(connection: Connection) -> str:
    """Run the migrations that the database has not seen; the revision that it is at then.

    All of them succeed or none does. Two callers at once take turns. A database at a revision that
    this release does not have was migrated by a later one: it is left as it is, so that a
    deployment can be rolled back.

    Raises:
        SettingsError: something is missing that this user may not create.
        TransientError: the connection was lost; nothing was changed.
    """
    config = Config()
    config.set_main_option("script_location", "swath.database:migrations")
    # SQLAlchemy on the connection that is there: Alembic speaks to nothing else.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    with transient_errors("migrating the database"), engine.begin() as borrowed:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        _require(connection, "SELECT FROM pg_extension WHERE extname = 'postgis'", _POSTGIS)
        _require(connection, "SELECT FROM pg_namespace WHERE nspname = 'swath'", _SCHEMA)
        if later := _later_revision(borrowed, config):
            logger.warning("the database is at revision %s, of a later release: left as is", later)
            return later
        config.attributes["connection"] = borrowed
        command.upgrade(config, "head")
    return str(ScriptDirectory.from_config(config).get_current_head())


def _later_revision(connection: SqlConnection, config: Config) -> str | None:
    """Return the database's revision if this release has no migration of that name."""
    context = MigrationContext.configure(connection, opts=VERSION_TABLE)
    revision = context.get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return None if revision in known else revision


def run_sql_beside(script: str) -> None:
    """Run the SQL file that has a migration's name, as it is: no parameters, no escapes."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(Path(script).with_suffix(".sql").read_text(encoding="utf-8"))


def _require(connection: Connection, exists: LiteralString, create: LiteralString) -> None:
    """Create what is missing. IF NOT EXISTS would need the right to create all the same."""
    if connection.execute(exists).fetchone() is not None:
        return
    try:
        connection.execute(create)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"{reason}: let an administrator of the database {connection.info.dbname} "
            f"run {create} once"
        ) from error
