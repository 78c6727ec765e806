from __future__ import annotations

from typing import Any

from infra.build_images import build_command, staged_images

JOBS = {"batch", "serve_model", "serve_model-gpu", "train_model"}


def test_every_image_has_a_name_of_its_own(everything: Any):
    names = [name for name, _ in staged_images(everything.folder)]

    assert len(set(names)) == len(names)
    assert set(names) > JOBS
    assert {"control-functions", "raster-functions"} <= set(names)


def test_an_image_is_built_as_the_cdk_would(everything: Any):
    sources = dict(staged_images(everything.folder))

    command = " ".join(
        build_command("serve_model-gpu", sources["serve_model-gpu"], certificates=None)
    )

    assert "--file sagemaker_jobs/serve_model/gpu.Dockerfile" in command
    assert "--output type=docker" in command
    assert "--tag swath/serve_model-gpu" in command
