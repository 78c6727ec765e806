"""The roles and the rights that RDS has beside PostgreSQL's, on a server of our own.

The master user is no superuser, there or here. What RDS lets it do although PostgreSQL does not is
done here by RDS's own superuser, `rdsadmin`, and is as little as swath needs:

- create the extension PostGIS, which is not a trusted one:
  https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.PostGIS.html
- grant `rds_iam` without being its administrator:
  https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
  (PostgreSQL 16 and later want the ADMIN option, whose holder is a member, and members log in by
  token; https://github.com/gravitational/teleport/pull/48897 reports the difference)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

ADMINISTRATOR = "rdsadmin"
_LET = re.compile(r"CREATE EXTENSION (IF NOT EXISTS )?postgis|GRANT rds_iam TO [a-z_][a-z0-9_]*")

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
_ROLES: Mapping[str, tuple[str, ...]] = {
    "rds_iam": (),
    "rds_superuser": ("pg_monitor", "pg_signal_backend"),
}

Connection = psycopg.Connection[tuple[Any, ...]]


def authentication(token_port: int, token_prefix: str) -> str:
    """Write `pg_hba.conf` in the order of RDS's: tokens for `rds_iam`, passwords for all others.

    The order is read from `pg_hba_file_rules` of real instances: `hostssl all +rds_iam all pam`,
    `host all +rds_iam all reject`, then passwords. Nobody else logs in as `rdsadmin` there; here
    whoever comes from this machine does, so that the local cloud needs no secret of its own.
    """
    tokens = f'ldapserver=127.0.0.1 ldapport={token_port} ldapprefix="{token_prefix}"'
    return f"""\
host    all {ADMINISTRATOR}  127.0.0.1/32 trust
host    all {ADMINISTRATOR}  all          reject
hostssl all +rds_iam  127.0.0.1/32 ldap {tokens}
host    all +rds_iam  all          reject
host    all all       127.0.0.1/32 scram-sha-256
"""


def create_roles(connection: Connection) -> None:
    """Create RDS's roles where they are missing, as a superuser."""
    for role, memberships in _ROLES.items():
        if not _exists(connection, role):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        for group in memberships:
            grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role))
            connection.execute(grant)


def create_master(connection: Connection, user: str, password: str | None) -> None:
    """Create a cluster's master user where it is missing, as a superuser.

    Args:
        connection: commits each statement.
        user: its name.
        password: how it logs in; None if it never does.
    """
    if not _exists(connection, user):
        create = "CREATE ROLE {} NOLOGIN NOSUPERUSER CREATEDB CREATEROLE IN ROLE rds_superuser"
        connection.execute(sql.SQL(create).format(sql.Identifier(user)))
    if password is not None:
        alter = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        connection.execute(alter.format(sql.Identifier(user), sql.Literal(password)))


def lets(statement: str) -> bool:
    """Return whether RDS lets `rds_superuser` run a statement that PostgreSQL refuses it."""
    return _LET.fullmatch(statement) is not None


def _exists(connection: Connection, role: str) -> bool:
    query = "SELECT FROM pg_roles WHERE rolname = %s"
    return connection.execute(query, [role]).fetchone() is not None
