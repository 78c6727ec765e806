"""Define the stack that this repository deploys: a pipeline and its outputs."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.pipeline import Pipeline
from infra.settings import DeploySettings


class SwathStack(Stack):
    """All of swath in one account and region."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: DeploySettings, zones: int
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description="swath: scenes in, detections in PostGIS out",
            termination_protection=settings.retain,
        )
        # The CDK leaves `Default` out of logical ids. CloudFormation replaces a resource whose
        # logical id changes, and deletes the old bucket or cluster with its content.
        pipeline = Pipeline(self, "Default", settings=settings, zones=zones)
        for name, value in pipeline.outputs.items():
            CfnOutput(self, name, value=value)
