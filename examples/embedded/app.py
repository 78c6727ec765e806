"""A harbour's own stack with a pipeline in it.

The harbour has an ingest service that delivers scenes, a queue from which a dashboard learns of
finished runs, and a queue that its operators watch. Run from the root of the checkout:

    npx cdk deploy --app ".venv/bin/python -m examples.embedded.app"
"""

from __future__ import annotations

from aws_cdk import App, CfnOutput, Stack
from aws_cdk.aws_events_targets import SqsQueue
from aws_cdk.aws_iam import Role, ServicePrincipal
from aws_cdk.aws_sns_subscriptions import SqsSubscription
from aws_cdk.aws_sqs import DeadLetterQueue, Queue
from constructs import Construct

from infra.app import cdk_flags
from infra.grants import write_objects
from infra.pipeline import Pipeline
from infra.settings import DeploySettings
from swath.messages import Backend

SETTINGS = DeploySettings(backend=Backend.LAMBDA, endpoints=())
"""Choices of the deployment, as docs/deploying.md lists them; models lie in `models`."""


class HarbourStack(Stack):
    """The harbour's resources, and swath among them."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id, description="harbour: ships at anchor, by satellite")
        pipeline = Pipeline(self, "Swath", settings=SETTINGS)

        ingest = Role(self, "Ingest", assumed_by=ServicePrincipal("ecs-tasks.amazonaws.com"))
        write_objects(ingest, pipeline.storage.scenes, "incoming/*")

        unread = self._queue("Unread")
        dashboard = self._queue("Dashboard", unread)
        pipeline.on_run_completed("DashboardRule", SqsQueue(dashboard, dead_letter_queue=unread))
        operators = self._queue("Operators", unread)
        pipeline.failure_topic.topic.add_subscription(SqsSubscription(operators))

        # Commands such as `swath train` and `swath invoke` read these outputs.
        for name, value in pipeline.outputs.items():
            CfnOutput(self, name, value=value)

    def _queue(self, construct_id: str, unread: Queue | None = None) -> Queue:
        dead_letters = DeadLetterQueue(queue=unread, max_receive_count=5) if unread else None
        return Queue(self, construct_id, enforce_ssl=True, dead_letter_queue=dead_letters)


def build(outdir: str | None = None) -> App:
    """Return the app.

    Args:
        outdir: Folder of the cloud assembly; None for the choice of the CDK's command line.
    """
    app = App(outdir=outdir, context=cdk_flags())
    HarbourStack(app, "harbour")
    return app


if __name__ == "__main__":
    build().synth()
