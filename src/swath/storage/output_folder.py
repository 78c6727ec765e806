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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from swath.storage.earlier_outputs import (
    Output,
    is_beside_geopackage,
    is_detections,
    is_geopackage,
    is_mask,
    is_vector,
    json_with,
    remove_earlier,
)

VectorFormat = Literal["gpkg", "geojson", "fgb"]
"""Formats that a run writes its detections in beside GeoParquet, on request."""

SUMMARY = "summary.json"
DETECTIONS = "detections.parquet"
MASK = "mask.tif"
VECTOR_FILES: Mapping[VectorFormat, str] = {
    "gpkg": "detections.gpkg",
    "geojson": "detections.geojson",
    "fgb": "detections.fgb",
}

RUN = (
    # The first to go and the last to come: where it is, the others are.
    Output(SUMMARY, json_with("run_id", "status")),
    Output(DETECTIONS, is_detections),
    Output(MASK, is_mask),
)
"""The files that each run writes."""
_VECTORS: Mapping[VectorFormat, Sequence[Output]] = {
    "gpkg": (
        Output(VECTOR_FILES["gpkg"], is_geopackage),
        # Of SQLite, while another program has the file open.
        *(
            Output(f"{VECTOR_FILES['gpkg']}-{kind}", is_beside_geopackage)
            for kind in ("wal", "shm", "journal")
        ),
    ),
    "geojson": (Output(VECTOR_FILES["geojson"], is_vector),),
    "fgb": (Output(VECTOR_FILES["fgb"], is_vector),),
}
_WORK = ".work-"


def run_outputs(out: Path, formats: Collection[VectorFormat]) -> list[Output]:
    """Return the files that a run replaces in a folder.

    A file in a format that the run does not write goes if swath wrote it. If not, it may stay.

    Args:
        out: the folder; it need not exist.
        formats: the formats that the run writes beside GeoParquet.
    """
    return [
        *RUN,
        *(
            output
            for form, outputs in _VECTORS.items()
            for output in outputs
            if form in formats or output.is_own(out / output.name)
        ),
    ]


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
        written = [form for form, name in VECTOR_FILES.items() if name in files]
        for output in run_outputs(out, written):
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
