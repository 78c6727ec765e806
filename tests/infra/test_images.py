from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template
from aws_cdk.aws_lambda import DockerImageFunction

from infra import build_images, images

FILES = (
    "pyproject.toml",
    "uv.lock",
    "README.md",
    "docs/deploying.md",
    "src/swath/storage/objects.py",
    "src/swath/cli/run.py",
    "lambdas/Dockerfile",
    "lambdas/plan_scene/handler.py",
    "lambdas/infer_shard/handler.py",
    "lambdas/start_run/handler.py",
    "batch_jobs/infer_shard/Dockerfile",
    "batch_jobs/infer_shard/__main__.py",
    "sagemaker_jobs/serve_model/Dockerfile",
    "sagemaker_jobs/serve_model/app.py",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository as far as images go."""
    root = tmp_path / "repository"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    return root


@pytest.fixture
def image_of_plan_scene(
    tree: Path, tmp_path: Path, quick_cdk: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """The image as the template names it: with the hash of what is in it."""

    def synthesize() -> Any:
        # A copy each time: the CDK looks at a folder only once in a process.
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        monkeypatch.setattr(images, "ROOT", shutil.copytree(tree, folder / "copy"))
        stack = Stack(App(outdir=str(folder / "out")), "Stack")
        DockerImageFunction(stack, "Function", code=images.lambda_image("plan_scene"))
        (function,) = Template.from_stack(stack).find_resources("AWS::Lambda::Function").values()
        return function["Properties"]["Code"]["ImageUri"]

    return synthesize


@pytest.mark.parametrize(
    "changed",
    [
        "src/swath/storage/objects.py",
        "lambdas/plan_scene/handler.py",
        "lambdas/infer_shard/handler.py",  # in the same image
        "lambdas/Dockerfile",
        "uv.lock",
    ],
)
def test_an_image_changes_with_what_is_in_it(
    tree: Path, image_of_plan_scene: Callable[[], Any], changed: str
):
    before = image_of_plan_scene()
    (tree / changed).write_text("# changed\n")

    assert image_of_plan_scene() != before


@pytest.mark.parametrize(
    "changed",
    [
        "README.md",
        "docs/deploying.md",
        "src/swath/cli/run.py",
        "src/swath/__pycache__/storage.cpython-312.pyc",
        "lambdas/plan_scene/.ruff_cache/x",
        "lambdas/start_run/handler.py",
        "batch_jobs/infer_shard/__main__.py",
        "sagemaker_jobs/serve_model/app.py",
    ],
)
def test_an_image_does_not_change_with_anything_else(
    tree: Path, image_of_plan_scene: Callable[[], Any], changed: str
):
    before = image_of_plan_scene()
    (tree / changed).parent.mkdir(exist_ok=True)
    (tree / changed).write_text("# changed\n")

    assert image_of_plan_scene() == before


def test_the_build_sees_what_its_dockerfile_copies(dev: Any):
    staged_images = [path for path in dev.folder.glob("asset.*") if (path / "src/swath").is_dir()]

    assert len(staged_images) == 4
    for folder in staged_images:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        assert {"pyproject.toml", "uv.lock", "src/swath/errors/__init__.py"} <= files
        assert not any("__pycache__" in name or "cli/" in name for name in files)
        assert len([name for name in files if name.endswith("/Dockerfile")]) == 1


def test_every_function_is_in_one_image():
    folders = {path.parent.name for path in (images.ROOT / "lambdas").glob("*/handler.py")}
    placed = [name for functions in images.FUNCTION_IMAGES.values() for name in functions]

    assert sorted(placed) == sorted(folders)


def test_sagemaker_gets_no_oci_manifests(everything: Any):
    sources = dict(build_images.staged_images(everything.folder))
    jobs = {name: source for name, source in sources.items() if "sagemaker_jobs" in str(source)}

    assert {"serve_model", "serve_model-gpu", "train_model"} <= jobs.keys()
    assert all(source.get("dockerOutputs") == ["type=docker"] for source in jobs.values())


def test_images_for_a_gpu_share_the_layer_of_torch():
    """A layer is shared if all that leads to it is equal."""
    dockerfiles = [
        path.read_text()
        for part in ("batch_jobs", "sagemaker_jobs")
        for path in sorted((images.ROOT / part).rglob("*Dockerfile"))
        if "nvidia/cuda" in path.read_text()
    ]

    assert len(dockerfiles) == 3
    assert len({leading_to_torch(text) for text in dockerfiles}) == 1


def leading_to_torch(dockerfile: str) -> tuple[str, str, str]:
    """Return the stages that the layer of torch is made from, and the last one as far as there."""
    start = dockerfile.index("FROM ")
    base, uv, _packages, last = dockerfile[start:].split("\n\nFROM ")
    head, torch, _rest = last.partition("/build/torch.txt")
    assert torch
    return base, uv, head
