"""Define the topic for failures, and the rule that records a failed run."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk.aws_events import Rule
from aws_cdk.aws_events_targets import SfnStateMachine
from aws_cdk.aws_iam import ServicePrincipal
from aws_cdk.aws_sns import Topic
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from aws_cdk.aws_sqs import IQueue
from aws_cdk.aws_stepfunctions import IStateMachine
from constructs import Construct

from infra.constructs.record_failure import failed_execution_pattern


class FailureTopic(Construct):
    """Topic to which failures are published.

    Attributes:
        topic: SNS topic.
    """

    def __init__(self, scope: Construct, construct_id: str, *, email: str) -> None:
        super().__init__(scope, construct_id)
        self.topic = Topic(self, "Topic", display_name="swath failures", enforce_ssl=True)
        # A topic with a policy of its own no longer accepts messages from its account's alarms.
        alarms = ServicePrincipal(
            "cloudwatch.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
        self.topic.grant_publish(alarms)
        if email:
            self.topic.add_subscription(EmailSubscription(email))


class RunFailedRule(Construct):
    """Rule for failed executions of the state machine of runs, whatever their error is."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        machine: IStateMachine,
        record_failure: IStateMachine,
        dead_letter_queue: IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        Rule(
            self,
            "Rule",
            description="swath: a run failed",
            event_pattern=failed_execution_pattern(machine),
            targets=[SfnStateMachine(record_failure, dead_letter_queue=dead_letter_queue)],
        )
