"""Where the local cloud's database is, whoever runs it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo, sql

from local_cloud.errors import LocalCloudError
from local_cloud.faults.active import Faults
from local_cloud.postgis import rds
from local_cloud.postgis.gate import gate
from local_cloud.postgis.server import PostgisServer
from swath.settings import variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A PostgreSQL server on which the local cloud is administrator."""

    host: str
    port: int
    administrator: Mapping[str, str]
    """libpq parameters to connect as the administrator, without `dbname`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What functions need beside the template's variables to connect."""
    fresh_database: str = ""
    """On a server of the user's: the one database that is ours, whatever the template calls it."""
    server: PostgisServer | None = None
    """The server, if it is our own."""
    clusters: set[str] = field(default_factory=set)
    """The resource ids of the clusters that the server stands for."""

    def dsn(self, name: str) -> str:
        """How to connect as the administrator to the database that the template calls `name`."""
        return conninfo.make_conninfo(**self.administrator, dbname=self.actual_name(name))

    def actual_name(self, name: str) -> str:
        """The name of that database on the server."""
        return self.fresh_database or name

    def create(self, name: str, *, owner: str, password: str) -> None:
        """Create the database and the master user that the template asks for, as RDS does.

        Args:
            name: what the template calls the database; it is not created again.
            owner: the master user, who owns the database and is no superuser.
            password: how the master user logs in to a server of our own.
        """
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            rds.create_master(connection, owner, None if self.fresh_database else password)
            known = "SELECT FROM pg_database WHERE datname = %s"
            actual = sql.Identifier(self.actual_name(name))
            if connection.execute(known, [self.actual_name(name)]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(actual))
            change = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            connection.execute(change.format(actual, sql.Identifier(owner)))

    def drop(self, name: str) -> None:
        """Drop the database that the template calls `name`, with everything in it."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(self.actual_name(name))))

    def connect(self, name: str, *, user: str, password: str) -> rds.Connection:
        """Connect as a user with a password; the connection commits each statement.

        On a server of the user's, where passwords are not ours to give, the administrator connects
        and takes the user's rights.

        Raises:
            psycopg.Error: the database does not let the user in.
        """
        if self.fresh_database:
            connection = psycopg.connect(self.dsn(name), autocommit=True)
            become = sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(user))
            connection.execute(become)
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
def own_database(faults: Faults) -> Iterator[Database]:
    """Run a server of our own, behind a gate, for as long as the block lasts.

    Args:
        faults: what the gate lets users meet; the administrator connects to the server itself.
    """
    with (
        PostgisServer() as server,
        gate(
            server.host,
            server.port,
            faults,
            lambda fault: server.restart(away=fault.away, crashed=fault.crashed),
        ) as entrance,
    ):
        server.endpoint_port = entrance.port
        yield Database(
            host=server.host,
            port=entrance.port,
            administrator=server.administrator,
            environment={"PGSSLROOTCERT": str(server.root_certificate)},
            server=server,
        )


def check_server(url: str) -> None:
    """Refuse a server that the user names and that cannot be reached.

    Raises:
        LocalCloudError: it does not answer, or does not let us in.
    """
    try:
        with psycopg.connect(url):
            pass
    except psycopg.Error as error:
        raise _unusable(error) from error


def _unusable(error: psycopg.Error) -> LocalCloudError:
    reason = " ".join(str(error).split())
    return LocalCloudError(
        f"SWATH_POSTGIS_SERVER names a server that cannot be used: {reason}; "
        "correct it, or unset it: the local cloud then starts a PostGIS of its own"
    )


@contextlib.contextmanager
def users_database(url: str) -> Iterator[Database]:
    """A fresh database on a server that the user runs; it is dropped at the end.

    The functions' signed tokens mean nothing to that server, nor has it AWS's certificates: it must
    let its role `swath` in without a password, and TLS is used only if it offers it.

    Raises:
        LocalCloudError: the server cannot be reached, or gives us no rights.
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
        raise _unusable(error) from error
    try:
        yield Database(
            host=host,
            port=port,
            administrator=parameters,
            environment={
                variable("database_name"): name,
                variable("database_sslmode"): "prefer",
            },
            fresh_database=name,
        )
    finally:
        administrator = conninfo.make_conninfo(**parameters, dbname=maintenance)
        with psycopg.connect(administrator, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)
