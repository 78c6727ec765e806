"""The stack that is deployed from this repository: a pipeline, and the outputs that tell of it."""

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
        # The CDK leaves `Default` out of logical ids. A resource whose logical id changes is
        # deleted and made anew: a bucket, or a cluster, with all that is in it.
        pipeline = Pipeline(self, "Default", settings=settings, zones=zones)
        for name, value in pipeline.outputs.items():
            CfnOutput(self, name, value=value)
