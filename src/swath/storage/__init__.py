"""Objects at an address: `s3://bucket/key` or a local path, read and written the same way.

Writes are whole or not at all: S3 gives that, and a local file is written beside its place and
renamed into it.

Whatever asks S3 raises a TransientError where S3 fails in a way that passes, and botocore's
ClientError where it refuses.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from swath.errors import InputError, RunIncompleteError
from swath.errors.service_errors import passes, transient_errors
from swath.storage.encoding import parse_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; older ones, and
# access points, have more letters.
_BUCKET = re.compile(r"[a-zA-Z0-9.\-_]{1,255}|arn:[^/]+")
_MAX_KEY_BYTES = 1024
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# A file name may have 255 bytes, a letter up to 4.
_MAX_NAME_LETTERS = 60
_MISSING = {"404", "NoSuchKey", "NotFound"}
_ABSENT = _MISSING | {"NoSuchBucket"}
# Somebody else has written the object since, or is writing it at this moment.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@functools.cache
def s3() -> S3Client:
    """This process's S3 client."""
    return boto3.client("s3", config=_RETRIES)


@dataclass(frozen=True, slots=True)
class Status:
    """Of an object: what identifies its bytes, and how many they are."""

    etag: str
    size: int


def is_s3(uri: str) -> bool:
    """Whether the address is an S3 URI; anything else is a local path."""
    return uri.startswith("s3://")


