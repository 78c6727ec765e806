"""Define the function that resumes a run when the asynchronous endpoint has finished a shard."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sns_subscriptions import LambdaSubscription
from aws_cdk.aws_sqs import IQueue
from aws_cdk.aws_stepfunctions import IStateMachine
from constructs import Construct

from infra.constructs.async_endpoint import INVOCATIONS_FOLDER, AsyncEndpoint
from infra.constructs.function import Function
from infra.grants import allow, read_objects
from swath.settings import ResumeRunSettings


class ResumeRun(Function):
    """Lambda `resume_run`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: AsyncEndpoint,
        work: IBucket,
        machine: IStateMachine,
        dead_letter_queue: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="resume_run",
            environment=ResumeRunSettings(work_uri=f"s3://{work.bucket_name}").to_env(),
            memory_mib=256,
            timeout=Duration.minutes(1),
            log_retention=log_retention,
        )
        read_objects(self.role, work, "runs/*")
        read_objects(self.role, work, f"{INVOCATIONS_FOLDER}/*")
        allow(
            self.role,
            "states:SendTaskSuccess",
            "states:SendTaskFailure",
            # The state machine of a Distributed Map's child execution is `<machine>/<map's label>`.
            on=[machine.state_machine_arn, f"{machine.state_machine_arn}/*"],
            because="AWS does not document which of the two resources it checks.",
        )
        # The function's failure destination is for messages that it failed to handle; the
        # subscriptions' dead-letter queue is for messages that SNS cannot deliver.
        self.function.configure_async_invoke(
            retry_attempts=2, on_failure=SqsDestination(dead_letter_queue)
        )
        for topic in (endpoint.succeeded, endpoint.failed):
            topic.add_subscription(
                LambdaSubscription(self.function, dead_letter_queue=dead_letter_queue)
            )
