"""Tests of a master user's rights on our own server: as much as on RDS, and no more."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.helpers.postgis import Cluster

REFUSED = [
    "CREATE EXTENSION postgis_raster CASCADE",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION postgis; SELECT 1",
    "CREATE ROLE other SUPERUSER",
    "GRANT rdsadmin TO {master}",
    "GRANT pg_read_all_data TO {master}",
    "ALTER ROLE rdsadmin PASSWORD 'x'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT FROM pg_authid",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_a_master_user_is_not_a_superuser(cluster: Cluster, statement: str):
    with pytest.raises(ClientError, match="SQLState: 42501"):
        cluster.execute(statement.format(master=cluster.master))


@pytest.mark.parametrize("condition", ["", "IF NOT EXISTS "])
def test_a_master_user_creates_postgis(cluster: Cluster, condition: str):
    cluster.execute(f"CREATE EXTENSION {condition}postgis")
    assert cluster.execute("SELECT ST_AsText(ST_Point(1, 2))") == [[{"stringValue": "POINT(1 2)"}]]


def test_a_master_user_grants_rds_iam_and_is_no_member_of_it(cluster: Cluster):
    user = cluster.settings.database_user
    cluster.administer(f"CREATE ROLE {user}")

    cluster.execute(f"GRANT rds_iam TO {user}")

    query = "SELECT pg_has_role('{}', 'rds_iam', 'MEMBER')"
    assert cluster.administer(query.format(user)) == [(True,)]
    assert cluster.administer(query.format(cluster.master)) == [(False,)]
