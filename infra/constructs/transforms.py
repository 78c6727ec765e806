"""What batch transforms need: a role and the serving image. `swath transform` launches the jobs."""

from __future__ import annotations

from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.model_catalogue import ModelCatalogue
from infra.constructs.sagemaker_role import SageMakerRole
from infra.constructs.training import TRAINING
from infra.grants import read_objects, write_objects
from infra.images import serving_image

_ANSWERS = "transforms/*"


class Transforms(Construct):
    """The role that transform jobs run as, and their image, which is an endpoint's.

    Attributes:
        role: reads packages, deployed or trained, and scenes; writes what lies below `transforms/`
            in the results bucket.
        image_uri: of the image.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        gpu: bool,
        models: ModelCatalogue,
        scenes: IBucket,
        results: IBucket,
    ) -> None:
        super().__init__(scope, construct_id)
        image = serving_image(self, "Image", gpu=gpu)
        self.image_uri = image.image_uri
        self.role = SageMakerRole(self, "Role", image=image)
        self.role.write_to_shared("/aws/sagemaker/TransformJobs")
        models.grant_read_packages(self.role)
        read_objects(self.role, scenes)
        read_objects(self.role, results, TRAINING)
        write_objects(self.role, results, _ANSWERS)