def split_s3(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/a/b` into `("bucket", "a/b")`; the key of a whole bucket is empty.

    Raises:
        InputError: S3 allows no bucket of such a name, or no key of such a length.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f"{uri} has {bucket!r} for a bucket, which S3 does not allow; "
            "an address is s3://BUCKET/KEY"
        )
    if len(key.encode(errors="surrogateescape")) > _MAX_KEY_BYTES:
        raise InputError(
            f"{uri} has a key of more than {_MAX_KEY_BYTES} bytes, which S3 does not allow; "
            "check the address"
        )
    return bucket, key


def split_object(uri: str) -> tuple[str, str]:
    """Split the address of an object on S3 into its bucket and its key.

    Raises:
        InputError: the address is of no object that S3 allows.
    """
    bucket, key = split_s3(uri)
    if not key:
        raise InputError(f"{uri} is a bucket; name an object in it, as s3://BUCKET/KEY")
    return bucket, key


def join(uri: str, *parts: str) -> str:
    """Return an address below another.

    Raises:
        InputError: the other is on S3, in a bucket that S3 does not allow.
    """
    if is_s3(uri):
        # Without its slashes at the end, `s3:///` would be a folder on this machine.
        split_s3(uri)
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def name(uri: str) -> str:
    """Return the last part of an address: the file's name."""
    return uri.rpartition("/")[2]


def resolve(uri: str) -> str:
    """The one address of what several spellings name: `./a/../x.tif` and `file:///…/x.tif`.

    An S3 key is a name, not a path: `a/./b` and `a/b` are two objects, and stay so. A local file
    keeps its own name where that is a symbolic link; the folders above it become what they are.

    Raises:
        InputError: the address is of another kind, or cannot be written as UTF-8.
    """
    if not _is_utf8(uri):
        raise InputError(
            f"{os.fsencode(uri)!r} is a name that is not UTF-8, which results could not hold; "
            "rename it"
        )
    if is_s3(uri):
        return uri
    if uri.startswith("file://"):
        uri = url2pathname(urlsplit(uri).path)
    elif _SCHEME.match(uri):
        raise InputError(
            f"{uri} is neither a path nor an S3 URI; copy it to this machine or to S3, and name "
            "that"
        )
    path = Path(uri).absolute()
    return str(path.parent.resolve() / path.name)


def exists(uri: str) -> bool:
    """Whether there is an object at the address."""
    return etag(uri) is not None


def etag(uri: str) -> str | None:
    """What identifies the object's bytes, without reading them: None where there is no object.

    The S3 ETag without its quotes; of a local file its size and modification time.
    """
    found = status(uri)
    return found.etag if found else None


def status(uri: str) -> Status | None:
    """The object's ETag and size, without reading it: None where there is no object."""
    if not is_s3(uri):
        path = Path(uri)
        try:
            if not path.is_file():
                return None
            file = path.stat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise
        return Status(f"{file.st_size:x}-{file.st_mtime_ns:x}", file.st_size)
    bucket, key = split_object(uri)
    try:
        with _read(uri):
            head = s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    return Status(head["ETag"].strip('"'), head["ContentLength"])


def modified(uri: str) -> datetime | None:
    """Return when an object, a file or a folder was written; None where there is none."""
    if not is_s3(uri):
        path = Path(uri)
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
    bucket, key = split_object(uri)
    try:
        with _read(uri):
            written: datetime = s3().head_object(Bucket=bucket, Key=key)["LastModified"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    return written


def status_and_head(uri: str, length: int) -> tuple[Status, bytes] | None:
    """The object's status and, of an S3 object, its first bytes, which come with it.

    Returns:
        None where there is no object. No bytes of a local file, which are as near when they are
        wanted.
    """
    if is_s3(uri):
        bucket, key = split_object(uri)
        try:
            found = s3().get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}")
            size = int(found["ContentRange"].rpartition("/")[2])
            return Status(found["ETag"].strip('"'), size), found["Body"].read()
        except ClientError:
            pass  # missing, or empty: the plain question tells
        except Exception as error:
            if not passes(error):
                raise
    there = status(uri)
    return (there, b"") if there else None


def read_bytes(uri: str) -> bytes:
    """The whole object.

    Raises:
        FileNotFoundError: there is no object at the address.
    """
    return _get(uri) if is_s3(uri) else Path(uri).read_bytes()


def read_bounded(uri: str, most: int) -> bytes:
    """Read the whole object, unless it is larger than it may be.

    Args:
        uri: its address.
        most: bytes that are read; a device, which has no end, is read no further.

    Raises:
        InputError: it is larger.
        FileNotFoundError: there is no object at the address.
    """
    if is_s3(uri):
        found = status(uri)
        content = _get(uri) if not found or found.size <= most else None
    else:
        with Path(uri).open("rb") as file:
            content = file.read(most + 1)
    if content is None or len(content) > most:
        raise InputError(
            f"{uri} has more than {most / 2**20:g} MiB, which is all that is read of such a file: "
            "divide it, or give another one"
        )
    return content


def read_end(uri: str, length: int) -> bytes:
    """Read the last `length` bytes of the object, or all of it where it has fewer.

    Raises:
        FileNotFoundError: there is no object at the address.
    """
    if not is_s3(uri):
        with Path(uri).open("rb") as file:
            file.seek(max(0, Path(uri).stat().st_size - length))
            return file.read()
    return _get(uri, Range=f"bytes=-{length}")


def write_bytes(uri: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
    """Write the whole object, replacing what was there."""
    if is_s3(uri):
        bucket, key = split_object(uri)
        with _written(uri):
            s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)
        return
    with _beside(Path(uri)) as temporary:
        temporary.write_bytes(data)


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """Read the whole object, and the ETag of the very bytes that were read.

    Raises:
        FileNotFoundError: there is no object at the address.
    """
    if not is_s3(uri):
        with _turns(uri):
            return Path(uri).read_bytes(), etag(uri) or ""
    bucket, key = split_object(uri)
    try:
        with _read(uri):
            found = s3().get_object(Bucket=bucket, Key=key)
            return found["Body"].read(), found["ETag"].strip('"')
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            raise FileNotFoundError(uri) from None
        raise


def write_if_unchanged(uri: str, data: bytes, known: str | None) -> str | None:
    """Write the whole object unless somebody else has written it in the meantime.

    Args:
        uri: its address.
        data: its bytes.
        known: the ETag of what is to be replaced; None where there was no object.

    Returns:
        The new ETag; None where the object is no longer the known one, and nothing was written.
    """
    if not is_s3(uri):
        with _turns(uri):
            if etag(uri) != known:
                return None
            write_bytes(uri, data)
            return etag(uri)
    bucket, key = split_object(uri)
    condition: Any = {"IfMatch": known} if known else {"IfNoneMatch": "*"}
    try:
        with _written(uri):
            written = s3().put_object(Bucket=bucket, Key=key, Body=data, **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] in _CHANGED | _MISSING:
            return None
        raise
    return written["ETag"].strip('"')


def read_json(uri: str) -> Any:
    """Return the object parsed as JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply to be read.
    """
    return parse_json(read_bytes(uri))


def write_json(uri: str, data: Any, *, content_type: str = "application/json") -> None:
    """Write an object as JSON."""
    write_bytes(uri, json.dumps(data, separators=(",", ":")).encode(), content_type=content_type)


@contextmanager
def reading(uri: str) -> Iterator[Path]:
    """The object as a local file, for libraries that read files; an S3 object is copied.

    Raises:
        FileNotFoundError: there is no object at the address.
    """
    if not is_s3(uri):
        yield Path(uri)
        return
    bucket, key = split_object(uri)
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder, _file_name(key))
        try:
            with _read(uri):
                s3().download_file(bucket, key, str(path))
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise FileNotFoundError(uri) from None
            raise
        yield path


