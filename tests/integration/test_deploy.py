"""The project's own template, as synthesized, becomes a stack with a migrated database."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from local_cloud.cloud import LocalCloud

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


def test_every_resource_of_the_template_is_made(cloud: LocalCloud, assembly: Path):
    (path,) = assembly.glob("*.template.json")
    template = json.loads(path.read_text())
    formation = cloud.client("cloudformation")
    pages = formation.get_paginator("list_stack_resources").paginate(
        StackName=path.name.removesuffix(".template.json")
    )

    made = {r["LogicalResourceId"] for page in pages for r in page["StackResourceSummaries"]}

    assert made == template["Resources"].keys()
    assert set(cloud.outputs) == template["Outputs"].keys()
    assert all(cloud.outputs.values())


def test_the_deployed_template_is_the_synthesized_one(cloud: LocalCloud, assembly: Path):
    (path,) = assembly.glob("*.template.json")
    stack = path.name.removesuffix(".template.json")

    deployed = cloud.client("cloudformation").get_template(StackName=stack)["TemplateBody"]

    assert deployed == json.loads(path.read_text())


def test_the_database_is_migrated_on_deployment(cloud: LocalCloud):
    with psycopg.connect(cloud.dsn()) as connection:
        tables = connection.execute(
            "SELECT table_name, table_type FROM information_schema.tables"
            " WHERE table_schema = 'swath' ORDER BY 1"
        ).fetchall()
        postgis = connection.execute("SELECT postgis_lib_version()").fetchone()

    expected = {("detection_rows", "BASE TABLE"), ("detections", "VIEW"), ("runs", "BASE TABLE")}
    assert expected <= set(tables)
    assert postgis is not None


def test_functions_connect_as_the_templates_user_and_verify_the_server(cloud: LocalCloud):
    functions = cloud.client("lambda").list_functions()["Functions"]
    (loader,) = (f for f in functions if "LoadDetections" in f["FunctionName"])
    variables = loader["Environment"]["Variables"]

    assert variables["SWATH_DATABASE_SSLMODE"] == "verify-full"
    with psycopg.connect(cloud.dsn()) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'swath'"
        ).fetchall()
    assert owners == [(variables["SWATH_DATABASE_USER"],)]
