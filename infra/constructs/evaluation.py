"""Define the role and image of evaluation jobs, which `swath evaluate --on-sagemaker` launches."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.sagemaker_role import SageMakerRole
from infra.constructs.training import TRAINING_KEYS
from infra.grants import read_objects, write_objects
from infra.images import evaluation_image

_EVALUATION_KEYS = "evaluations/*"


class Evaluation(Construct):
    """Role and image of evaluation jobs.

    Attributes:
        role: Role that may read deployed and trained packages, scenes, labels and earlier
            evaluations, and may write below `evaluations/` in the results bucket.
        image_uri: Address of the image.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        models: ModelCatalog,
        scenes: IBucket,
        results: IBucket,
        data_buckets: Sequence[IBucket],
    ) -> None:
        super().__init__(scope, construct_id)
        image = evaluation_image(self, "Image")
        self.image_uri = image.image_uri
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.grant_write_shared_logs("/aws/sagemaker/ProcessingJobs")
        models.grant_read_packages(self.role)
        # The inputs of a processing job are prefixes, which SageMaker lists.
        models.grant_list(self.role)
        for bucket in (scenes, *data_buckets):
            read_objects(self.role, bucket)
        for pattern in (TRAINING_KEYS, _EVALUATION_KEYS):
            read_objects(self.role, results, pattern)
        write_objects(self.role, results, _EVALUATION_KEYS)
