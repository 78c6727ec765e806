"""Define the pipeline as one construct: create its parts and connect them."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import Duration
from aws_cdk.aws_ec2 import ISecurityGroup
from aws_cdk.aws_events import EventPattern, IRuleTarget, Rule
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import Bucket
from constructs import Construct

from infra.constructs.database import Database
from infra.constructs.database_function import DatabaseAccess
from infra.constructs.dead_letter_queue import DeadLetterQueue
from infra.constructs.detections_table import DetectionsTable
from infra.constructs.endpoint import EndpointResources
from infra.constructs.evaluation import Evaluation
from infra.constructs.failures import FailureTopic, RunFailedRule
from infra.constructs.find_cause import FindCause
from infra.constructs.gpu_queue import GpuQueue
from infra.constructs.gpu_watch import GpuWatch
from infra.constructs.infer_shard import LAMBDA_MEMORY_MIB, InferShard
from infra.constructs.infer_shard_job import InferShardJob
from infra.constructs.load_detections import LoadDetections
from infra.constructs.merge_detections import MergeDetections
from infra.constructs.migrate_database import MigrateDatabase
from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.network import MIN_ZONES, Network
from infra.constructs.plan_scene import PlanScene
from infra.constructs.prepare_database import PrepareDatabase
from infra.constructs.publish_results import PublishResults
from infra.constructs.record_failure import RecordFailure, RecordFailureMachine
from infra.constructs.resume_run import ResumeRun
from infra.constructs.run_machine import RunMachine
from infra.constructs.start_run import StartRun
from infra.constructs.storage import Storage
from infra.constructs.training import Training
from infra.constructs.transforms import Transforms
from infra.constructs.triggers import log_triggers, run_on_change
from infra.constructs.update_catalog import UpdateCatalog
from infra.constructs.watch_deliveries import WatchDeliveries
from infra.endpoints import Endpoints
from infra.images import ROOT
from infra.settings import DeploySettings, LogDays
from infra.shard_states import BatchBackend, MapBackend
from infra.workflow import EVENT_SOURCE, RUN_COMPLETED, WorkflowResources
from swath.messages import Backend

LOG_RETENTION: dict[LogDays, RetentionDays] = {
    1: RetentionDays.ONE_DAY,
    3: RetentionDays.THREE_DAYS,
    5: RetentionDays.FIVE_DAYS,
    7: RetentionDays.ONE_WEEK,
    14: RetentionDays.TWO_WEEKS,
    30: RetentionDays.ONE_MONTH,
    60: RetentionDays.TWO_MONTHS,
    90: RetentionDays.THREE_MONTHS,
    180: RetentionDays.SIX_MONTHS,
    365: RetentionDays.ONE_YEAR,
}


class Pipeline(Construct):
    """All of swath, for a stack of its own or as a part of another stack.

    A stack has at most one pipeline, since the state machine and the endpoints are named after the
    stack.

    Attributes:
        storage: Buckets of scenes, of work and of results.
        table: Table of all detections, for Athena.
        network: Network of the database and of GPU hosts.
        database: Database cluster.
        models: Deployed model packages.
        failure_topic: Topic to which failed runs are published.
        endpoints: SageMaker endpoints that the settings request.
        runs: State machine whose executions are runs.
        start_run: Function that starts a run for each scene in the scenes bucket.
        watch_deliveries: Function that reports deliveries that are incomplete for long.
        update_catalog: Function that updates the STAC catalog of the results.
        infer_shard: Function that infers a shard on Lambda.
        gpu_queue: Job queue of AWS Batch; None without one.
        data_buckets: The user's buckets that SageMaker jobs may read.
        training: Role and image of training jobs; None without them.
        evaluation: Role and image of evaluation jobs; None without them.
        transforms: Role and image of batch transforms; None without endpoints.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: DeploySettings,
        zones: int = MIN_ZONES,
    ) -> None:
        """Create the parts that the settings request.

        Args:
            scope: Stack, or a construct in one.
            construct_id: Id within the scope. The CDK leaves `Default` out of logical ids.
            settings: Settings of the deployment, except for `name`, which is for the stack.
            zones: Number of availability zones in the region.

        Raises:
            SettingsError: There is no folder of models, or it lacks the default model.
        """
        super().__init__(scope, construct_id)
        self._deployed = settings.to_deployed(lambda_memory_mib=LAMBDA_MEMORY_MIB)
        self._log_options = {"log_retention": LOG_RETENTION[settings.log_retention_days]}
        self._add_storage_and_network(settings, zones)
        self._add_endpoints(settings)
        self._add_runs(settings)
        self._add_run_resumption()
        # The user's own buckets, which exist already.
        self.data_buckets = [
            Bucket.from_bucket_name(self, f"Data-{name}", name) for name in settings.data_buckets
        ]
        self.training = self._add_training() if settings.training else None
        self.evaluation = self._add_evaluation() if settings.training else None
        self.transforms = self._add_transforms() if settings.endpoints else None
        self._add_failure_records()
        self._add_migrations(before=self.start_run.rule)

    @property
    def outputs(self) -> dict[str, str]:
        """Values of the stack outputs that the `swath` command reads, by name."""
        values = {
            "ScenesBucket": self.storage.scenes.bucket_name,
            "WorkBucket": self.storage.work.bucket_name,
            "ResultsBucket": self.storage.results.bucket_name,
            "DetectionsTable": self.table.name,
            "StateMachineArn": self.runs.machine.state_machine_arn,
            "FailureTopicArn": self.failure_topic.topic.topic_arn,
            "ModelCatalogUri": self.models.uri,
            "Settings": json.dumps(self._deployed.to_json(), separators=(",", ":")),
            "InferShardFunction": self.infer_shard.function_name,
            "DatabaseHost": self.database.cluster.cluster_endpoint.hostname,
            "DatabaseClusterArn": self.database.cluster.cluster_arn,
            "DatabaseSecretArn": self.database.master_secret_arn,
        }
        if self.gpu_queue:
            values["JobQueueArn"] = self.gpu_queue.queue.job_queue_arn
        for kind, name in self.endpoints.names.items():
            values[f"{kind}Endpoint"] = name
        if self.training:
            values["TrainingRoleArn"] = self.training.role.role_arn
            values["TrainingImageUri"] = self.training.image_uri
        if self.evaluation:
            values["EvaluationRoleArn"] = self.evaluation.role.role_arn
            values["EvaluationImageUri"] = self.evaluation.image_uri
        if self.data_buckets:
            values["DataBuckets"] = ",".join(bucket.bucket_name for bucket in self.data_buckets)
        if self.transforms:
            values["ServingRoleArn"] = self.transforms.role.role_arn
            values["ServingImageUri"] = self.transforms.image_uri
        return values

    def on_run_completed(self, construct_id: str, target: IRuleTarget) -> Rule:
        """Create a rule that sends the event of each completed run to a target.

        Args:
            construct_id: Id of the rule within the pipeline.
            target: Target of the events, from `aws_cdk.aws_events_targets`.

        Returns:
            The rule.
        """
        pattern = EventPattern(source=[EVENT_SOURCE], detail_type=[RUN_COMPLETED])
        return Rule(self, construct_id, event_pattern=pattern, targets=[target])

    def _add_storage_and_network(self, settings: DeploySettings, zones: int) -> None:
        self.storage = Storage(
            self,
            "Storage",
            retain=settings.retain,
            work_retention=Duration.days(settings.work_retention_days),
        )
        self.table = DetectionsTable(self, "DetectionsTable", results=self.storage.results)
        self.network = Network(
            self,
            "Network",
            logs=self.storage.logs,
            zones=zones,
            gpu_hosts=settings.has_gpu_queue,
            retain=settings.retain,
        )
        self.database = Database(
            self,
            "Database",
            vpc=self.network.vpc,
            security_group=self.network.database,
            min_acu=settings.database_min_acu,
            max_acu=settings.database_max_acu,
            retain=settings.retain,
        )
        self.models = ModelCatalog(
            self,
            "Models",
            models_dir=settings.models_folder(ROOT),
            default_model=settings.default_model,
        )
        self.failure_topic = FailureTopic(self, "Failures", email=settings.notification_email)
        self._database_access: DatabaseAccess = {
            "database": self.database,
            "vpc": self.network.vpc,
            "security_group": self.network.database_clients,
            "log_retention": LOG_RETENTION[settings.log_retention_days],
        }

    def _add_endpoints(self, settings: DeploySettings) -> None:
        resources = EndpointResources(
            models=self.models,
            scenes=self.storage.scenes,
            work=self.storage.work,
            topic=self.failure_topic.topic,
            log_retention=LOG_RETENTION[settings.log_retention_days],
            scene_sources=settings.scene_sources,
        )
        self.endpoints = Endpoints(self, settings=settings, resources=resources)

    def _add_run_resumption(self) -> None:
        if endpoint := self.endpoints.async_endpoint:
            ResumeRun(
                self,
                "ResumeRun",
                endpoint=endpoint,
                work=self.storage.work,
                machine=self.runs.machine,
                dead_letter_queue=self._add_dead_letter_queue("UnresumedRuns", "resume_run"),
                **self._log_options,
            )

    def _add_training(self) -> Training:
        return Training(
            self,
            "Training",
            scenes=self.storage.scenes,
            results=self.storage.results,
            data_buckets=self.data_buckets,
        )

    def _add_evaluation(self) -> Evaluation:
        return Evaluation(
            self,
            "Evaluation",
            models=self.models,
            scenes=self.storage.scenes,
            results=self.storage.results,
            data_buckets=self.data_buckets,
        )

    def _add_transforms(self) -> Transforms:
        return Transforms(
            self,
            "Transforms",
            models=self.models,
            scenes=self.storage.scenes,
            results=self.storage.results,
            data_buckets=self.data_buckets,
        )

    def _add_runs(self, settings: DeploySettings) -> None:
        self.runs = RunMachine(
            self, "Runs", resources=self._add_workflow_resources(settings), **self._log_options
        )
        dead_letter_queue = self._add_dead_letter_queue(
            "UnstartedRuns", "start_run or watch_deliveries"
        )
        self.start_run = StartRun(
            self,
            "StartRun",
            scenes=self.storage.scenes,
            work=self.storage.work,
            run_machine=self.runs,
            models=self.models,
            scene_sources=settings.scene_sources,
            default_model=settings.default_model,
            backend=settings.backend,
            tolerated_failures=settings.tolerated_failures,
            score_threshold=settings.score_threshold,
            delivery_hours=settings.delivery_hours,
            dead_letter_queue=dead_letter_queue,
            **self._log_options,
        )
        self.watch_deliveries = WatchDeliveries(
            self,
            "WatchDeliveries",
            settings=self.start_run.settings,
            scenes=self.storage.scenes,
            work=self.storage.work,
            run_machine=self.runs,
            models=self.models,
            topic=self.failure_topic.topic,
            dead_letter_queue=dead_letter_queue,
            **self._log_options,
        )
        self.update_catalog = UpdateCatalog(
            self,
            "UpdateCatalog",
            results=self.storage.results,
            dead_letter_queue=self._add_dead_letter_queue("FailedCatalogs", "update_catalog"),
            **self._log_options,
        )

    def _add_workflow_resources(self, settings: DeploySettings) -> WorkflowResources:
        scenes, work, results = self.storage.scenes, self.storage.work, self.storage.results
        scene: dict[str, Any] = {
            "scenes": scenes,
            "work": work,
            "scene_sources": settings.scene_sources,
            **self._log_options,
        }
        gpu_security_group = self.network.gpu_hosts
        self.gpu_queue = (
            self._add_gpu_queue(settings, gpu_security_group) if gpu_security_group else None
        )
        self.infer_shard = InferShard(self, "InferShard", models=self.models, **scene).function
        return WorkflowResources(
            plan_scene=PlanScene(
                self,
                "PlanScene",
                models=self.models,
                lambda_max_tiles=settings.lambda_max_tiles,
                endpoints=settings.endpoints,
                has_batch=settings.has_gpu_queue,
                **scene,
            ).function,
            merge_detections=MergeDetections(
                self, "MergeDetections", work=work, **self._log_options
            ).function,
            load_detections=LoadDetections(
                self, "LoadDetections", work=work, **self._database_access
            ).function,
            publish_results=PublishResults(
                self, "PublishResults", work=work, results=results, **self._log_options
            ).function,
            lambda_backend=MapBackend(
                backend=Backend.LAMBDA,
                state_suffix="Lambda",
                label="InferShards",
                function=self.infer_shard,
                max_concurrency=settings.lambda_concurrency,
            ),
            batch_backend=self._add_batch_backend(self.gpu_queue, scene)
            if self.gpu_queue
            else None,
            endpoint_backends=self.endpoints.backends,
            work=work,
        )

    def _add_gpu_queue(
        self, settings: DeploySettings, gpu_security_group: ISecurityGroup
    ) -> GpuQueue:
        max_wait = Duration.hours(settings.gpu_wait_hours)
        gpu_queue = GpuQueue(
            self,
            "Gpus",
            vpc=self.network.vpc,
            security_group=gpu_security_group,
            instance_types=settings.gpu_instance_types,
            max_vcpus=settings.gpu_max_vcpus,
            spot_bid_percentage=settings.spot_bid_percentage,
            max_wait=max_wait,
        )
        GpuWatch(
            self,
            "GpuWatch",
            queue=gpu_queue.queue,
            environments=gpu_queue.environments,
            topic=self.failure_topic.topic,
            max_wait=max_wait,
            **self._log_options,
        )
        return gpu_queue

    def _add_batch_backend(self, gpu_queue: GpuQueue, scene: dict[str, Any]) -> BatchBackend:
        job = InferShardJob(self, "InferShardJob", models=self.models, **scene)
        return BatchBackend(queue=gpu_queue.queue, job_definition=job.name)

    def _add_failure_records(self) -> None:
        dead_letter_queue = self._add_dead_letter_queue("UnrecordedFailures", "record_failure")
        find_cause = FindCause(
            self,
            "FindCause",
            run_machine=self.runs,
            work=self.storage.work,
            results=self.storage.results,
            has_batch=self.gpu_queue is not None,
            **self._log_options,
        )
        record_failure = RecordFailureMachine(
            self,
            "FailureRecords",
            find_cause=find_cause.function,
            topic=self.failure_topic.topic,
            record_failure=RecordFailure(self, "RecordFailure", **self._database_access).function,
            dead_letter_queue=dead_letter_queue,
            **self._log_options,
        )
        RunFailedRule(
            self,
            "RunFailed",
            machine=self.runs.machine,
            record_failure=record_failure.machine,
            dead_letter_queue=dead_letter_queue,
        )

    def _add_dead_letter_queue(self, name: str, function_name: str) -> Any:
        return DeadLetterQueue(
            self, name, function_name=function_name, topic=self.failure_topic.topic
        ).queue

    def _add_migrations(self, *, before: Construct) -> None:
        """Prepare and migrate the database on each deployment that changes one of the functions.

        The functions that write to the database are updated afterwards: a migration keeps the
        previous release working, but the new one may need the new schema.
        """
        prepare = PrepareDatabase(
            self, "PrepareDatabase", database=self.database, **self._log_options
        )
        migrate = MigrateDatabase(self, "MigrateDatabase", **self._database_access)
        prepared = run_on_change(
            self, "DatabasePrepared", function=prepare.function, execute_after=[self.database]
        )
        run_on_change(
            self,
            "DatabaseMigrated",
            function=migrate.function,
            execute_after=[prepared, self.network],
            execute_before=[
                before,
                self.node.find_child("LoadDetections"),
                self.node.find_child("RecordFailure"),
            ],
        )
        log_triggers(self, **self._log_options)
