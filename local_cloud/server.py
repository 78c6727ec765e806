"""Run the local cloud's process: moto with its patches, functions, jobs, endpoints and database.

A separate process keeps moto's patches out of the caller. It ends when the pipe from its caller
closes, even if the caller was killed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_cloud.clients import Clients
from local_cloud.endpoints.pool import EndpointPool
from local_cloud.faults.middleware import FaultMiddleware
from local_cloud.faults.registry import FaultRegistry
from local_cloud.functions.pool import FunctionPool
from local_cloud.jobs import JobRunner
from local_cloud.postgis.database import (
    POSTGIS_SERVER_VARIABLE,
    Database,
    create_on_user_server,
    run_own_server,
)
from local_cloud.services import Services
from swath.settings import DeviceSettings

if TYPE_CHECKING:
    from local_cloud.permissions.access import Access


@contextlib.contextmanager
def run_services(folder: Path, *, port: int = 0) -> Iterator[Services]:
    """Serve a patched moto and the services around it; `folder` receives the logs.

    Args:
        folder: Folder of the logs and models.
        port: Port to listen on; 0: a free one.

    Yields:
        The running services.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    faults = FaultRegistry()
    with contextlib.ExitStack() as stack:
        # PostgreSQL starts while Python imports moto.
        starter = stack.enter_context(ThreadPoolExecutor(1))
        database = starter.submit(stack.enter_context, _open_database(faults))
        _configure_logging()
        endpoint = _serve_moto(stack, port, faults)
        clients = Clients(endpoint)
        services = Services(
            endpoint=endpoint,
            clients=clients,
            access=_create_access(endpoint, clients, folder),
            functions=FunctionPool(logs),
            jobs=JobRunner(logs),
            endpoints=EndpointPool(logs, folder / "models"),
            database=database.result(),
            faults=faults,
        )
        stack.callback(services.close)
        services.environment = _process_variables(services)
        _patch_moto(services)
        _authorize_tokens(services)
        yield services


def main() -> None:
    """Serve until standard input ends; print the addresses to standard output as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends this process in its own order
    signal.signal(signal.SIGTERM, lambda *_: os.close(sys.stdin.fileno()))
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    try:
        with run_services(folder, port=port) as services:
            ready = {
                "endpoint": services.endpoint,
                "administrator": dict(services.database.administrator),
                "fresh_database": services.database.fresh_database,
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            with contextlib.suppress(OSError):
                sys.stdin.read()
        shutil.rmtree(folder, ignore_errors=True)  # the caller may have been killed
    except Exception as error:
        logging.getLogger("local_cloud").exception("the local cloud cannot start")
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        sys.exit(1)


def _open_database(faults: FaultRegistry) -> contextlib.AbstractContextManager[Database]:
    url = os.environ.get(POSTGIS_SERVER_VARIABLE)
    return create_on_user_server(url) if url else run_own_server(faults)


def _serve_moto(stack: contextlib.ExitStack, port: int, faults: FaultRegistry) -> str:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow: after PostgreSQL's start

    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    stack.callback(server.stop)
    _, port = server.get_host_and_port()
    wsgi: Any = server._server  # noqa: SLF001 - moto accepts no external application
    wsgi.app = FaultMiddleware(wsgi.app, faults)
    os.environ["MOTO_PORT"] = str(port)  # moto's own tasks call moto there
    return f"http://127.0.0.1:{port}"


def _create_access(endpoint: str, clients: Clients, folder: Path) -> Access:
    from local_cloud.permissions.access import Access  # noqa: PLC0415 - imports moto

    return Access(endpoint, clients, folder)


def _patch_moto(services: Services) -> None:
    from local_cloud.moto_patches.installed import install  # noqa: PLC0415 - imports all of moto

    install(services)


def _authorize_tokens(services: Services) -> None:
    """Make the database check whether the signer of a token may connect."""
    from local_cloud.permissions.database_login import refusal_reason  # noqa: PLC0415 - imports moto

    database = services.database
    if database.server:
        database.server.authorize = partial(refusal_reason, services.access, database.clusters)


def _process_variables(services: Services) -> dict[str, str]:
    """Return the variables that processes need in this cloud in place of AWS's known addresses.

    The instance metadata service is disabled, because nothing answers for it here and processes
    would wait for it. The template promises a GPU to jobs and endpoints; here they compute on the
    CPU, and a variable states so.
    """
    return {
        "AWS_ENDPOINT_URL": services.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        **DeviceSettings(device="cpu").to_env(),
    }


def _configure_logging() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in ("werkzeug", "botocore", "boto3", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    threading.excepthook = lambda arguments: logging.getLogger("local_cloud").error(
        "a thread failed", exc_info=arguments.exc_value
    )


if __name__ == "__main__":
    main()
