"""Container images: which files go into each.

An image's hash decides whether it is built and deployed anew. So a build sees only the files on its
list, and the hash changes when one of those does and at no other time. CDK does not read
`.dockerignore` files beside a Dockerfile, hence the lists here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import IgnoreMode, aws_ecs, aws_lambda
from aws_cdk.aws_ecr_assets import Platform

ROOT = Path(__file__).resolve().parents[1]

# What every image is built from: the core, and the exact versions of what it needs.
_COMMON = ("pyproject.toml", "uv.lock", "src/swath")
# The laptop's part of the core: nothing that is deployed imports it.
_LEFT_OUT = ("src/swath/cli", "**/__pycache__", "**/.*")
# All wheels exist for x86-64, a laptop that builds the images mostly has it, and GPU hosts do.
PLATFORM = Platform.LINUX_AMD64


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


def _only(*paths: str) -> dict[str, Any]:
    kept = (f"!{path}" for path in (*_COMMON, *paths))
    return {"exclude": ["*", *kept, *_LEFT_OUT], "ignore_mode": IgnoreMode.DOCKER}
