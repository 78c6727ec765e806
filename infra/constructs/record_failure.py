"""The function that notes in the database that a run failed, and why."""

from __future__ import annotations

from typing import Unpack

from aws_cdk import Duration
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_sqs import IQueue
from constructs import Construct

from infra.constructs.database_function import DatabaseFunction, Inside


class RecordFailure(DatabaseFunction):
    """Lambda `record_failure`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dead_letters: IQueue,
        **inside: Unpack[Inside],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="record_failure",
            memory_mib=512,
            timeout=Duration.minutes(3),
            **inside,
        )
        self.function.configure_async_invoke(
            retry_attempts=2, on_failure=SqsDestination(dead_letters)
        )
