import errno
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from swath import storage
from swath.errors import InputError, RunIncompleteError, TransientError


def test_bytes_come_back_as_written(root: str):
    uri = storage.join(root, "a", "b.bin")

    storage.write_bytes(uri, b"one")
    storage.write_bytes(uri, b"two")

    assert storage.read_bytes(uri) == b"two"
    assert storage.exists(uri)


@pytest.mark.parametrize("length", [1, 4, 10, 11])
def test_the_end_of_an_object_is_read_without_the_rest(root: str, length: int):
    uri = storage.join(root, "b.bin")
    storage.write_bytes(uri, b"0123456789")

    assert storage.read_end(uri, length) == b"0123456789"[-length:]


def test_json_comes_back_as_written(root: str):
    uri = storage.join(root, "x.json")

    storage.write_json(uri, {"a": [1, None, "é"]})

    assert storage.read_json(uri) == {"a": [1, None, "é"]}


def test_what_is_not_there_is_said_to_be_missing(root: str):
    uri = storage.join(root, "nothing")

    assert not storage.exists(uri)
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.read_bytes(uri)
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.read_end(uri, 5)


def test_an_etag_changes_with_the_bytes(root: str):
    uri = storage.join(root, "f.bin")
    storage.write_bytes(uri, b"one")
    first = storage.etag(uri)

    storage.write_bytes(uri, b"three")

    assert first is not None
    assert storage.etag(uri) != first


def test_an_s3_etag_has_no_quotes(bucket: str):
    storage.write_bytes("s3://work/g", b"one")

    assert storage.etag("s3://work/g") == hashlib.md5(b"one", usedforsecurity=False).hexdigest()


def test_an_object_is_read_with_the_etag_of_its_bytes(root: str):
    uri = storage.join(root, "x.bin")
    with pytest.raises(FileNotFoundError, match=r"x\.bin"):
        storage.read_with_etag(uri)
    storage.write_bytes(uri, b"one")

    assert storage.read_with_etag(uri) == (b"one", storage.etag(uri))


def test_an_object_is_written_only_where_it_is_the_known_one(root: str):
    uri = storage.join(root, "x.bin")
    assert storage.write_if_unchanged(uri, b"never", "etag of nothing") is None
    assert not storage.exists(uri)

    first = storage.write_if_unchanged(uri, b"first", None)
    assert first == storage.etag(uri)
    assert storage.write_if_unchanged(uri, b"late", None) is None
    second = storage.write_if_unchanged(uri, b"the second", first)
    assert second == storage.etag(uri) != first
    assert storage.write_if_unchanged(uri, b"late", first) is None

    assert storage.read_bytes(uri) == b"the second"


def test_another_object_than_the_expected_one_is_refused(root: str):
    uri = storage.join(root, "x.bin")
    with pytest.raises(RunIncompleteError, match=rf"{uri} is missing; drop the scene again"):
        storage.require_etag(uri, "")
    storage.write_bytes(uri, b"one")

    storage.require_etag(uri, "")
    storage.require_etag(uri, storage.etag(uri) or "")
    with pytest.raises(RunIncompleteError, match=rf"{uri} is not the file that this run wrote"):
        storage.require_etag(uri, "of another")


def test_of_many_who_write_at_once_one_does(tmp_path: Path):
    uri = str(tmp_path / "x.bin")
    known = None
    for turn in range(5):
        with ThreadPoolExecutor(8) as pool:
            contents = [b"%d by %d" % (turn, writer) for writer in range(8)]
            written = list(
                pool.map(partial(storage.write_if_unchanged, uri, expected_etag=known), contents)
            )
        (known,) = filter(None, written)
        assert storage.read_bytes(uri) == contents[written.index(known)]


def write_a_file(uri: str, data: bytes = b"x") -> None:
    with storage.writing(uri) as path:
        path.write_bytes(data)


