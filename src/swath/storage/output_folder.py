"""Manage the output folder of a local run, so that it holds all files of one run or none.

Unfinished files are in a hidden work folder below it. When the run has ended, they are renamed into
the output folder, the summary last, so a folder with a summary is complete. The files of an earlier
run are removed before a run begins. A process that is killed leaves its work folder behind, which
the next run in the same folder removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from swath.storage.earlier_outputs import (
    Output,
    has_json_keys,
    is_detections,
    is_geopackage,
    is_geopackage_sidecar,
    is_mask,
    is_vector,
    remove_outputs,
)

VectorFormat = Literal["gpkg", "geojson", "fgb"]
"""Format in which a run writes its detections beside GeoParquet, on request."""

SUMMARY = "summary.json"
DETECTIONS = "detections.parquet"
MASK = "mask.tif"
VECTOR_FILES: Mapping[VectorFormat, str] = {
    "gpkg": "detections.gpkg",
    "geojson": "detections.geojson",
    "fgb": "detections.fgb",
}

RUN_OUTPUTS = (
    # The summary is removed first and written last: if it exists, the other files do.
    Output(SUMMARY, has_json_keys("run_id", "status")),
    Output(DETECTIONS, is_detections),
    Output(MASK, is_mask),
)
"""Files that each run writes."""
_VECTOR_OUTPUTS: Mapping[VectorFormat, Sequence[Output]] = {
    "gpkg": (
        Output(VECTOR_FILES["gpkg"], is_geopackage),
        # SQLite creates these while another program has the GeoPackage open.
        *(
            Output(f"{VECTOR_FILES['gpkg']}-{kind}", is_geopackage_sidecar)
            for kind in ("wal", "shm", "journal")
        ),
    ),
    "geojson": (Output(VECTOR_FILES["geojson"], is_vector),),
    "fgb": (Output(VECTOR_FILES["fgb"], is_vector),),
}
_WORK_FOLDER_PREFIX = ".work-"


def run_outputs(out: Path, formats: Collection[VectorFormat]) -> list[Output]:
    """Return the files that a run replaces in a folder.

    A file in a format that the run does not write is included only if swath wrote it.

    Args:
        out: Output folder; it need not exist.
        formats: Formats that the run writes beside GeoParquet.
    """
    return [
        *RUN_OUTPUTS,
        *(
            output
            for form, outputs in _VECTOR_OUTPUTS.items()
            for output in outputs
            if form in formats or output.is_own(out / output.name)
        ),
    ]


def clear_outputs(out: Path, outputs: Sequence[Output]) -> None:
    """Remove the outputs of earlier commands, and the work folders of those that have ended.

    Args:
        out: Output folder; it need not exist.
        outputs: Outputs that the new command will write.

    Raises:
        InputError: One of the outputs exists and swath did not write it; nothing is removed.
    """
    if out.is_dir():
        with _locked(out):
            remove_outputs(out, outputs)
            _remove_stale_work_folders(out)


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Create a folder below `out` for unfinished files, and remove it at the end.

    Work folders of processes that have ended are removed first.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        _remove_stale_work_folders(out)
        work = Path(tempfile.mkdtemp(dir=out, prefix=_WORK_FOLDER_PREFIX))
        # The lock is held until this process ends, however it ends.
        lock = _lock(work, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def move_outputs(out: Path, files: Mapping[str, Path]) -> None:
    """Move a run's files from its work folder to `out`; replace those of a concurrent run.

    Args:
        out: Output folder, which was cleared when the run began.
        files: Current path of each file, by its name in `out`.
    """
    with _locked(out):
        # `clear_outputs` checked the files that existed when the run began.
        written = [form for form, name in VECTOR_FILES.items() if name in files]
        for output in run_outputs(out, written):
            (out / output.name).unlink(missing_ok=True)
        # In order of names, except that the summary is last: it indicates that the others exist.
        for name in sorted(files, key=lambda name: (name == SUMMARY, name)):
            files[name].replace(out / name)


def _remove_stale_work_folders(out: Path) -> None:
    for folder in out.glob(f"{_WORK_FOLDER_PREFIX}*"):
        with suppress(BlockingIOError):
            held = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, operation: int) -> int | None:
    """Lock a folder until the returned descriptor is closed or the process ends.

    Args:
        folder: Folder to lock.
        operation: Operation of `fcntl.flock`.

    Returns:
        The file descriptor; None if the file system has no locks.

    Raises:
        BlockingIOError: Another process holds the lock, and `operation` has `LOCK_NB`.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
