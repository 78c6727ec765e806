"""Run a Distributed Map over any number of items, in bounded threads, with tolerated failures.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html,
https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html

Moto 5.2.5 recurses once for every item that a worker processes (a RecursionError and a hang after
about 990). It starts a thread for every item when MaxConcurrency is 0, and never fails for a failed
item. It reports an unreadable list of items as States.Runtime, which no state may retry.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.item_reader_decl import (  # noqa: E501 - moto's name
    ItemReader,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501 - moto's name
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501 - moto's name
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded

from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.access import AccessDeniedError
from local_cloud.permissions.service_permissions import require_for_map_run
from local_cloud.services import Services

NAME = "distributed_map"

# More threads than a laptop's functions can use; AWS's own limit is 10,000.
MAX_THREADS = 32
_THRESHOLD_CAUSE = "The specified tolerated failure threshold was exceeded"


def apply(patcher: Patcher, services: Services) -> None:
    """Loop where moto recurses; count failures, and compare them with the tolerated ones."""

    def map_run(component: Any, env: Any, eval_input: Any) -> None:
        record = eval_input.map_run_record
        record.failures = _Failures()
        items = env.stack[-1]
        _require_permissions(services, env, record)
        if not 0 < record.max_concurrency < MAX_THREADS:
            record.max_concurrency = max(1, min(MAX_THREADS, len(items)))
        original_run(component, env, eval_input)
        if is_threshold_exceeded(
            record.failures.count,
            len(items),
            tolerated_count=record.tolerated_failure_count,
            tolerated_percentage=record.tolerated_failure_percentage,
        ):
            kind = StatesErrorNameType.StatesExceedToleratedFailureThreshold
            raise _build_failure(env, StatesErrorName(kind), kind.to_name(), _THRESHOLD_CAUSE)

    def eval_job(worker: Any, env: Any, job: Any) -> None:
        original_job(worker, env, job)
        # Moto swallows the error of an item's program, and leaves its output empty.
        if not isinstance(env.program_state(), ProgramEnded):
            worker._map_run_record.failures.add()

    def read_items(reader: Any, env: Any) -> None:
        try:
            original_read(reader, env)
        except FailureEventException:
            raise
        except Exception as error:
            # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
            kind = StatesErrorNameType.StatesItemReaderFailed
            raise _build_failure(env, StatesErrorName(kind), kind.to_name(), str(error)) from error

    original_read = patcher.replace(ItemReader, "_eval_body", read_items)
    original_run = patcher.replace(DistributedIterationComponent, "_map_run", map_run)
    original_job = patcher.replace(DistributedItemProcessorWorker, "_eval_job", eval_job)
    patcher.replace(DistributedItemProcessorWorker, "_eval_pool", _eval_pool)


def is_threshold_exceeded(
    failed: int, items: int, *, tolerated_count: int, tolerated_percentage: float
) -> bool:
    """Return whether a Map run fails: at any failure if no threshold is set, else beyond one."""
    if not tolerated_count and not tolerated_percentage:
        return failed > 0
    over_count = bool(tolerated_count) and failed > tolerated_count
    share = 100 * failed / items if items else 0
    return over_count or (bool(tolerated_percentage) and share > tolerated_percentage)


class _Failures:
    """Thread-safe counter of a Map run's failed items."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.count += 1


def _eval_pool(worker: Any, job: Any, worker_frame: Any) -> None:
    """Process one worker's items in a loop; delete the frame before the last job closes."""
    while job is not None:
        frame = worker_frame.open_inner_frame()
        worker._eval_job(env=frame, job=job)
        worker_frame.delete_frame(frame)
        following = None
        if not isinstance(job.job_output, Exception) and not worker.stopped():
            following = worker._job_pool.next_job()
        if following is None:
            worker._env.delete_frame(worker_frame)
        worker._job_pool.close_job(job)
        job = following


def _require_permissions(services: Services, env: Any, record: Any) -> None:
    """Fail the state unless the machine's role may run, stop and redrive its Map."""
    machine, _, label = record.map_state_machine_arn.rpartition("/")
    role = env.aws_execution_details.role_arn
    execution = record.execution_arn.rpartition(":")[2]
    try:
        require_for_map_run(
            services.access, role, machine=machine, label=label, execution=execution
        )
    except AccessDeniedError as error:
        name = "States.Permissions"
        raise _build_failure(env, CustomErrorName(name), name, str(error)) from None


def _build_failure(env: Any, name: Any, error: str, cause: str) -> FailureEventException:
    details: Any = {"mapRunFailedEventDetails": {"error": error, "cause": cause}}
    event = FailureEvent(
        env=env, error_name=name, event_type=HistoryEventType.MapRunFailed, event_details=details
    )
    return FailureEventException(event)
