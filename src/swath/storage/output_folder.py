"""The folder that a local run writes to: it holds the files of one run, and never half of one.

Unfinished files lie in a hidden work folder below it. They are renamed into their places when the
run has ended, the summary last, so that a folder with a summary is whole. The files of an earlier
run go before a run begins. A process that is killed leaves its work folder behind; the next run
there removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from swath.storage.earlier_outputs import Output, is_detections, is_mask, json_with, remove_earlier

SUMMARY = "summary.json"
DETECTIONS = "detections.parquet"
MASK = "mask.tif"

RUN = (
    # The first to go and the last to come: where it is, the others are.
    Output(SUMMARY, json_with("run_id", "status")),
    Output(DETECTIONS, is_detections),
    Output(MASK, is_mask),
)
"""The files that a run writes."""
_WORK = ".work-"


def clear(out: Path, outputs: Sequence[Output]) -> None:
    """Remove what earlier commands left in a folder: their outputs, and their work if they ended.

    Args:
        out: the folder; it need not exist.
        outputs: what the command that begins will write.

    Raises:
        InputError: swath did not write one of them; nothing is removed.
    """
    if out.is_dir():
        with _locked(out):
            remove_earlier(out, outputs)
            _sweep(out)


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Make a folder below `out` for unfinished files, and remove it at the end.

    Work folders of processes that no longer run are removed first.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        _sweep(out)
        work = Path(tempfile.mkdtemp(dir=out, prefix=_WORK))
        # Held until this process ends, however it ends.
        held = _lock(work, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if held is not None:
            os.close(held)


def put_in_place(out: Path, files: Mapping[str, Path]) -> None:
    """Move a run's files out of its work folder, in place of those of a run beside it.

    Args:
        out: the output folder, which was cleared when the run began.
        files: where each file lies now, by its name in `out`.
    """
    with _locked(out):
        # What was there when the run began was looked at then.
        for output in RUN:
            (out / output.name).unlink(missing_ok=True)
        # The order of the names but for the summary, which says that the others are there.
        for name in sorted(files, key=lambda name: (name == SUMMARY, name)):
            files[name].replace(out / name)


def _sweep(out: Path) -> None:
    for folder in out.glob(f"{_WORK}*"):
        with suppress(BlockingIOError):
            held = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    held = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def _lock(folder: Path, how: int) -> int | None:
    """Lock a folder until the descriptor that is returned is closed, or the process ends.

    Returns:
        None where the file system has no locks.

    Raises:
        BlockingIOError: another process holds it, and `how` says not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
