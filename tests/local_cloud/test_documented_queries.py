"""Documented queries, run as the master user, who is not a superuser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local_cloud.cloud import ROOT
from local_cloud.moto_patches.data_api import execute
from swath.database.bootstrap import prepare_database
from swath.database.connect import connect
from swath.database.failures import record_failure
from swath.database.load import load_run
from swath.database.migrate import migrate
from swath.messages.execution_events import RunFailure
from tests.helpers.postgis import Cluster
from tests.helpers.runs import NOON, run_request

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])


def queries(page: Path) -> Iterator[str]:
    """The SQL of a page: in blocks of its own, and in calls of the Data API."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
        yield from filter(str.strip, block.split(";\n"))
    yield from re.findall(r"rds-data execute-statement.*?--sql \"([^\"]+)\"", text, re.DOTALL)


QUERIES = [
    pytest.param(query, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, query in enumerate(queries(page), start=1)
]


@pytest.fixture
def loaded(cluster: Cluster, merged) -> Cluster:
    """A cluster that is prepared and migrated as on a deployment, with a run of each end."""
    prepare_database(cluster.settings, client=cluster)
    with connect(cluster.user_settings) as connection:
        migrate(connection)
        load_run(connection, run_request(), merged(3))
        failed = run_request(uri="s3://scenes/incoming/y.tif")
        record_failure(
            connection,
            RunFailure(
                request=failed, status="failed", error="SceneError", cause="no", ended_at=NOON
            ),
        )
    return cluster


def test_there_are_queries_in_the_pages_about_the_database():
    named = {page.stem for page in PAGES if list(queries(page))}
    assert named >= {"database", "deploying"}


@pytest.mark.parametrize("query", QUERIES)
def test_a_documented_query_runs_for_the_master_user(loaded: Cluster, query: str):
    loaded.execute(query)


def test_the_query_of_the_deployment_page_gives_the_runs(loaded: Cluster):
    (query,) = (q for q in queries(ROOT / "docs" / "deploying.md") if "count(*)" in q)

    records = loaded.execute(query)

    assert sorted((row[0]["stringValue"], row[1]["longValue"]) for row in records) == [
        ("failed", 1),
        ("succeeded", 1),
    ]


def test_the_master_user_changes_nothing_of_swath(loaded: Cluster):
    database, name = loaded.database, loaded.settings.database_name
    with (
        database.connect(name, user=loaded.master, password=loaded.password) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM swath.runs")
    assert execute(
        *(database, name, "SELECT count(*) FROM swath.runs"),
        user=loaded.master,
        password=loaded.password,
    )["records"] == [[{"longValue": 2}]]
