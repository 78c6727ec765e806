"""Define the function that checks deliveries which are incomplete for long, and its schedule."""

from __future__ import annotations

import dataclasses

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sns import ITopic
from aws_cdk.aws_sqs import IQueue
from constructs import Construct

from infra.constructs.function import Function
from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.run_machine import RunMachine
from infra.constructs.schedule import call_regularly
from infra.constructs.start_run import grant_starting_runs
from swath.settings import StartRunSettings, WatchDeliveriesSettings

# The same as `swath.pipeline.deliveries.note.DUE_STEP`.
INTERVAL = Duration.minutes(15)


class WatchDeliveries(Function):
    """Lambda `watch_deliveries`.

    Attributes:
        rule: Rule that calls the function every 15 minutes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: StartRunSettings,
        scenes: IBucket,
        work: IBucket,
        run_machine: RunMachine,
        models: ModelCatalog,
        topic: ITopic,
        dead_letter_queue: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        watch_settings = WatchDeliveriesSettings(
            **{f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)},
            topic_arn=topic.topic_arn,
        )
        super().__init__(
            scope,
            construct_id,
            name="watch_deliveries",
            environment=watch_settings.to_env(),
            memory_mib=512,
            timeout=Duration.minutes(10),
            log_retention=log_retention,
        )
        grant_starting_runs(
            self.role, scenes=scenes, work=work, run_machine=run_machine, models=models
        )
        topic.grant_publish(self.role)
        self.rule = call_regularly(
            self,
            INTERVAL,
            description="swath: incomplete deliveries are checked",
            dead_letter_queue=dead_letter_queue,
        )
