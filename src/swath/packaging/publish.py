"""Publish a package: check it, compare it with the package in use, then replace that one."""

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
_DIGEST_DIGITS = 12
"""Number of digits of a digest that messages show."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """Result of publishing a package."""

    name: str
    digest: str
    destinations: tuple[str, ...]
    gates: tuple[str, ...]
    """Comparisons with packages in use, one line for each destination that had one."""
    replaced: tuple[str, ...] = ()
    """Replaced packages, one line for each destination that held another package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Conditions under which a package may replace the one in use."""

    labels: Collection | None = None
    """Labeled scenes on which both packages are evaluated."""
    evaluation: Path | None = None
    """Existing evaluation of the new package."""
    tolerance: float = 0.0
    """Maximum loss allowed in each metric."""
    is_required: bool = True
    """True if a package in use requires a comparison; False publishes without one."""


@dataclass(frozen=True, slots=True)
class _PackageInUse:
    """Package that a destination holds already."""

    destination: str
    digest: str | None
    """Digest of the package; None if it cannot be read as a package."""
    summary: str
    """Name, digest and date of the package, for messages."""


def publish_package(uri: str | Path, to: Sequence[str], gate: Gate) -> PublishResult:
    """Publish a package to folders and S3; check and compare it before writing anything.

    A folder receives `<name>/`, as `cdk deploy` expects it. An S3 prefix receives
    `<name>/model.tar.gz`. An S3 URI that ends in `.tar.gz` receives the archive itself. Each
    existing package is replaced in one step.

    Args:
        uri: Folder, local `model.tar.gz` or S3 URI of the package.
        to: Destination folders and S3 URIs.
        gate: Conditions for replacing a package in use.

    Raises:
        InputError: A package in use has no comparison with the new one, or an evaluation belongs to
            another package.
        PackageError: The package fails its check, or scores below the package in use.
    """
    report = check_package(uri)
    if not report.passed:
        raise PackageError(f"{uri} is not published: {'; '.join(report.failures)}")
    if not _NAME.fullmatch(report.name):
        raise PackageError(
            f"mlm:name {report.name!r} cannot be the name of a folder: use only "
            "letters, digits, '.', '_' and '-'"
        )
    destinations = [_destination(target, report.name) for target in to]
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary, _ARCHIVE)
        digest = packing.pack(load_package(uri).folder, archive)
        evaluation = _candidate_evaluation(uri, gate, digest)
        in_use = [package for package in map(_package_in_use, destinations) if package]
        gates = [
            _check_gate(current, digest, evaluation, gate) for current in in_use if gate.is_required
        ]
        for destination in destinations:
            _write(archive, destination)
            if evaluation:
                storage.write_json(_evaluation_uri(destination), evaluation.to_json())
    return PublishResult(
        name=report.name,
        digest=digest,
        destinations=tuple(destinations),
        gates=tuple(gates),
        replaced=tuple(
            f"{current.destination}: replaced {current.summary}"
            for current in in_use
            if current.digest != digest
        ),
    )


def _destination(target: str, name: str) -> str:
    """Return the destination of a package: a folder named after it, or an archive in S3."""
    if not storage.is_s3(target):
        return str(Path(target, name))
    return target if target.endswith(".tar.gz") else storage.join(target, name, _ARCHIVE)


def _evaluation_uri(destination: str) -> str:
    """Return the path of the evaluation, beside the package: it must not change the digest."""
    if storage.is_s3(destination):
        return storage.join(destination.rpartition("/")[0], _EVALUATION)
    return f"{destination}.{_EVALUATION}"


def _candidate_evaluation(uri: str | Path, gate: Gate, digest: str) -> Evaluation | None:
    """Return the new package's evaluation; None if none is given.

    Raises:
        InputError: The evaluation is missing or belongs to another package.
    """
    if gate.labels is not None:
        return _evaluate(str(uri), gate.labels)
    if gate.evaluation is None:
        return None
    evaluation = _read_evaluation(str(gate.evaluation))
    if evaluation is None:
        raise InputError(f"the evaluation {gate.evaluation} does not exist; check the path")
    if evaluation.package.digest != digest:
        raise InputError(
            f"{gate.evaluation} evaluates {evaluation.package.name} "
            f"{evaluation.package.digest[:_DIGEST_DIGITS]}, but the package {uri} has the digest "
            f"{digest[:_DIGEST_DIGITS]}: give the evaluation of this package"
        )
    return evaluation


def _package_in_use(destination: str) -> _PackageInUse | None:
    """Return the package at a destination; None if there is none."""
    exists = (
        storage.exists(destination) if storage.is_s3(destination) else Path(destination).is_dir()
    )
    if not exists:
        return None
    modified_at = storage.modified(destination)
    date = f"written {modified_at:%Y-%m-%d %H:%M} UTC" if modified_at else "of unknown date"
    try:
        info = describe_package(destination)
    except PackageError as error:
        return _PackageInUse(destination, None, f"content that is not a package ({error}), {date}")
    name, digest = info.description.name, info.digest
    return _PackageInUse(destination, digest, f"{name} {digest[:_DIGEST_DIGITS]}, {date}")


def _check_gate(
    current: _PackageInUse, digest: str, candidate: Evaluation | None, gate: Gate
) -> str:
    """Compare the new package with the one in use, and return the verdict as a message.

    Raises:
        InputError: An evaluation for the comparison is missing.
        PackageError: The new package scores below the one in use.
    """
    from swath.evaluation.gate import compare  # noqa: PLC0415 (it needs more than the rest)

    measured = _current_evaluation(current, gate)
    if (measured is None or candidate is None) and current.digest == digest:
        return f"{current.destination}: already holds this package"
    if measured is None or candidate is None:
        missing = "its own evaluation" if measured is None else "an evaluation of the new package"
        raise InputError(
            f"{current.destination} holds {current.summary}. It cannot be compared with the new "
            f"package, because {missing} is missing: give --val-labels and --val-scenes to "
            "evaluate both packages. If only the new package lacks an evaluation, give "
            "--evaluation. To replace the package without a comparison, give --no-gate"
        )
    verdict = compare(candidate, measured, gate.tolerance)
    if not verdict.passed:
        raise PackageError(
            "the package is not published, because it scores below the package in use at "
            f"{current.destination} ({current.summary}): {verdict}"
        )
    return f"{current.destination}: {verdict}"


def _current_evaluation(current: _PackageInUse, gate: Gate) -> Evaluation | None:
    """Return the evaluation of the package in use; None if it has none."""
    if current.digest is None:
        return None
    if gate.labels is not None:
        return _evaluate(current.destination, gate.labels)
    evaluation = _read_evaluation(_evaluation_uri(current.destination))
    # A package published without a comparison leaves its predecessor's evaluation there.
    return evaluation if evaluation and evaluation.package.digest == current.digest else None


def _evaluate(uri: str, labels: Collection) -> Evaluation:
    from swath.evaluation.evaluate import evaluate  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        return evaluate(uri, labels, Path(folder), report=False)


def _read_evaluation(uri: str) -> Evaluation | None:
    from swath.evaluation.results import Evaluation  # noqa: PLC0415

    try:
        return Evaluation.from_json(storage.read_json(uri))
    except FileNotFoundError:
        return None
    except (ValueError, PayloadError) as error:
        raise InputError(
            f"{uri} is not an evaluation.json: {error}; create one with `swath evaluate`"
        ) from None


def _write(archive: Path, destination: str) -> None:
    """Copy or unpack the archive to its destination; no partial package remains after an error."""
    if storage.is_s3(destination):
        with storage.writing(destination, content_type="application/gzip") as target:
            shutil.copyfile(archive, target)
        return
    with _replace_folder(Path(destination)) as staged:
        packing.unpack(archive, staged)


@contextmanager
def _replace_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, which replaces the target if the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The hidden folder is on the target's disk, and listings of models skip it.
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
