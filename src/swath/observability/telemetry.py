"""Switch off the telemetry of libraries.

Several libraries read their switch when they are imported or loaded, so the switches are set as
soon as any module of swath is imported. Container images set them too, for programs that run before
swath.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = {
    # Every ONNX Runtime session looks up Microsoft's telemetry host. The library's own function
    # `disable_telemetry_events` takes effect too late.
    # https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    "ORT_DISABLE_TELEMETRY": "1",
    # https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # PROJ would fetch datum grids if enabled; results must not depend on the network.
    # https://proj.org/en/stable/usage/network.html
    "PROJ_NETWORK": "OFF",
    # https://docs.aws.amazon.com/cdk/v2/guide/cli-telemetry.html
    "CDK_DISABLE_CLI_TELEMETRY": "true",
}
"""Environment variables, with the values that switch telemetry off."""
IMAGE_VARIABLES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "PROJ_NETWORK")
"""Variables that every image sets, for programs that run before swath is imported."""


def switch_off() -> None:
    """Set the switches for this process and its children; variables that are set already stay."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Hide the package `openvino_telemetry` while OpenVINO is imported, which then uses a stub.

    No variable switches it off: the import itself reports to Google Analytics, unless it runs in
    CI.
    https://github.com/openvinotoolkit/openvino/blob/master/tools/ovc/openvino/tools/ovc/telemetry_utils.py
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment] # None makes the import fail
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