READS = {
    "exists": storage.exists,
    "status": storage.status,
    "modified": storage.modified,
    "status_and_head": lambda uri: storage.status_and_head(uri, 5),
    "read_bytes": storage.read_bytes,
    "read_with_etag": storage.read_with_etag,
    "read_end": lambda uri: storage.read_end(uri, 5),
    "reading": lambda uri: list(storage.reading_each([uri], max_prefetched=1)),
}
WRITES = {
    "write_bytes": lambda uri: storage.write_bytes(uri, b"x"),
    "write_if_unchanged": lambda uri: storage.write_if_unchanged(uri, b"x", "known"),
    "write_if_missing": lambda uri: storage.write_if_unchanged(uri, b"x", None),
    "writing": write_a_file,
    "copy": lambda uri: storage.copy(uri, uri),
}


@pytest.fixture
def refusing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that makes S3 answer each request with a status.

    It returns an object's URI.
    """
    uri = storage.join(bucket, "here.bin")
    storage.write_bytes(uri, b"here")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)

    def refuse(status: int, code: str) -> str:
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        # Responses to HEAD have no body.
        raw = HTTPResponse(BytesIO(body), status=status, preload_content=False)
        answer = partial(AWSResponse, status_code=status, headers={}, raw=raw)
        storage.s3().meta.events.register_first(
            "before-send.s3", lambda request, **_: answer(request.url)
        )
        return uri

    return refuse


@pytest.mark.parametrize("operation", [*READS, *WRITES])
def test_what_s3_cannot_do_now_may_be_asked_again(refusing: Callable[..., str], operation: str):
    uri = refusing(503, "SlowDown")

    with pytest.raises(TransientError, match=rf"{uri} cannot be (read|written): .*"):
        (READS | WRITES)[operation](uri)


@pytest.mark.parametrize("operation", [*READS, *WRITES])
def test_what_s3_refuses_is_neither_missing_nor_worth_asking_again(
    refusing: Callable[..., str], operation: str
):
    uri = refusing(403, "AccessDenied")

    with pytest.raises((ClientError, S3UploadFailedError), match=r"AccessDenied|403"):
        (READS | WRITES)[operation](uri)


def test_a_disk_that_fails_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert storage.status(str(tmp_path / ("x" * 300))) is None

    def fail(path: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "is_file", fail)

    with pytest.raises(OSError, match="Input/output error"):
        storage.status(str(tmp_path / "x"))


@pytest.mark.parametrize("known", [None, "known"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (412, "PreconditionFailed"),
        (409, "ConditionalRequestConflict"),
        (404, "NoSuchKey"),
        # For a response without a body, botocore uses the status as the code.
        (412, "412"),
        (409, "409"),
        (404, "404"),
    ],
)
def test_a_condition_that_s3_finds_unmet_is_said(
    refusing: Callable[..., str], status: int, code: str, known: str | None
):
    uri = refusing(status, code)

    assert storage.write_if_unchanged(uri, b"x", known) is None


def test_who_reads_a_file_keeps_it_while_it_is_replaced(tmp_path: Path):
    uri = str(tmp_path / "x.bin")
    for write in (storage.write_bytes, write_a_file):
        storage.write_bytes(uri, b"old")
        with Path(uri).open("rb") as reader:
            write(uri, b"new")
            assert reader.read() == b"old"
        assert storage.read_bytes(uri) == b"new"


class TestStatusAndHead:
    def test_come_together_from_s3(self, bucket: str):
        uri = storage.join(bucket, "x.bin")
        storage.write_bytes(uri, b"0123456789")

        assert storage.status_and_head(uri, 4) == (storage.status(uri), b"0123")
        assert storage.status_and_head(uri, 99) == (storage.status(uri), b"0123456789")

    def test_a_local_file_keeps_its_bytes(self, tmp_path: Path):
        uri = str(tmp_path / "x.bin")
        storage.write_bytes(uri, b"0123456789")

        assert storage.status_and_head(uri, 4) == (storage.status(uri), b"")

    def test_an_empty_object_has_no_bytes(self, root: str):
        uri = storage.join(root, "x.bin")
        storage.write_bytes(uri, b"")

        assert storage.status_and_head(uri, 4) == (storage.status(uri), b"")

    def test_no_object(self, root: str):
        assert storage.status_and_head(storage.join(root, "none"), 4) is None


def test_what_nobody_else_has_written_is_written(root: str):
    uri = f"{root}/note.json"
    first = storage.write_if_unchanged(uri, b"1", None)
    second = storage.write_if_unchanged(uri, b"22", first)
    assert storage.read_with_etag(uri) == (b"22", second)
    assert storage.etag(uri) == second != first


def test_what_somebody_else_has_written_meanwhile_stays(root: str):
    uri = f"{root}/note.json"
    assert storage.write_if_unchanged(uri, b"0", "0123") is None
    known = storage.write_if_unchanged(uri, b"1", None)
    assert storage.write_if_unchanged(uri, b"2", None) is None
    storage.write_bytes(uri, b"of somebody else")
    assert storage.write_if_unchanged(uri, b"3", known) is None
    assert storage.read_bytes(uri) == b"of somebody else"


def test_of_many_writers_at_once_each_builds_on_another(tmp_path: Path):
    """Check that each writer adds a byte to the current content, and no byte is lost."""
    uri = f"{tmp_path}/note.json"

    def add(_: int) -> None:
        while True:
            try:
                data, known = storage.read_with_etag(uri)
            except FileNotFoundError:
                data, known = b"", None
            if storage.write_if_unchanged(uri, data + b"x", known):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert storage.read_bytes(uri) == b"x" * 12


def test_a_missing_object_has_no_etag_to_read(root: str):
    with pytest.raises(FileNotFoundError):
        storage.read_with_etag(f"{root}/nothing")


def test_a_reader_of_a_local_file_keeps_what_it_opened(tmp_path: Path):
    path = tmp_path / "file"
    storage.write_bytes(str(path), b"old")
    with path.open("rb") as file:
        storage.write_bytes(str(path), b"new")
        assert file.read() == b"old"


def test_an_object_that_may_not_be_read_is_no_empty_file(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    refused = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(*_: object, **__: object) -> None:
        raise ClientError(refused, "GetObject")  # type: ignore[arg-type]

    monkeypatch.setattr(storage.s3(), "download_file", refuse)
    with pytest.raises(ClientError, match="AccessDenied"), storage.reading(f"{bucket}/x"):
        pass


@pytest.mark.parametrize("expected", ["", "0123"])
def test_a_file_that_is_gone_or_another_is_refused(root: str, expected: str):
    uri = f"{root}/merged"
    with pytest.raises(RunIncompleteError, match="is missing; drop the scene again"):
        storage.require_etag(uri, expected)
    storage.write_bytes(uri, b"1")
    storage.require_etag(uri, storage.etag(uri) or "")
    if expected:
        with pytest.raises(RunIncompleteError, match="is not the file that this run wrote"):
            storage.require_etag(uri, expected)
    else:
        storage.require_etag(uri, expected)


def test_an_object_that_is_larger_than_it_may_be_is_not_read(root: str):
    uri = storage.join(root, "labels.json")
    storage.write_bytes(uri, b"x" * 100)
    assert storage.read_bounded(uri, 100) == b"x" * 100

    with pytest.raises(InputError, match=r"labels\.json has more than .* MiB, the maximum"):
        storage.read_bounded(uri, 99)
    with pytest.raises(FileNotFoundError):
        storage.read_bounded(storage.join(root, "none"), 99)


def test_a_device_without_end_is_read_to_the_limit_only():
    with pytest.raises(InputError, match=r"/dev/zero has more than 0\.0625 MiB"):
        storage.read_bounded("/dev/zero", 1 << 16)
