from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from infra.constructs.detections_table import COLUMNS, PARTITIONS, database_name
from swath.detection.geoparquet import SCHEMA
from swath.exports.sources import TABLE_FOLDER
from swath.pipeline import paths
from swath.pipeline.paths import table_key


def hive_type(kind: Any) -> str:
    """The type of a column in Hive for a type of Arrow."""
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in kind)}>"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_dictionary(kind):
        return hive_type(kind.value_type)
    return {"int64": "bigint"}.get(str(kind), str(kind))


def test_the_table_has_the_columns_of_the_files(dev: Any):
    table = dev.one("AWS::Glue::Table", "DetectionsTable")["TableInput"]
    columns = {one["Name"]: one["Type"] for one in table["StorageDescriptor"]["Columns"]}
    partitions = {one["Name"]: one["Type"] for one in table["PartitionKeys"]}

    assert columns == COLUMNS
    assert partitions == PARTITIONS
    expected = {field.name: hive_type(field.type) for field in SCHEMA}
    assert expected.pop("model") == "string"
    assert columns == expected


@pytest.mark.parametrize("acquired_at", ["2026-05-31T10:00:00Z", None])
def test_athena_computes_the_folders_that_runs_are_published_in(dev: Any, acquired_at: str | None):
    table = dev.one("AWS::Glue::Table", "DetectionsTable")["TableInput"]
    parameters = table["Parameters"]
    prefix, bucket, folder = table["StorageDescriptor"]["Location"]["Fn::Join"][1]
    assert (prefix, bucket["Ref"][:14]) == ("s3://", "StorageResults")
    key = table_key("run", "ships", acquired_at)
    month = re.search("month=([^/]+)", key)

    assert month
    # Athena's default: the names and values of the partition keys, in their order.
    values = {"model": "ships", "month": month[1]}
    partition = "/".join(f"{one['Name']}={values[one['Name']]}" for one in table["PartitionKeys"])
    assert f"/{key}" == f"{folder}{partition}/run.parquet"
    assert "storage.location.template" not in parameters
    first = parameters["projection.month.range"].partition(",")[0]
    assert first <= month[1]
    assert len(month[1]) == len(parameters["projection.month.format"])
    assert parameters["projection.model.type"] == "injected"
    assert TABLE_FOLDER == paths.TABLE_FOLDER


def test_the_name_is_that_of_the_stack_in_the_letters_that_glue_allows(
    synthesize: Callable[..., Any],
):
    database = synthesize(name="My-Swath").one("AWS::Glue::Database", "DetectionsTable")
    assert database["DatabaseInput"]["Name"] == database_name("My-Swath") == "my_swath"


def test_the_publishing_function_writes_into_the_table_and_reads_nothing_there(dev: Any):
    policy = dev.one("AWS::IAM::Policy", "PublishResultsRole")["PolicyDocument"]["Statement"]
    text = str([one for one in policy if "s3:PutObject" in one["Action"]])
    assert "/detections/*" in text
    assert "/runs/*" in text
    assert "StorageResults" not in str([one for one in policy if "s3:GetObject" in one["Action"]])
