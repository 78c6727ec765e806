"""Define the role and the image of batch transforms, which `swath transform` launches."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.model_catalog import ModelCatalog
from infra.constructs.sagemaker_role import SageMakerRole
from infra.constructs.training import TRAINING_KEYS
from infra.grants import read_objects, write_objects
from infra.images import serving_image

_TRANSFORM_KEYS = "transforms/*"


class Transforms(Construct):
    """Role and image of transform jobs; the image is the model server for CPUs.

    Batch transform's GPU hosts have drivers 470 and 535, but CUDA 13 needs 580.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformResources.html

    Attributes:
        role: Role that may read deployed and trained packages, scenes and `data_buckets`, and may
            write below `transforms/` in the results bucket.
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
        image = serving_image(self, "Image", gpu=False)
        self.image_uri = image.image_uri
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.grant_write_shared_logs("/aws/sagemaker/TransformJobs")
        models.grant_read_packages(self.role)
        for bucket in (scenes, *data_buckets):
            read_objects(self.role, bucket)
        read_objects(self.role, results, TRAINING_KEYS)
        write_objects(self.role, results, _TRANSFORM_KEYS)
