from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.clients import ACCOUNT, REGION
from local_cloud.moto_patches import access_control, sagemaker_jobs
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, create_role, new_name

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/images:1"
CONTAINER = (
    {"Effect": "Allow", "Action": ["ecr:*", "logs:*", "cloudwatch:*"], "Resource": "*"},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"},
)


def may(action: str, *resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resources}


def source(uri: str) -> dict[str, Any]:
    return {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}


def train(aws: Aws, role: str, bucket: str) -> None:
    aws.client("sagemaker").create_training_job(
        TrainingJobName=new_name(),
        RoleArn=role,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "c", "DataSource": source(f"s3://{bucket}/in")}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )


def test_canary_sagemaker_jobs(services: Services, aws: Aws):
    bucket, iam = aws.bucket(), aws.client("iam")
    aws.client("s3").put_object(Bucket=bucket, Key="in/scene.tif", Body=b"")
    read = may("s3:GetObject", f"arn:aws:s3:::{bucket}/in/*")
    write = may("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*")
    train(aws, create_role(iam, new_name(), *CONTAINER), bucket)

    with applied(services, access_control, sagemaker_jobs):
        with pytest.raises(ClientError, match="Forbidden"):
            train(aws, create_role(iam, new_name(), *CONTAINER, write), bucket)
        with pytest.raises(ClientError, match="s3:PutObject on resource"):
            train(aws, create_role(iam, new_name(), *CONTAINER, read), bucket)
        with pytest.raises(ClientError, match="ecr:GetAuthorizationToken"):
            train(aws, create_role(iam, new_name(), read, write), bucket)
        train(aws, create_role(iam, new_name(), *CONTAINER, read, write), bucket)


def test_a_transform_job_reads_the_model_and_each_object(services: Services, aws: Aws):
    bucket, iam, sagemaker = aws.bucket(), aws.client("iam"), aws.client("sagemaker")
    for key in ("model.tar.gz", "in/a.tif", "in/b.tif"):
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
    name, arn = new_name(), f"arn:aws:s3:::{bucket}"
    read = may("s3:GetObject", f"{arn}/in/*", f"{arn}/model.tar.gz")
    role = create_role(iam, name, *CONTAINER, read, may("s3:PutObject", f"{arn}/out/a.tif.out"))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)

    with (
        applied(services, access_control, sagemaker_jobs),
        pytest.raises(ClientError, match=r"s3:PutObject on resource: .*out/b\.tif\.out"),
    ):
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=name,
            TransformInput={"DataSource": source(f"s3://{bucket}/in")},
            TransformOutput={"S3OutputPath": f"s3://{bucket}/out"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
