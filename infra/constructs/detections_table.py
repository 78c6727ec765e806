"""Define the table of all detections for Athena, whose rows are the files of the results bucket.

Partitions are not registered: Athena computes their folders from the table's parameters, so that no
crawler and no job runs.
https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
"""

from __future__ import annotations

import re

from aws_cdk import Stack, Token
from aws_cdk.aws_glue import CfnDatabase, CfnTable
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from swath.pipeline.paths import UNKNOWN_MONTH
from swath.storage.addresses import TABLE_FOLDER

TABLE = "detections"
COLUMNS = {
    "class": "string",
    "score": "float",
    "geometry": "binary",
    "bbox": "struct<xmin:double,ymin:double,xmax:double,ymax:double>",
    "x_min": "double",
    "y_min": "double",
    "x_max": "double",
    "y_max": "double",
    "tile": "bigint",
    "run_id": "string",
    "scene": "string",
    "acquired_at": "timestamp",
}
"""Types of the columns in Hive; the column `model` of the files is a partition instead."""
PARTITIONS = {"model": "string", "month": "string"}
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class DetectionsTable(Construct):
    """Database of AWS Glue with the table `detections`; both cost nothing.

    Attributes:
        name: Name of the table in queries: `DATABASE.detections`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, results: IBucket) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        name = database_name(stack.stack_name)
        database = CfnDatabase(
            self,
            "Database",
            catalog_id=stack.account,
            database_input=CfnDatabase.DatabaseInputProperty(
                name=name, description="swath: detections of all runs"
            ),
        )
        location = f"s3://{results.bucket_name}/{TABLE_FOLDER}/"
        table = CfnTable(
            self,
            "Table",
            catalog_id=stack.account,
            database_name=name,
            table_input=CfnTable.TableInputProperty(
                name=TABLE,
                table_type="EXTERNAL_TABLE",
                parameters=_parameters(),
                partition_keys=_columns(PARTITIONS),
                storage_descriptor=CfnTable.StorageDescriptorProperty(
                    columns=_columns(COLUMNS),
                    location=location,
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        table.add_resource_dependency(database)
        self.name = f"{name}.{TABLE}"


def database_name(stack_name: str) -> str:
    """Return the name of the database of a stack; Glue allows lower case, digits and `_`."""
    if Token.is_unresolved(stack_name):
        return "swath"
    return re.sub("[^a-z0-9]", "_", stack_name.lower())


def _columns(types: dict[str, str]) -> list[CfnTable.ColumnProperty]:
    return [CfnTable.ColumnProperty(name=name, type=kind) for name, kind in types.items()]


def _parameters() -> dict[str, str]:
    """Return the parameters from which Athena computes the partitions of a query.

    Without a template of their addresses, the folders of partitions are in the style of Hive.
    """
    return {
        "EXTERNAL": "TRUE",
        "classification": "parquet",
        "projection.enabled": "true",
        # Models are published at any time, so a query states the name.
        "projection.model.type": "injected",
        "projection.month.type": "date",
        "projection.month.format": "yyyy-MM",
        "projection.month.range": f"{UNKNOWN_MONTH},NOW",
        "projection.month.interval": "1",
        "projection.month.interval.unit": "MONTHS",
    }
