"""Define the dead-letter queue for events that could not be handled, with its alarm."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_cloudwatch import Alarm, ComparisonOperator, TreatMissingData
from aws_cdk.aws_cloudwatch_actions import SnsAction
from aws_cdk.aws_sns import ITopic
from aws_cdk.aws_sqs import Queue, QueueEncryption
from constructs import Construct

from infra.grants import acknowledge


class DeadLetterQueue(Construct):
    """Dead-letter queue, with an alarm that notifies a topic when the queue is not empty.

    Attributes:
        queue: Queue.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, function_name: str, topic: ITopic
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = Queue(
            self,
            "Queue",
            encryption=QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(self.queue, "AwsSolutions-SQS3", because="It is itself a dead-letter queue.")
        alarm = Alarm(
            self,
            "Alarm",
            alarm_description=f"swath: {function_name} could not handle an event, which is in the "
            f"queue {self.queue.queue_name}.",
            metric=self.queue.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(5), statistic="Maximum"
            ),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(SnsAction(topic))
