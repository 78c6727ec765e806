"""Watch GPU jobs, because Batch waits forever without a report if no GPU host starts.

By the queue's limits, Batch cancels a job only for reasons that it recognizes. A quota and an
invalid compute environment are not among them:
https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk.aws_batch import IJobQueue
from aws_cdk.aws_events import EventField, EventPattern, Rule, RuleTargetInput
from aws_cdk.aws_events_targets import SfnStateMachine, SnsTopic
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_sns import ITopic
from aws_cdk.aws_stepfunctions import (
    Chain,
    Choice,
    Condition,
    JsonPath,
    Succeed,
    Wait,
    WaitTime,
)
from aws_cdk.aws_stepfunctions_tasks import CallAwsService
from constructs import Construct

from infra.constructs.logged_machine import create_logged_machine
from infra.grants import acknowledge_wildcards
from infra.retries import with_retries

QUOTA_ADVICE = (
    "New accounts have a quota of 0 GPU vCPUs: request 16 of 'Running On-Demand G and VT "
    "instances' and of 'All G and VT Spot Instance Requests', or deploy with the setting "
    "'backend' set to 'lambda'."
)


class GpuWatch(Construct):
    """Watch that reports a blocked queue at once, and ends a job for which no host starts.

    A job is ended if it is still runnable after `max_wait` and there is no host at all. If there is
    a host, the job waits for its turn, and is checked again after another `max_wait`. Ending a job
    fails its run.

    Attributes:
        machine: State machine, of which each runnable job starts an execution.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue: IJobQueue,
        environments: Sequence[str],
        topic: ITopic,
        max_wait: Duration,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._queue = queue
        self._environments = list(environments)
        self._jobs_arn = f"arn:{Aws.PARTITION}:batch:{Aws.REGION}:{Aws.ACCOUNT_ID}:job/*"
        self._add_blocked_rule(topic)
        self.machine = create_logged_machine(
            self,
            "gpu-watch",
            self._build_definition(max_wait),
            comment="End a GPU job for which no host starts.",
            log_retention=log_retention,
        )
        acknowledge_wildcards(
            self.machine,
            "*",
            self._jobs_arn,
            because="Jobs have no names before they are submitted; actions of logs, traces and "
            "descriptions support no narrower resource.",
        )
        self._add_runnable_rule()

    def _add_blocked_rule(self, topic: ITopic) -> None:
        message = {
            "message": f"GPU jobs wait: no host can run the first job of the queue. {QUOTA_ADVICE}",
            "run": EventField.from_path("$.detail.jobName"),
            "reason": EventField.from_path("$.detail.statusReason"),
            "queue": EventField.from_path("$.detail.jobQueue"),
        }
        Rule(
            self,
            "Blocked",
            description="swath: the GPU queue is blocked",
            # https://docs.aws.amazon.com/batch/latest/userguide/batch-job-queue-blocked-events.html
            event_pattern=self._job_events("Batch Job Queue Blocked"),
            targets=[SnsTopic(topic, message=RuleTargetInput.from_object(message))],
        )

    def _add_runnable_rule(self) -> None:
        # The first child of an array job represents all children.
        first_child = {"arrayProperties": {"index": [0, {"exists": False}]}}
        job = {"job": EventField.from_path("$.detail.jobId")}
        Rule(
            self,
            "Runnable",
            description="swath: a GPU job waits for a host",
            event_pattern=self._job_events(
                "Batch Job State Change", status=["RUNNABLE"], **first_child
            ),
            targets=[SfnStateMachine(self.machine, input=RuleTargetInput.from_object(job))],
        )

    def _job_events(self, kind: str, **detail: Any) -> EventPattern:
        return EventPattern(
            source=["aws.batch"],
            detail_type=[kind],
            detail={"jobQueue": [self._queue.job_queue_arn], **detail},
        )

    def _build_definition(self, max_wait: Duration) -> Chain:
        wait_for_host = Wait(self, "WaitForHost", time=WaitTime.duration(max_wait))
        host_properties = range(len(self._environments))
        is_there_a_host = (
            Choice(self, "IsThereAHost")
            .when(Condition.or_(*map(_has_hosts, host_properties)), wait_for_host)
            .otherwise(self._add_job_end(max_wait))
        )
        count = self._add_cluster_lookup().next(self._add_host_count()).next(is_there_a_host)
        does_job_wait = (
            Choice(self, "DoesJobWait")
            .when(Condition.string_equals("$.described.now.Status", "RUNNABLE"), count)
            .otherwise(Succeed(self, "JobMovedOn"))
        )
        return wait_for_host.next(self._add_job_lookup()).next(does_job_wait)

    def _add_job_lookup(self) -> CallAwsService:
        return self._add_call(
            "DescribeJob",
            "batch:describeJobs",
            {"Jobs": JsonPath.array(JsonPath.string_at("$.job"))},
            result_selector={"now": JsonPath.object_at("$.Jobs[0]")},
            result_path="$.described",
        )

    def _add_cluster_lookup(self) -> CallAwsService:
        """Create the state that lists the hosts' ECS clusters: Batch has one per environment."""
        return self._add_call(
            "FindClusters",
            "batch:describeComputeEnvironments",
            {"ComputeEnvironments": self._environments},
            result_selector={"arns": JsonPath.list_at("$.ComputeEnvironments[*].EcsClusterArn")},
            result_path="$.clusters",
        )

    def _add_host_count(self) -> CallAwsService:
        return self._add_call(
            "CountHosts",
            "ecs:describeClusters",
            {"Clusters": JsonPath.list_at("$.clusters.arns")},
            result_selector={
                "hosts": JsonPath.list_at("$.Clusters[*].RegisteredContainerInstancesCount")
            },
            result_path="$.counted",
        )

    def _add_job_end(self, max_wait: Duration) -> CallAwsService:
        # The id of a child job is the array's id, a colon and the child's index.
        array = JsonPath.array_get_item(JsonPath.string_split(JsonPath.string_at("$.job"), ":"), 0)
        reason = f"No GPU host started within {max_wait.to_hours():.0f} h. {QUOTA_ADVICE}"
        return self._add_call(
            "EndJob",
            "batch:terminateJob",
            {"JobId": array, "Reason": reason},
            on=self._jobs_arn,
            result_path=JsonPath.DISCARD,
        )

    def _add_call(
        self, name: str, action: str, parameters: dict[str, Any], *, on: str = "*", **options: Any
    ) -> CallAwsService:
        service, _, method = action.partition(":")
        state = CallAwsService(
            self,
            name,
            service=service,
            action=method,
            parameters=parameters,
            # IAM's actions begin with a capital letter.
            iam_action=f"{service}:{method[0].upper()}{method[1:]}",
            iam_resources=[on],
            **options,
        )
        return with_retries(state, ["States.TaskFailed"])


def _has_hosts(environment: int) -> Condition:
    return Condition.number_greater_than(f"$.counted.hosts[{environment}]", 0)
