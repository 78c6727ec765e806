"""Define the role and the image of training jobs, which `swath train` launches."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.sagemaker_role import SageMakerRole
from infra.grants import read_objects, write_objects
from infra.images import training_image

TRAINING_KEYS = "training/*"


class Training(Construct):
    """Role and image of training jobs.

    Attributes:
        role: Role that may read scenes and labels, also in `data_buckets`. It may read and write
            below `training/` in the results bucket: data, checkpoints and packages.
        image_uri: Address of the image.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scenes: IBucket,
        results: IBucket,
        data_buckets: Sequence[IBucket],
    ) -> None:
        super().__init__(scope, construct_id)
        image = training_image(self, "Image")
        self.image_uri = image.image_uri
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.grant_write_shared_logs("/aws/sagemaker/TrainingJobs")
        for bucket in (scenes, *data_buckets):
            read_objects(self.role, bucket)
        read_objects(self.role, results, TRAINING_KEYS)
        write_objects(self.role, results, TRAINING_KEYS)
