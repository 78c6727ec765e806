"""Define the container images, and the files that each of them contains.

An image's hash determines whether the image is built and deployed again. So a build sees only the
files on its list, and the hash changes only if one of these does. The CDK does not read
`.dockerignore` files beside a Dockerfile, hence the lists here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import IgnoreMode, aws_ecs, aws_lambda
from aws_cdk.aws_ecr_assets import DockerImageAsset, Platform
from constructs import Construct

ROOT = Path(__file__).resolve().parents[1]

# Files of every image: the package, and the exact versions of its dependencies.
_COMMON_PATHS = ("pyproject.toml", "uv.lock", "src/swath")
# Files that no image contains: the command line, which no deployable imports, and caches.
_EXCLUDED_PATHS = ("src/swath/cli", "**/__pycache__", "**/.*")
# All wheels exist for x86-64. Most machines that build images have it, and so do GPU hosts.
PLATFORM = Platform.LINUX_AMD64

# There are two images, not one for each function: every image has the package, so nearly every
# change rebuilds all images. docs/images.md has the figures.
FUNCTION_IMAGES = {
    "control-functions": (
        "find_cause",
        "invoke_endpoint",
        "migrate_database",
        "prepare_database",
        "record_failure",
        "resume_run",
        "start_run",
        "submit_shard",
        "watch_deliveries",
    ),
    "raster-functions": (
        "infer_shard",
        "load_detections",
        "merge_detections",
        "plan_scene",
        "publish_results",
        "update_catalog",
    ),
}
"""Names of the functions in each image, by the image's extra in pyproject.toml."""


def lambda_image(name: str) -> aws_lambda.DockerImageCode:
    """Return the image with the function in `lambdas/<name>`, with its handler as the command."""
    extra, functions = _function_image(name)
    return aws_lambda.DockerImageCode.from_image_asset(
        str(ROOT),
        file="lambdas/Dockerfile",
        build_args={"EXTRA": extra, "FUNCTIONS": " ".join(functions)},
        cmd=[f"lambdas.{name}.handler.handler"],
        platform=PLATFORM,
        **_include_only("lambdas/Dockerfile", *(f"lambdas/{function}" for function in functions)),
    )


def _function_image(name: str) -> tuple[str, tuple[str, ...]]:
    return next(image for image in FUNCTION_IMAGES.items() if name in image[1])


def batch_image(name: str) -> aws_ecs.ContainerImage:
    """Return the image of the job in `batch_jobs/<name>`."""
    return aws_ecs.ContainerImage.from_asset(
        str(ROOT),
        file=f"batch_jobs/{name}/Dockerfile",
        platform=PLATFORM,
        **_include_only(f"batch_jobs/{name}"),
    )


def serving_image(scope: Construct, construct_id: str, *, gpu: bool) -> DockerImageAsset:
    """Return the image of the model server, for hosts with or without a GPU."""
    dockerfile = "gpu.Dockerfile" if gpu else "Dockerfile"
    return _sagemaker_image(scope, construct_id, "serve_model", dockerfile)


def training_image(scope: Construct, construct_id: str) -> DockerImageAsset:
    """Return the image of training jobs."""
    return _sagemaker_image(scope, construct_id, "train_model")


def evaluation_image(scope: Construct, construct_id: str) -> DockerImageAsset:
    """Return the image of evaluation jobs."""
    return _sagemaker_image(scope, construct_id, "evaluate_model")


def _sagemaker_image(
    scope: Construct, construct_id: str, name: str, dockerfile: str = "Dockerfile"
) -> DockerImageAsset:
    return DockerImageAsset(
        scope,
        construct_id,
        directory=str(ROOT),
        file=f"sagemaker_jobs/{name}/{dockerfile}",
        # SageMaker rejects OCI manifests, which recent releases of Docker write by default.
        # https://github.com/aws/amazon-sagemaker-feedback/issues/180
        outputs=["type=docker"],
        platform=PLATFORM,
        **_include_only(f"sagemaker_jobs/{name}"),
    )


def _include_only(*paths: str) -> dict[str, Any]:
    included = (f"!{path}" for path in (*_COMMON_PATHS, *paths))
    return {"exclude": ["*", *included, *_EXCLUDED_PATHS], "ignore_mode": IgnoreMode.DOCKER}