def digest(path: Path) -> str:
    """Return the SHA-256 of a local file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_etag(uri: str, expected: str) -> None:
    """Refuse an object that is not the one of an ETag; any will do where that is empty.

    Raises:
        RunIncompleteError: there is no object at the address, or another one.
    """
    found = etag(uri)
    if found is None or (expected and found != expected):
        what = "is gone" if found is None else "is not the file that this run wrote"
        raise RunIncompleteError(f"{uri} {what}; drop the scene again, and it is made anew")


def reading_each(uris: Iterable[str], *, ahead: int) -> Iterator[Path]:
    """Objects one after the other as `reading` gives them, each until the next is asked for.

    Args:
        uris: their addresses.
        ahead: how many are fetched before they are asked for.

    Raises:
        FileNotFoundError: there is no object at an address.
    """
    left = iter(uris)
    coming: deque[Future[tuple[ExitStack, Path]]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        try:
            coming.extend(pool.submit(_open, uri) for uri in islice(left, ahead))
            while coming:
                stack, path = coming[0].result()
                with stack:
                    coming.popleft()
                    coming.extend(pool.submit(_open, uri) for uri in islice(left, 1))
                    yield path
        finally:
            for future in coming:
                if not future.cancel() and not future.exception():
                    future.result()[0].close()


def _open(uri: str) -> tuple[ExitStack, Path]:
    stack = ExitStack()
    return stack, stack.enter_context(reading(uri))


@contextmanager
def writing(uri: str, *, content_type: str = "application/octet-stream") -> Iterator[Path]:
    """A local path to write to; it becomes the object when the block ends without an error."""
    if not is_s3(uri):
        with _beside(Path(uri)) as temporary:
            yield temporary
        return
    bucket, key = split_object(uri)
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder, _file_name(key))
        yield path
        with _written(uri):
            s3().upload_file(str(path), bucket, key, ExtraArgs={"ContentType": content_type})


def copy(source: str, target: str, *, content_type: str = "application/octet-stream") -> None:
    """Copy one object, on the S3 side where both are there."""
    if is_s3(source) and is_s3(target):
        (from_bucket, from_key), (bucket, key) = split_object(source), split_object(target)
        with _written(target):
            s3().copy(
                {"Bucket": from_bucket, "Key": from_key},
                bucket,
                key,
                ExtraArgs={"ContentType": content_type, "MetadataDirective": "REPLACE"},
            )
        return
    with reading(source) as path, writing(target, content_type=content_type) as place:
        shutil.copyfile(path, place)


def _file_name(key: str) -> str:
    """Return a name for the copy of an object: its own, as far as each file system allows that."""
    name = re.sub(r"[^\w.-]", "_", key.rpartition("/")[2])[-_MAX_NAME_LETTERS:]
    return name.lstrip(".") or "object"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _get(uri: str, **options: Any) -> bytes:
    bucket, key = split_object(uri)
    try:
        with _read(uri):
            return s3().get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            raise FileNotFoundError(uri) from None
        raise


def _read(uri: str) -> AbstractContextManager[None]:
    return transient_errors(f"{uri} cannot be read")


def _written(uri: str) -> AbstractContextManager[None]:
    return transient_errors(f"{uri} cannot be written")


@contextmanager
def _turns(uri: str) -> Iterator[None]:
    """Let processes that read and write a local file under a condition take turns."""
    folder = Path(uri).parent
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
