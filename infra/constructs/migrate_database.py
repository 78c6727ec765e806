"""Define the function that migrates the database's schema when the stack is deployed."""

from __future__ import annotations

from typing import Unpack

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.database_function import DatabaseAccess, DatabaseFunction


class MigrateDatabase(DatabaseFunction):
    """Lambda `migrate_database`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        **database_access: Unpack[DatabaseAccess],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="migrate_database",
            memory_mib=512,
            timeout=Duration.minutes(14),
            **database_access,
        )
