"""Load model packages from a folder, an archive or S3, and verify them before they are run."""

from __future__ import annotations

import errno
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from swath import storage
from swath.errors import PackageError
from swath.models import model_cache, packing
from swath.models.mlm import ModelDescription, WeightsAsset, WeightsFormat, parse_description
from swath.models.weights_format import check_weights_file

_MAX_REASON_CHARACTERS = 1000
"""Maximum length in characters of the reason in an error about `mlm.json`. The reason quotes the
package, so it could be of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights file on this machine, with its checksum verified."""

    path: Path
    format: WeightsFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """Model package whose files are on this machine."""

    folder: Path
    """Folder of the files: the package itself, or the folder that its archive was unpacked into."""
    digest: str
    """SHA-256, hex, of the package's files."""
    description: ModelDescription
    weights: tuple[Weights, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    """Description and digest of a model package."""

    description: ModelDescription
    digest: str
    """SHA-256, hex, of the package's files."""
    text: bytes
    """Content of `mlm.json`: a STAC MLM Item."""


def describe_package(uri: str | Path) -> PackageInfo:
    """Return a package's description and digest, without unpacking it or loading its weights.

    Args:
        uri: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.

    Raises:
        PackageError: There is no package, or its `mlm.json` cannot be used.
    """
    uri = str(uri)
    if not storage.is_s3(uri) and Path(uri).is_dir():
        text = _read_text(Path(uri), uri)
        digest = packing.package_digest(Path(uri))
        return PackageInfo(description=_parse(uri, text), digest=digest, text=text)
    try:
        with storage.reading(uri) as archive:
            digest, described = packing.scan(archive)
    except FileNotFoundError:
        raise PackageError(packing.missing_package(uri)) from None
    if described is None:
        raise PackageError(packing.missing_description(uri))
    return PackageInfo(description=_parse(uri, described), digest=digest, text=described)


def load_package(uri: str | Path, *, digest: str | None = None) -> ModelPackage:
    """Bring a package's files to this machine and verify them.

    An archive is unpacked into the model cache.

    Args:
        uri: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.
        digest: Digest that the package must have, if it is known. If the cache has a package of
            that digest, the archive is not downloaded again.

    Raises:
        PackageError: There is no package, it contradicts itself, or it has another digest.
    """
    uri = str(uri)
    if not storage.is_s3(uri) and Path(uri).is_dir():
        folder, actual = Path(uri), packing.package_digest(Path(uri))
    else:
        folder, actual = _unpack_to_cache(uri, digest)
    if digest not in {None, actual}:
        raise PackageError(
            f"{uri} has the digest {actual}, not {digest}: it was replaced since the run began; "
            "drop the scene again"
        )
    description = _read_description(folder, uri)
    return ModelPackage(
        folder=folder,
        digest=actual,
        description=description,
        weights=tuple(_verify_weights(folder, asset, uri) for asset in description.weights),
    )


def _read_description(folder: Path, uri: str) -> ModelDescription:
    return _parse(uri, _read_text(folder, uri))


def _read_text(folder: Path, uri: str) -> bytes:
    """Return the content of `mlm.json`."""
    path = folder / packing.DESCRIPTION_FILE
    if not path.is_file():
        raise PackageError(packing.missing_description(uri))
    packing.check_description_size(uri, path.stat().st_size)
    return path.read_bytes()


def _parse(uri: str, text: bytes) -> ModelDescription:
    try:
        return parse_description(text)
    except PackageError as error:
        reason = str(error)
        short_reason = (
            f"{reason[:_MAX_REASON_CHARACTERS]} …"
            if len(reason) > _MAX_REASON_CHARACTERS
            else reason
        )
        raise PackageError(f"{uri}: {short_reason}") from None


def _unpack_to_cache(uri: str, digest: str | None) -> tuple[Path, str]:
    """Unpack an archive into the cache unless it is there already; return its folder and digest."""
    cache = model_cache.folder()
    if digest and (cache / digest).is_dir():
        return cache / digest, digest
    try:
        return _unpack(uri, cache)
    except OSError as error:
        others = list(cache.iterdir())
        if error.errno != errno.ENOSPC or not others:
            raise
    # The disk of a Lambda function has room for only one of the largest packages. Remove the
    # packages of earlier scenes, and try again.
    for other in others:
        shutil.rmtree(other, ignore_errors=True)
    return _unpack(uri, cache)


def _unpack(uri: str, cache: Path) -> tuple[Path, str]:
    try:
        with (
            storage.reading(uri) as archive,
            tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary,
        ):
            actual = packing.unpack(archive, Path(temporary, "package"))
            _rename_if_absent(Path(temporary, "package"), cache / actual)
    except FileNotFoundError:
        raise PackageError(packing.missing_package(uri)) from None
    return cache / actual, actual


def _rename_if_absent(source: Path, target: Path) -> None:
    """Rename a folder, unless another process has already created the target.

    The target's name is the digest, so both have the same content.
    """
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(source)


def _verify_weights(folder: Path, asset: WeightsAsset, uri: str) -> Weights:
    """Return a weights file after checking its checksum and its format.

    Args:
        folder: Folder of the package's files.
        asset: Weights file as `mlm.json` lists it.
        uri: Address of the package, for messages.
    """
    path = folder / asset.name
    if not path.is_file():
        raise PackageError(
            f"{uri} has no {asset.name}, which its mlm.json names: copy it there, or correct "
            "the asset's href"
        )
    if asset.sha256 and (actual := packing.sha256(path)) != asset.sha256:
        raise PackageError(
            f"{uri}: {asset.name} has the SHA-256 {actual}; mlm.json's file:checksum says "
            f"{asset.sha256}: copy the package again, or create it again with `swath model init`"
        )
    check_weights_file(path, asset.format)
    return Weights(path=path, format=asset.format)
