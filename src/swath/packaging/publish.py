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

from swath import storage
from swath.errors import InputError, PackageError, PayloadError
from swath.models import packing
from swath.models.package import describe_package, load_package
from swath.packaging.check import check_package

if TYPE_CHECKING:
    from swath.evaluation.results import Evaluation
    from swath.labels.collection import Collection

_ARCHIVE = "model.tar.gz"
_EVALUATION = "evaluation.json"
_SHORT = 12
"""How much of a digest messages show."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a package is now."""

    name: str
    digest: str
    places: tuple[str, ...]
    gates: tuple[str, ...]
    """The comparison with the package in use, a line for each place that had one."""
    replaced: tuple[str, ...] = ()
    """The package that was in use before, a line for each place that had another one."""


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
    """False: it is published without a comparison with the one in use."""


@dataclass(frozen=True, slots=True)
class _InUse:
    """The package that is at a place already."""

    place: str
    digest: str | None
    """None: what is there is no package that can be read."""
    words: str
    """Its name, digest and date, for messages."""


def publish_package(uri: str | Path, to: Sequence[str], gate: Gate) -> Published:
    """Put a package into folders of models and into buckets, everywhere or nowhere.

    A folder gets `<name>/`, as `cdk deploy` takes it; an S3 prefix gets `<name>/model.tar.gz`, an
    S3 URI that ends in `.tar.gz` the archive itself. What is there already is replaced at once.

    Args:
        uri: the package: a folder, a local `model.tar.gz` or an S3 URI of one.
        to: folders and S3 URIs.
        gate: against the package in use.

    Raises:
        InputError: another package is in use and nothing compares the two; or an evaluation is of
            another package.
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
        digest = packing.pack(load_package(uri).folder, archive)
        evaluation = _evaluation(uri, gate, digest)
        in_use = [found for found in map(_in_use, places) if found]
        gates = [_held(found, digest, evaluation, gate) for found in in_use if gate.closed]
        for place in places:
            _put(archive, place)
            if evaluation:
                storage.write_json(_evaluation_of(place), evaluation.to_json())
    return Published(
        name=report.name,
        digest=digest,
        places=tuple(places),
        gates=tuple(gates),
        replaced=tuple(
            f"{found.place}: replaced {found.words}" for found in in_use if found.digest != digest
        ),
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


def _evaluation(uri: str | Path, gate: Gate, digest: str) -> Evaluation | None:
    """Return the candidate's evaluation, None where none is given.

    Raises:
        InputError: it is of another package.
    """
    if gate.labels is not None:
        return _evaluated(str(uri), gate.labels)
    if gate.evaluation is None:
        return None
    evaluation = _read(str(gate.evaluation))
    if evaluation is None:
        raise InputError(f"there is no evaluation at {gate.evaluation}; check the path")
    if evaluation.package.digest != digest:
        raise InputError(
            f"{gate.evaluation} is of {evaluation.package.name} "
            f"{evaluation.package.digest[:_SHORT]}, and the package {uri} is {digest[:_SHORT]}: "
            "evaluate this one"
        )
    return evaluation


def _in_use(place: str) -> _InUse | None:
    """Return the package at a place; None where there is none."""
    there = storage.exists(place) if storage.is_s3(place) else Path(place).is_dir()
    if not there:
        return None
    written = storage.modified(place)
    date = f"written {written:%Y-%m-%d %H:%M} UTC" if written else "of unknown date"
    try:
        info = describe_package(place)
    except PackageError as error:
        return _InUse(place, None, f"what is no package ({error}), {date}")
    name, digest = info.description.name, info.digest
    return _InUse(place, digest, f"{name} {digest[:_SHORT]}, {date}")


def _held(current: _InUse, digest: str, candidate: Evaluation | None, gate: Gate) -> str:
    """Compare the candidate with the package in use; return the verdict in words.

    Raises:
        InputError: nothing compares the two.
        PackageError: the candidate falls below the one in use.
    """
    from swath.evaluation.gate import compare  # noqa: PLC0415 (it needs more than the rest)

    measured = _measured(current, gate)
    if (measured is None or candidate is None) and current.digest == digest:
        return f"{current.place}: holds this very package already"
    if measured is None or candidate is None:
        lacking = "its own evaluation" if measured is None else "an evaluation of the new one"
        raise InputError(
            f"{current.place} holds {current.words}, and nothing compares it with the new package "
            f"({lacking} is missing): give --val-labels and --val-scenes to measure both, "
            "--evaluation of the new one if the one in use was published with its own, "
            "or --no-gate to replace it unmeasured"
        )
    verdict = compare(candidate, measured, gate.tolerance)
    if not verdict.passed:
        raise PackageError(
            f"not published: below the package in use at {current.place}, {current.words}: "
            f"{verdict}"
        )
    return f"{current.place}: {verdict}"


def _measured(current: _InUse, gate: Gate) -> Evaluation | None:
    """Return the evaluation of the package in use; None where there is none of it."""
    if current.digest is None:
        return None
    if gate.labels is not None:
        return _evaluated(current.place, gate.labels)
    found = _read(_evaluation_of(current.place))
    # One that was published unmeasured leaves the evaluation of the one before beside it.
    return found if found and found.package.digest == current.digest else None


def _evaluated(uri: str, labels: Collection) -> Evaluation:
    from swath.evaluation.evaluate import evaluate  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        return evaluate(uri, labels, Path(folder), report=False)


def _read(uri: str) -> Evaluation | None:
    from swath.evaluation.results import Evaluation  # noqa: PLC0415

    try:
        return Evaluation.from_json(storage.read_json(uri))
    except FileNotFoundError:
        return None
    except (ValueError, PayloadError) as error:
        raise InputError(
            f"{uri} is no evaluation.json: {error}; make one by `swath evaluate`"
        ) from None


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
