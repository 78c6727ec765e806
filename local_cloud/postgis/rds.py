"""Create the roles and rights that RDS adds to PostgreSQL's, on the local cloud's own server.

The master user is not a superuser, on RDS or here. RDS allows it some statements that PostgreSQL
refuses. Here RDS's own superuser, `rdsadmin`, runs those that swath needs:

- creating the extension PostGIS, which is not a trusted one:
  https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.PostGIS.html
- granting `rds_iam` without being its administrator:
  https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
  (PostgreSQL 16 and later require the ADMIN option. Its holder is a member, and members log in by
  token; https://github.com/gravitational/teleport/pull/48897 reports the difference.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

SUPERUSER = "rdsadmin"
_MASTER_STATEMENT = re.compile(
    r"CREATE EXTENSION (IF NOT EXISTS )?postgis|GRANT rds_iam TO [a-z_][a-z0-9_]*"
)

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
_ROLES: Mapping[str, tuple[str, ...]] = {
    "rds_iam": (),
    "rds_superuser": ("pg_monitor", "pg_signal_backend"),
}

Connection = psycopg.Connection[tuple[Any, ...]]


def format_hba_rules(token_port: int, token_prefix: str) -> str:
    """Return a `pg_hba.conf` in RDS's order: tokens for `rds_iam`, passwords for all other users.

    The order was read from `pg_hba_file_rules` of real instances: `hostssl all +rds_iam all pam`,
    `host all +rds_iam all reject`, then passwords. On RDS, only RDS itself logs in as `rdsadmin`.
    Here any local process may do so, which saves the local cloud a secret of its own.

    Args:
        token_port: Port of the LDAP server that checks tokens.
        token_prefix: Prefix of user names in requests to that server.
    """
    tokens = f'ldapserver=127.0.0.1 ldapport={token_port} ldapprefix="{token_prefix}"'
    return f"""\
host    all {SUPERUSER}  127.0.0.1/32 trust
host    all {SUPERUSER}  all          reject
hostssl all +rds_iam  127.0.0.1/32 ldap {tokens}
host    all +rds_iam  all          reject
host    all all       127.0.0.1/32 scram-sha-256
"""


def create_roles(connection: Connection) -> None:
    """Create RDS's missing roles, as a superuser."""
    for role, memberships in _ROLES.items():
        if not _exists(connection, role):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        for group in memberships:
            grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role))
            connection.execute(grant)


def create_master(connection: Connection, user: str, password: str | None) -> None:
    """Create a cluster's master user if it is missing, as a superuser.

    Args:
        connection: Connection that commits each statement.
        user: Name of the master user.
        password: Password of the master user; None if it never logs in.
    """
    if not _exists(connection, user):
        create = "CREATE ROLE {} NOLOGIN NOSUPERUSER CREATEDB CREATEROLE IN ROLE rds_superuser"
        connection.execute(sql.SQL(create).format(sql.Identifier(user)))
    if password is not None:
        alter = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        connection.execute(alter.format(sql.Identifier(user), sql.Literal(password)))


def is_allowed_to_master(statement: str) -> bool:
    """Return whether RDS allows `rds_superuser` a statement that PostgreSQL refuses."""
    return _MASTER_STATEMENT.fullmatch(statement) is not None


def _exists(connection: Connection, role: str) -> bool:
    query = "SELECT FROM pg_roles WHERE rolname = %s"
    return connection.execute(query, [role]).fetchone() is not None
