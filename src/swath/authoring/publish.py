"""A package put where it is used from: tried, held against the one in use, then swapped in."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swath import packing, storage
from swath.authoring.check import check_package, folder_of
from swath.errors import InputError, PackageError
from swath.package import load_package

if TYPE_CHECKING:
    from swath.evaluation.evaluation import Evaluation
    from swath.labels.collection import Collection

_ARCHIVE = "model.tar.gz"
_EVALUATION = "evaluation.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a package is now."""

    name: str
    digest: str
    places: tuple[str, ...]
    gates: tuple[str, ...]
    """What was found against the package in use, a line for each place that had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a package is held against the one in use."""

    labels: Collection | None = None
    """Both are evaluated on these."""
    evaluation: Path | None = None
    """Of the package, made earlier."""
    tolerance: float = 0.0
    """By how much a figure may be worse."""
    closed: bool = True
    """False: it is published whatever the one in use can do."""


def publish_package(uri: str | Path, to: Sequence[str], gate: Gate) -> Published:
    """Put a package into folders of models and into buckets, everywhere or nowhere.

    A folder gets `<name>/`, as `cdk deploy` takes it; an S3 prefix gets `<name>/model.tar.gz`, an
    S3 URI that ends in `.tar.gz` the archive itself. What is there already is replaced at once.

    Args:
        uri: the package: a folder, a local `model.tar.gz` or an S3 URI of one.
        to: folders and S3 URIs.
        gate: against the package in use.

    Raises:
        InputError: there is an evaluation of the package in use, and none of this one.
        PackageError: the package does not work, or falls below the one in use.
    """
    report = check_package(uri)
    if not report.passed:
        raise PackageError(f"{uri} is not published: {'; '.join(report.faults)}")
    if not _NAME.fullmatch(report.name):
        raise PackageError(
            f"the package is called {report.name!r}, which cannot be the name of a folder: use "
            "letters, digits, '.', '_' and '-' for mlm:name"
        )
    places = [_place(target, report.name) for target in to]
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary, _ARCHIVE)
        digest = packing.pack(folder_of(load_package(uri)), archive)
        evaluation = _evaluation(uri, gate)
        gates = [_held(place, evaluation, gate) for place in places] if gate.closed else []
        for place in places:
            _put(archive, place)
            if evaluation:
                storage.write_json(_evaluation_of(place), evaluation.to_json())
    return Published(
        name=report.name, digest=digest, places=tuple(places), gates=tuple(g for g in gates if g)
    )


def _place(target: str, name: str) -> str:
    """Where the package goes: a folder of its own name, or an archive in S3."""
    if not storage.is_s3(target):
        return str(Path(target, name))
    return target if target.endswith(".tar.gz") else storage.join(target, name, _ARCHIVE)


def _evaluation_of(place: str) -> str:
    """Beside a package, not in it: what was measured of it is no part of its digest."""
    if storage.is_s3(place):
        return storage.join(place.rpartition("/")[0], _EVALUATION)
    return f"{place}.{_EVALUATION}"


def _evaluation(uri: str | Path, gate: Gate) -> Evaluation | None:
    if gate.labels is not None:
        return _evaluated(str(uri), gate.labels)
    return _read(str(gate.evaluation)) if gate.evaluation else None


def _held(place: str, candidate: Evaluation | None, gate: Gate) -> str | None:
    """What the gate says of the candidate; None where nothing is known to hold it against.

    Raises:
        InputError: only the package in use was evaluated.
        PackageError: the candidate falls below it.
    """
    from swath.evaluation.gate import compare  # noqa: PLC0415 (it needs more than the rest)

    if not _in_use(place):
        return None
    current = (
        _evaluated(place, gate.labels)
        if gate.labels is not None
        else _read(_evaluation_of(place), missing=True)
    )
    if current is None:
        return None
    if candidate is None:
        raise InputError(
            f"there is an evaluation of the package in use, {_evaluation_of(place)}: give --labels "
            "and --images, or --evaluation of the new one, or --no-gate"
        )
    verdict = compare(candidate, current, gate.tolerance)
    if not verdict.passed:
        raise PackageError(f"not published: below the package in use at {place}: {verdict}")
    return f"{place}: {verdict}"


def _in_use(place: str) -> bool:
    return storage.exists(place) if storage.is_s3(place) else Path(place).is_dir()


def _evaluated(uri: str, labels: Collection) -> Evaluation:
    from swath.evaluation.evaluate import evaluate  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        return evaluate(uri, labels, Path(folder), report=False)


def _read(uri: str, *, missing: bool = False) -> Evaluation | None:
    from swath.evaluation.evaluation import Evaluation  # noqa: PLC0415

    try:
        return Evaluation.from_json(storage.read_json(uri))
    except FileNotFoundError:
        if missing:
            return None
        raise InputError(f"there is no evaluation at {uri}") from None


def _put(archive: Path, place: str) -> None:
    """Bring the archive to its place, whole or not at all."""
    if storage.is_s3(place):
        with storage.writing(place, content_type="application/gzip") as target:
            shutil.copyfile(archive, target)
        return
    with _swapped(Path(place)) as staged:
        packing.unpack(archive, staged)


@contextmanager
def _swapped(target: Path) -> Iterator[Path]:
    """A folder to fill; it takes the target's place when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden beside the target: on the same disk, and no model to whoever lists the folder.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        staged, before = Path(temporary, "new"), Path(temporary, "old")
        yield staged
        if target.exists():
            target.rename(before)
        try:
            staged.rename(target)
        except OSError:
            if before.exists():
                before.rename(target)
            raise
