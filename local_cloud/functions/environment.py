"""Run a function's execution environment: one process for one event after another, kept warm.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from local_cloud.functions.runtime_api import Invocation, RuntimeApi
from local_cloud.functions.specification import FunctionSpec, InvocationResult
from local_cloud.processes import BASE_ENVIRONMENT, create_scratch, limit_disk

# Lambda allows 10 s, on a dedicated machine; the cores of a laptop are shared.
MAX_INIT_SECONDS = 60.0


class ExecutionEnvironment:
    """Process of a function under awslambdaric, the runtime client of AWS's images."""

    def __init__(self, function: FunctionSpec, *, log: Path) -> None:
        self.function = function
        self._api = RuntimeApi(function)
        self._closing = False
        self._scratch = create_scratch(log)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                limit_disk(
                    [sys.executable, "-m", "awslambdaric", function.handler], function.disk_kib
                ),
                cwd=function.task_root,
                env=process_environment(function, self._api.address) | self._scratch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def is_alive(self) -> bool:
        """True if the process can accept another event."""
        return not self._closing and self._process.poll() is None

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run one event; the caller must pass one at a time.

        As on Lambda, a function that does not respond in time is killed.
        """
        invocation = Invocation(payload)
        self._api.put(invocation)
        if not self.is_alive:
            self._report_exit()
        started = time.monotonic()
        if not invocation.fetched.wait(MAX_INIT_SECONDS):
            return self._time_out(invocation, time.monotonic() - started)
        try:
            return invocation.responses.get(timeout=self.function.timeout)
        except queue.Empty:
            return self._time_out(invocation, self.function.timeout)

    def close(self) -> None:
        """End the process and its Runtime API."""
        if self._closing:
            return
        self._closing = True
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._scratch["TMPDIR"], ignore_errors=True)
        self._api.close()

    def _time_out(self, invocation: Invocation, seconds: float) -> InvocationResult:
        self.close()
        return _error_result(
            "Sandbox.Timedout",
            f"RequestId: {invocation.request_id} Error: Task timed out after {seconds:.2f} seconds",
        )

    def _watch(self) -> None:
        self._process.wait()
        self._report_exit()

    def _report_exit(self) -> None:
        current = self._api.current
        if current is None or self._closing:
            return
        status = self._process.returncode
        status_text = f"signal: {-status}" if status and status < 0 else f"exit status {status}"
        message = f"RequestId: {current.request_id} Error: Runtime exited with error: {status_text}"
        self._api.complete(_error_result("Runtime.ExitError", message))


def process_environment(function: FunctionSpec, runtime_api: str) -> dict[str, str]:
    """Return the variables of the process: the template's and Lambda's own.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    reserved = {
        "_HANDLER": function.handler,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": function.region,
        "LAMBDA_TASK_ROOT": str(function.task_root),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(map(str, function.python_path)),
        "TZ": ":UTC",
    }
    return BASE_ENVIRONMENT | dict(function.environment) | reserved


def _error_result(kind: str, message: str) -> InvocationResult:
    body = {"errorType": kind, "errorMessage": message}
    return InvocationResult(json.dumps(body).encode(), failed=True)
