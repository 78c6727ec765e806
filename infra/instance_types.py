"""Check that swath's images run on an instance type: x86-64, with no GPU or one from Turing on."""

from __future__ import annotations

import re

# `g` after the generation: Graviton. https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
_ARM = re.compile(r"a1|[a-z]+\d+g[a-z]*")
_AMD_GPU = re.compile(r"g4ad")
# Kepler, Maxwell and Volta: CUDA 13 has kernels from compute capability 7.5 on.
# https://docs.nvidia.com/cuda/archive/13.0.0/cuda-toolkit-release-notes/index.html
_OLD_GPU = re.compile(r"g[23]s?|p[23](dn)?")
# A fraction of a GPU needs the driver for virtual GPUs, which the hosts' image lacks.
_SHARED_GPU = re.compile(r"gr?\d+f")
_ACCELERATOR = re.compile(r"inf\d.*|trn\d.*|dl\d.*|vt\d.*|f\d.*")


def family(instance_type: str) -> str:
    """Return the family of an instance type of EC2 or SageMaker; a family is returned unchanged."""
    return instance_type.removeprefix("ml.").partition(".")[0]


def unsupported_reason(instance_type: str) -> str:
    """Return why swath's images do not run on a type or family; empty if they do."""
    name = family(instance_type)
    reasons = (
        (_AMD_GPU, "has an AMD GPU, but the images have NVIDIA's libraries"),
        (_OLD_GPU, "has a GPU that is older than Turing, which CUDA 13 does not support"),
        (_SHARED_GPU, "has a fraction of a GPU, for which the hosts have no driver"),
        (_ARM, "has an ARM processor, but the images are for x86-64"),
        (_ACCELERATOR, "has an accelerator that no image uses"),
    )
    return next((reason for pattern, reason in reasons if pattern.fullmatch(name)), "")
