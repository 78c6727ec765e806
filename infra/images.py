"""Container images: which files go into each.

An image's hash decides whether it is built and deployed anew. So a build sees only the files on its
list, and the hash changes when one of those does and at no other time. CDK does not read
`.dockerignore` files beside a Dockerfile, hence the lists here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import IgnoreMode, aws_ecs, aws_lambda
from aws_cdk.aws_ecr_assets import DockerImageAsset, Platform
from constructs import Construct

ROOT = Path(__file__).resolve().parents[1]

# What every image is built from: the core, and the exact versions of what it needs.
_COMMON = ("pyproject.toml", "uv.lock", "src/swath")
# The laptop's part of the core: nothing that is deployed imports it.
_LEFT_OUT = ("src/swath/cli", "**/__pycache__", "**/.*")
# All wheels exist for x86-64, a laptop that builds the images mostly has it, and GPU hosts do.
PLATFORM = Platform.LINUX_AMD64

# The image of the endpoints for hosts with a GPU; the Dockerfile's own choice is a CPU's.
_GPU_BUILD = {
    "BASE": "nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04",
    "EXTRA": "infer-shard-gpu",
}


def lambda_image(name: str, *, postgres: bool = False) -> aws_lambda.DockerImageCode:
    """The image of the function in `lambdas/<name>`; `postgres` adds RDS's certificates."""
    return aws_lambda.DockerImageCode.from_image_asset(
        str(ROOT),
        file="lambdas/Dockerfile",
        build_args={"FUNCTION": name, "EXTRA": name.replace("_", "-")},
        target="postgres_function" if postgres else "function",
        platform=PLATFORM,
        **_only("lambdas/Dockerfile", f"lambdas/{name}"),
    )


def batch_image(name: str) -> aws_ecs.ContainerImage:
    """The image of the job in `batch_jobs/<name>`."""
    return aws_ecs.ContainerImage.from_asset(
        str(ROOT),
        file=f"batch_jobs/{name}/Dockerfile",
        platform=PLATFORM,
        **_only(f"batch_jobs/{name}"),
    )


def serving_image(scope: Construct, construct_id: str, *, gpu: bool) -> DockerImageAsset:
    """The image of every endpoint, for hosts with a GPU or without."""
    return _sagemaker_image(
        scope, construct_id, "serve_model", build_args=_GPU_BUILD if gpu else None
    )


def training_image(scope: Construct, construct_id: str) -> DockerImageAsset:
    """The image of training jobs."""
    return _sagemaker_image(scope, construct_id, "train_model")


def _sagemaker_image(
    scope: Construct, construct_id: str, name: str, **options: Any
) -> DockerImageAsset:
    return DockerImageAsset(
        scope,
        construct_id,
        directory=str(ROOT),
        file=f"sagemaker_jobs/{name}/Dockerfile",
        platform=PLATFORM,
        **options,
        **_only(f"sagemaker_jobs/{name}"),
    )


def _only(*paths: str) -> dict[str, Any]:
    kept = (f"!{path}" for path in (*_COMMON, *paths))
    return {"exclude": ["*", *kept, *_LEFT_OUT], "ignore_mode": IgnoreMode.DOCKER}
