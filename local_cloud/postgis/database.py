"""Connect to the local cloud's database, on its own server or on the user's."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo, sql

from local_cloud.errors import LocalCloudError
from local_cloud.faults.registry import FaultRegistry
from local_cloud.postgis import rds
from local_cloud.postgis.proxy import open_proxy
from local_cloud.postgis.server import PostgisServer
from swath.settings import variable_name

POSTGIS_SERVER_VARIABLE = "SWATH_POSTGIS_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """PostgreSQL server of which the local cloud is administrator."""

    host: str
    port: int
    administrator: Mapping[str, str]
    """libpq parameters to connect as the administrator, without `dbname`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that functions need to connect, in addition to the template's."""
    fresh_database: str = ""
    """Name of the only database of the local cloud on a user's server, whatever the template
    calls it."""
    server: PostgisServer | None = None
    """Local cloud's own server; None on a user's server."""
    clusters: set[str] = field(default_factory=set)
    """Resource ids of the clusters that the server represents."""

    def dsn(self, name: str) -> str:
        """Return the administrator's connection string for a database, named as in the template."""
        return conninfo.make_conninfo(**self.administrator, dbname=self.actual_name(name))

    def actual_name(self, name: str) -> str:
        """Return the actual name of a database on the server, from its name in the template."""
        return self.fresh_database or name

    def create(self, name: str, *, owner: str, password: str) -> None:
        """Create the template's database and master user, as RDS does.

        Args:
            name: Name of the database in the template; an existing one is kept.
            owner: Master user, who owns the database and is not a superuser.
            password: Password of the master user, for the local cloud's own server.
        """
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            rds.create_master(connection, owner, None if self.fresh_database else password)
            exists = "SELECT FROM pg_database WHERE datname = %s"
            actual = sql.Identifier(self.actual_name(name))
            if connection.execute(exists, [self.actual_name(name)]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(actual))
            alter = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            connection.execute(alter.format(actual, sql.Identifier(owner)))

    def drop(self, name: str) -> None:
        """Drop the database that the template calls `name`, with all its content."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(self.actual_name(name))))

    def connect(self, name: str, *, user: str, password: str) -> rds.Connection:
        """Connect as a user with a password; the connection commits each statement.

        On a user's server, the local cloud sets no passwords: the administrator connects and
        assumes the user's rights.

        Args:
            name: Name of the database in the template.
            user: Name of the database user.
            password: Password of that user.

        Raises:
            psycopg.Error: The database refuses the user.
        """
        if self.fresh_database:
            connection = psycopg.connect(self.dsn(name), autocommit=True)
            set_user = sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(user))
            connection.execute(set_user)
            return connection
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=name,
            user=user,
            password=password,
            sslmode="require",
            autocommit=True,
        )


@contextlib.contextmanager
def run_own_server(faults: FaultRegistry) -> Iterator[Database]:
    """Run the local cloud's own server, behind a gate, for the duration of the block.

    Args:
        faults: Faults that the gate applies to users; the administrator connects to the server
            directly.
    """
    with (
        PostgisServer() as server,
        open_proxy(
            server.host,
            server.port,
            faults,
            lambda fault: server.restart(downtime=fault.downtime, crashed=fault.crashed),
        ) as proxy,
    ):
        server.endpoint_port = proxy.port
        yield Database(
            host=server.host,
            port=proxy.port,
            administrator=server.administrator,
            environment={"PGSSLROOTCERT": str(server.root_certificate)},
            server=server,
        )


def check_server(url: str) -> None:
    """Refuse a user's server that cannot be reached.

    Raises:
        LocalCloudError: The server does not answer, or refuses the connection.
    """
    try:
        with psycopg.connect(url):
            pass
    except psycopg.Error as error:
        raise _unusable_server_error(error) from error


def _unusable_server_error(error: psycopg.Error) -> LocalCloudError:
    reason = " ".join(str(error).split())
    return LocalCloudError(
        f"SWATH_POSTGIS_SERVER names a server that cannot be used: {reason}; "
        "correct the variable, or unset it: the local cloud then starts its own PostGIS"
    )


@contextlib.contextmanager
def create_on_user_server(url: str) -> Iterator[Database]:
    """Create a new database on a user's server for the duration of the block, then drop it.

    That server cannot check the functions' signed tokens, and lacks AWS's certificates. It must
    therefore accept its role `swath` without a password, and TLS is used only if the server offers
    it.

    Raises:
        LocalCloudError: The server cannot be reached, or grants no rights.
    """
    name = f"swath_local_{secrets.token_hex(4)}"
    try:
        parameters = {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items() if v is not None}
        maintenance = parameters.pop("dbname", "postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            rds.create_roles(connection)
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            host, port = connection.info.host, connection.info.port
    except psycopg.Error as error:
        raise _unusable_server_error(error) from error
    try:
        yield Database(
            host=host,
            port=port,
            administrator=parameters,
            environment={
                variable_name("database_name"): name,
                variable_name("database_sslmode"): "prefer",
            },
            fresh_database=name,
        )
    finally:
        administrator = conninfo.make_conninfo(**parameters, dbname=maintenance)
        with psycopg.connect(administrator, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)
