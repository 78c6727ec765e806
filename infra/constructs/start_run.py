"""Define the function that starts a run, and the rules that call it.

One rule calls it for each dropped scene. The other rule calls it for each execution that ends,
since a drop of the same bytes may wait for that.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk.aws_events import EventPattern, Match, Rule
from aws_cdk.aws_events_targets import LambdaFunction
from aws_cdk.aws_iam import IRole
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sqs import IQueue
from aws_cdk.aws_stepfunctions import IStateMachine
from constructs import Construct

from infra.constructs.function import Function
from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.run_machine import RunMachine
from infra.ended_executions import ENDED_STATUSES, ended_execution_pattern
from infra.grants import allow, read_objects, read_sources, write_objects
from swath.messages import Backend
from swath.settings import StartRunSettings

INCOMING_PREFIX = "incoming/"
DELIVERIES_PREFIX = "deliveries/"
# Time for which events are retried before they become dead letters: longer than most outages.
MAX_EVENT_AGE = Duration.hours(6)


class StartRun(Function):
    """Lambda `start_run`.

    Attributes:
        rule: Rule that calls the function for each object that is put below `incoming/` or
            `deliveries/`.
        settings: Settings of the function.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scenes: IBucket,
        work: IBucket,
        run_machine: RunMachine,
        models: ModelCatalog,
        scene_sources: Sequence[str],
        default_model: str,
        backend: Backend,
        tolerated_failures: float,
        score_threshold: float | None,
        delivery_hours: int,
        dead_letter_queue: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        self.settings = StartRunSettings(
            state_machine_arn=run_machine.machine.state_machine_arn,
            catalog_uri=models.uri,
            default_model=default_model,
            work_uri=f"s3://{work.bucket_name}",
            incoming_prefix=INCOMING_PREFIX,
            deliveries_prefix=DELIVERIES_PREFIX,
            delivery_hours=delivery_hours,
            backend=backend,
            tolerated_failures=tolerated_failures,
            score_threshold=score_threshold,
            # The files of an Item may lie in the scenes bucket, outside `incoming/`.
            scene_sources=(f"s3://{scenes.bucket_name}/", *scene_sources),
        )
        super().__init__(
            scope,
            construct_id,
            name="start_run",
            environment=self.settings.to_env(),
            memory_mib=512,
            timeout=Duration.minutes(1),
            log_retention=log_retention,
        )
        grant_starting_runs(
            self.role, scenes=scenes, work=work, run_machine=run_machine, models=models
        )
        # The files of Items are looked up.
        read_sources(self.role, scene_sources)
        self._add_rules(scenes, run_machine.machine, dead_letter_queue)

    def _add_rules(
        self, scenes: IBucket, machine: IStateMachine, dead_letter_queue: IQueue
    ) -> None:
        # The function's failure destination is for events that it failed to handle; the targets'
        # dead-letter queue is for events that EventBridge cannot deliver.
        self.function.configure_async_invoke(
            retry_attempts=2,
            max_event_age=MAX_EVENT_AGE,
            on_failure=SqsDestination(dead_letter_queue),
        )
        self.rule = Rule(
            self,
            "SceneDropped",
            description="swath: a scene was put into the scenes bucket",
            event_pattern=EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [scenes.bucket_name]},
                    "object": {
                        "key": Match.any_of(
                            Match.prefix(INCOMING_PREFIX), Match.prefix(DELIVERIES_PREFIX)
                        )
                    },
                },
            ),
            targets=[self._rule_target(dead_letter_queue)],
        )
        Rule(
            self,
            "RunEnded",
            description="swath: a run ended; a drop of its scene may wait for this",
            event_pattern=ended_execution_pattern(machine, ENDED_STATUSES),
            targets=[self._rule_target(dead_letter_queue)],
        )

    def _rule_target(self, dead_letter_queue: IQueue) -> LambdaFunction:
        return LambdaFunction(
            self.function, dead_letter_queue=dead_letter_queue, max_event_age=MAX_EVENT_AGE
        )


def grant_starting_runs(
    role: IRole, *, scenes: IBucket, work: IBucket, run_machine: RunMachine, models: ModelCatalog
) -> None:
    """Let a role start the runs of dropped scenes and of complete deliveries.

    Args:
        role: Role of the function.
        scenes: Bucket of scenes, of which Items and deliveries are read.
        work: Bucket of the notes.
        run_machine: State machine of runs.
        models: Deployed models.
    """
    run_machine.machine.grant_start_execution(role)
    allow(
        role,
        "states:DescribeExecution",
        on=[run_machine.executions],
        because="Executions are named by runs, which do not exist at deployment.",
    )
    models.grant_read_catalog(role)
    # Items, manifests and parts of deliveries are read and looked up before a run starts.
    read_objects(role, scenes)
    # These objects are the notes of the latest drop of each scene and model, and of deliveries.
    for pattern in ("scenes/*", "deliveries/*"):
        read_objects(role, work, pattern)
        write_objects(role, work, pattern)
