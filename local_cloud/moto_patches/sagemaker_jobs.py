"""Refuse SageMaker's jobs unless their role grants what SageMaker needs.

AWS: https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html

Moto 5.2.5 stores a job's description and checks nothing. No container runs here either: the job's
inputs are read with its role, and the permissions for its outputs are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.sagemaker.models import SageMakerModelBackend

from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.access import AccessDeniedError
from local_cloud.permissions.api_permissions import object_arn
from local_cloud.permissions.service_permissions import require_for_container
from local_cloud.services import Services

NAME = "sagemaker_jobs"

_PRINCIPAL = "sagemaker.amazonaws.com"


class _ValidationException(ServiceException):
    code = "ValidationException"


def apply(patcher: Patcher, services: Services) -> None:
    """Use the role as the service does, before moto creates the job."""

    def create_training_job(backend: Any, **job: Any) -> Any:
        _JobRole(services, job["role_arn"], backend.region_name).check_training(job)
        return original_training(backend, **job)

    def create_transform_job(backend: Any, **job: Any) -> Any:
        model = backend.describe_model(job["model_name"])
        _JobRole(services, model.execution_role_arn, backend.region_name).check_transform(
            job, model
        )
        return original_transform(backend, **job)

    def create_processing_job(backend: Any, **job: Any) -> Any:
        _JobRole(services, job["role_arn"], backend.region_name).check_processing(job)
        return original_processing(backend, **job)

    original_processing = patcher.replace(
        SageMakerModelBackend, "create_processing_job", create_processing_job
    )
    original_training = patcher.replace(
        SageMakerModelBackend, "create_training_job", create_training_job
    )
    original_transform = patcher.replace(
        SageMakerModelBackend, "create_transform_job", create_transform_job
    )


class _JobRole:
    """SageMaker's own use of a job's role."""

    def __init__(self, services: Services, role: str, region: str) -> None:
        self._services = services
        self._role = role
        self._region = region

    def check_training(self, job: Mapping[str, Any]) -> None:
        """Pull the image, read the channels, and check writing checkpoints and the model."""
        image = job["algorithm_specification"]["TrainingImage"]
        checkpoints = (job.get("checkpoint_config") or {}).get("S3Uri")
        target = f"{job['output_data_config']['S3OutputPath']}/{job['training_job_name']}/output"
        channels = [c["DataSource"]["S3DataSource"] for c in job.get("input_data_config") or ()]
        with _TranslateRefusals():
            self._require_start(image, "/aws/sagemaker/TrainingJobs")
            for channel in channels:
                self._read_prefix(channel["S3Uri"])
            if checkpoints:
                self._read_prefix(checkpoints)
                self._require_write(f"{checkpoints}/checkpoint")
            self._require_write(f"{target}/model.tar.gz")

    def check_transform(self, job: Mapping[str, Any], model: Any) -> None:
        """Pull the image, read the model and the objects, and check writing a result for each."""
        container = model.primary_container
        source = job["transform_input"]["DataSource"]["S3DataSource"]["S3Uri"]
        with _TranslateRefusals():
            self._require_start(container["Image"], "/aws/sagemaker/TransformJobs")
            self._read_object(*_split_uri(container["ModelDataUrl"]))
            for name in self._read_prefix(source):
                self._require_write(f"{job['transform_output']['S3OutputPath']}/{name}.out")

    def check_processing(self, job: Mapping[str, Any]) -> None:
        """Pull the image, read the inputs, and check writing the outputs."""
        outputs = (job.get("processing_output_config") or {}).get("Outputs", ())
        with _TranslateRefusals():
            self._require_start(
                job["app_specification"]["ImageUri"], "/aws/sagemaker/ProcessingJobs"
            )
            for source in job.get("processing_inputs") or ():
                self._read_prefix(source["S3Input"]["S3Uri"])
            for output in outputs:
                self._require_write(f"{output['S3Output']['S3Uri']}/report.html")

    def _require_start(self, image: str, logs: str) -> None:
        repository = image.partition("/")[2].rpartition(":")[0]
        require_for_container(
            self._services.access, self._role, logs=logs, repository=repository, namespace=logs
        )

    @property
    def _s3(self) -> Any:
        return self._services.access.client(
            "s3", self._region, role=self._role, principal=_PRINCIPAL
        )

    def _read_prefix(self, uri: str) -> list[str]:
        """Read every object below a prefix; return their names."""
        bucket, prefix = _split_uri(uri)
        objects = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        for each in objects:
            self._read_object(bucket, each["Key"])
        return [each["Key"].rpartition("/")[2] for each in objects]

    def _read_object(self, bucket: str, key: str) -> None:
        self._s3.head_object(Bucket=bucket, Key=key)

    def _require_write(self, uri: str) -> None:
        self._services.access.require(
            self._role, "s3:PutObject", resource=object_arn(*_split_uri(uri))
        )


class _TranslateRefusals:
    """Context manager that converts a refusal by S3 or by the role into the service's error."""

    def __enter__(self) -> None:
        """Enter the block without any action."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, AccessDeniedError | ClientError):
            raise _ValidationException(str(error)) from error


def _split_uri(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
