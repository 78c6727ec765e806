"""The switches by which libraries are kept from reporting to their makers.

Several are read when their library is imported, or loaded: so they are set before, as soon as
anything of swath is imported. Images of containers set them too, for what runs before swath.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = {
    # ONNX Runtime looks its maker's host up from every session; its own function,
    # `disable_telemetry_events`, comes too late.
    # https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    "ORT_DISABLE_TELEMETRY": "1",
    # https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # PROJ fetches grids only when told to; a shift that depends on the network is no constant.
    # https://proj.org/en/stable/usage/network.html
    "PROJ_NETWORK": "OFF",
    # https://docs.aws.amazon.com/cdk/v2/guide/cli-telemetry.html
    "CDK_DISABLE_CLI_TELEMETRY": "true",
}
"""Environment variables, and the values that switch reports off."""
IN_IMAGES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "PROJ_NETWORK")
"""Those that every image sets, for what runs there before swath is imported."""


def switch_off() -> None:
    """Set the switches in this process and its children; what somebody has set is kept."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_openvinos() -> Iterator[None]:
    """Let OpenVINO be imported as if its telemetry were not installed; it then has a stub for it.

    No variable stops it: the import itself reports to Google Analytics, unless it runs in a CI.
    https://github.com/openvinotoolkit/openvino/blob/master/tools/ovc/openvino/tools/ovc/telemetry_utils.py
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment] # this is how an import is refused
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
