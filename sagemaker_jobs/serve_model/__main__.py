"""Serve the container's model package: `python -m sagemaker_jobs.serve_model [serve]`.

SageMaker unpacks the package at `SM_MODEL_DIR`, and sends requests to the port in
`SAGEMAKER_BIND_TO_PORT`. It starts every serving container with the argument `serve`.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sagemaker_jobs.serve_model.app import ServerState
from sagemaker_jobs.serve_model.server import ModelServer
from swath.errors import SettingsError
from swath.errors.exit_codes import JobExit
from swath.models.runtimes.device import use_compatible_driver
from swath.observability.jobs import log_to_stderr
from swath.sagemaker.server.models import ContainerModels
from swath.sagemaker.server.service import Service
from swath.sagemaker.server.settings import ServeSettings

logger = logging.getLogger("swath.serve_model")

MODEL_FOLDER = "SM_MODEL_DIR"
PORT = "SAGEMAKER_BIND_TO_PORT"


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Serve until SIGTERM, and return the exit code."""
    if list(arguments) not in ([], ["serve"]):
        sys.stderr.write(f"{__doc__}\n")
        return JobExit.USAGE
    try:
        settings, port = ServeSettings.from_env(env), _port(env)
    except SettingsError as error:
        logger.error("%s", error)  # noqa: TRY400 (the message says it all)
        return JobExit.USAGE
    folder = Path(env.get(MODEL_FOLDER, "/opt/ml/model"))
    server = ModelServer(
        ServerState(settings),
        lambda: Service(ContainerModels.load(folder), settings),
        host=settings.serve_host,
        port=port,
    )
    if server.serve_model():
        return JobExit.DONE
    return JobExit.from_error(server.failure) if server.failure else JobExit.BUG


def _port(env: Mapping[str, str]) -> int:
    text = env.get(PORT, "8080")
    if not text.isdecimal():
        raise SettingsError(f"{PORT} is {text!r}; expected a number")
    return int(text)


if __name__ == "__main__":
    use_compatible_driver(os.environ)
    log_to_stderr()
    sys.exit(main(sys.argv[1:], os.environ))
