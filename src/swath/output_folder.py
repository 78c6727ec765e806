"""The folder that a local run writes to: it holds the files of one run, and never half of one.

Unfinished files lie in a hidden work folder below it. They are renamed into their places when the
run has ended, the summary last, so that a folder with a summary is whole. A process that is killed
leaves its work folder behind; the next run there removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

SUMMARY = "summary.json"
DETECTIONS = "detections.parquet"
MASK = "mask.tif"

_FILES = (SUMMARY, DETECTIONS, MASK)
_WORK = ".work-"


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
    """Move a run's files out of its work folder, in place of all files of an earlier run.

    Args:
        out: the output folder.
        files: where each file lies now, by its name in `out`.
    """
    with _locked(out):
        for name in _FILES:
            (out / name).unlink(missing_ok=True)
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
