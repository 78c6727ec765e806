"""Define the role and the image of batch transforms, which `swath transform` launches."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.model_catalogue import ModelCatalogue
from infra.constructs.sagemaker_role import SageMakerRole
from infra.constructs.training import TRAINING
from infra.grants import read_objects, write_objects
from infra.images import serving_image

_ANSWERS = "transforms/*"


class Transforms(Construct):
    """Role and image of transform jobs; the image is the model server for CPUs.

    Batch transform's GPU hosts have drivers 470 and 535, but CUDA 13 needs 580.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformResources.html

    Attributes:
        role: Role that may read deployed and trained packages, scenes and the buckets `data`, and
            may write below `transforms/` in the results bucket.
        image_uri: Address of the image.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        models: ModelCatalogue,
        scenes: IBucket,
        results: IBucket,
        data: Sequence[IBucket],
    ) -> None:
        super().__init__(scope, construct_id)
        image = serving_image(self, "Image", gpu=False)
        self.image_uri = image.image_uri
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.write_to_shared("/aws/sagemaker/TransformJobs")
        models.grant_read_packages(self.role)
        for bucket in (scenes, *data):
            read_objects(self.role, bucket)
        read_objects(self.role, results, TRAINING)
        write_objects(self.role, results, _ANSWERS)
