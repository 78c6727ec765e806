"""Tests of https addresses: versions, ranges, and servers that behave otherwise."""

import re
import socket

import pytest
from urllib3.util.retry import Retry

from swath import storage
from swath.errors import InputError, SceneChangedError, SceneError, TransientError
from swath.storage import https_client, https_objects

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)


@pytest.fixture
def uri(https_archive):
    return https_archive.put("a/x.tif", CONTENT)


def refusal(action):
    with pytest.raises(SceneError) as caught:
        action()
    assert not isinstance(caught.value, SceneChangedError)
    return str(caught.value)


class TestReads:
    def test_a_status_takes_one_request_for_one_byte(self, uri, https_archive):
        status = storage.status(uri)

        assert status == storage.ObjectStatus(https_archive.etags["a/x.tif"].strip('"'), 10240)
        assert https_archive.requests == [("GET", "a/x.tif", "bytes=0-0")]

    def test_status_and_first_bytes_come_together(self, uri, https_archive):
        assert storage.status_and_head(uri, 100) == (storage.status(uri), CONTENT[:100])
        assert storage.status_and_head(uri, 99_999) == (storage.status(uri), CONTENT)
        assert len(https_archive.requests) == 4

    def test_whole_files_are_read_with_their_etag(self, uri):
        assert storage.read_bytes(uri) == CONTENT
        assert storage.read_bounded(uri, 10240) == CONTENT
        assert storage.read_with_etag(uri) == (CONTENT, storage.etag(uri))

    def test_a_file_that_is_too_large_is_refused_before_it_is_read(self, uri):
        with pytest.raises(InputError, match="more than"):
            storage.read_bounded(uri, 10239)

    def test_a_file_that_does_not_exist(self, https_archive):
        uri = https_archive.address("none.json")

        assert storage.status_and_head(uri, 10) is None
        assert not storage.exists(uri)
        with pytest.raises(FileNotFoundError):
            storage.read_bytes(uri)

    def test_an_empty_file(self, https_archive):
        uri = https_archive.put("empty", b"")

        assert storage.status_and_head(uri, 10) == (storage.ObjectStatus("", 0), b"")
        assert storage.read_bytes(uri) == b""

    def test_ranges_end_where_the_file_ends(self, uri):
        etag = storage.etag(uri)

        assert https_objects.get_range(uri, etag, 10_000, 99_999) == CONTENT[10_000:]
        assert https_objects.get_range(uri, etag, 20_000, 10) == b""

    def test_one_connection_serves_many_requests(self, uri, https_archive):
        ports = set()
        https_archive.fault = lambda handler: ports.add(handler.client_address[1])
        etag = storage.etag(uri)
        for offset in range(0, 10_000, 1000):
            https_objects.get_range(uri, etag, offset, 10)
        storage.is_readable(uri + ".msk")
        storage.etag(uri)

        assert len(ports) == 1


class TestVersions:
    def test_another_version_is_refused(self, uri, https_archive):
        etag = storage.etag(uri)
        https_archive.put("a/x.tif", CONTENT[::-1])

        with pytest.raises(SceneChangedError, match="replaced"):
            https_objects.get_range(uri, etag, 0, 10)

    def test_another_version_is_refused_where_the_server_ignores_if_match(self, uri, https_archive):
        etag = storage.etag(uri)
        https_archive.fault = lambda handler: (
            handler.answer_range(CONTENT[::-1], {"ETag": '"another"'}) or True
        )

        with pytest.raises(SceneChangedError, match="replaced"):
            https_objects.get_range(uri, etag, 0, 10)

    def test_a_file_that_is_gone_was_replaced(self, uri, https_archive):
        etag = storage.etag(uri)
        del https_archive.files["a/x.tif"]

        with pytest.raises(SceneChangedError, match="replaced"):
            https_objects.get_range(uri, etag, 0, 10)

    @pytest.mark.parametrize(
        ("etag", "problem"),
        [('W/"1"', r"only a weak ETag \(W/"), ("", "no ETag"), ('""', "no ETag")],
    )
    def test_versions_that_nothing_identifies_are_refused(self, uri, https_archive, etag, problem):
        https_archive.etags["a/x.tif"] = etag

        assert re.search(problem, refusal(lambda: storage.status(uri)))
        assert "copy the file to S3" in refusal(lambda: storage.read_bytes(uri))


class TestServers:
    def test_a_redirect_is_never_followed(self, uri, https_archive):
        target = https_archive.put("secret", b"x" * 10)
        for status in (301, 302, 303, 307, 308):
            https_archive.fault = lambda handler, status=status: (
                handler.answer(status, {"Location": target}, b"") or True
            )
            assert f"redirects to {target}" in refusal(lambda: storage.status(uri))
            assert "no redirects" in refusal(lambda: https_objects.get_range(uri, "e", 0, 5))

        assert {name for name, _ in https_archive.asked} == {"a/x.tif"}

    def test_a_server_without_ranges_is_refused_before_the_file_is_sent(self, uri, https_archive):
        https_archive.fault = lambda handler: (
            handler.answer(200, {"ETag": '"1"'}, b"x" * 100, length=1 << 40) or True
        )

        assert "whole files and no ranges" in refusal(lambda: storage.status(uri))

    @pytest.mark.parametrize("where", ["bytes 5-14/10240", "bytes 0-8/10240", "bytes */10240", "x"])
    def test_another_range_than_the_requested_one_is_refused(self, uri, https_archive, where):
        https_archive.fault = lambda handler: (
            handler.answer(206, {"ETag": '"1"', "Content-Range": where}, b"0123456789") or True
        )

        assert "instead of those from 0" in refusal(
            lambda: https_objects.get_range(uri, "1", 0, 10)
        )

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refusal_names_its_possible_causes(self, uri, https_archive, status):
        https_archive.fault = lambda handler: handler.answer(status, {}, b"no") or True

        assert f"missing or may not be read (HTTP {status})" in refusal(lambda: storage.etag(uri))
        assert not storage.is_readable(uri)

    def test_another_status_is_a_refusal(self, uri, https_archive):
        https_archive.fault = lambda handler: handler.answer(405, {}, b"") or True

        assert "HTTP 405; copy" in refusal(lambda: storage.etag(uri))

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_that_is_busy_is_asked_again(self, uri, https_archive, status):
        failures = iter([True, True, False])
        https_archive.fault = lambda handler: (
            next(failures, False) and not handler.answer(status, {}, b"busy")
        )

        assert storage.read_bytes(uri) == CONTENT
        https_archive.fault = lambda handler: not handler.answer(status, {}, b"busy")
        with pytest.raises(TransientError, match=f"{status} error responses"):
            storage.read_bytes(uri)

    def test_a_transfer_that_breaks_off_is_repeated(self, uri, https_archive):
        def break_off(handler):
            handler.close_connection = True
            where = {"ETag": https_archive.etags["a/x.tif"], "Content-Range": "bytes 0-99/10240"}
            handler.answer(206, where, CONTENT[:50], length=100)
            return True

        etag, failures = storage.etag(uri), iter([True, True, False])
        https_archive.fault = lambda handler: next(failures, False) and break_off(handler)
        assert https_objects.get_range(uri, etag, 0, 100) == CONTENT[:100]

        https_archive.fault = break_off
        with pytest.raises(TransientError, match="cannot be read"):
            https_objects.get_range(uri, etag, 0, 100)

    def test_a_transfer_that_is_too_slow_is_not_awaited(self, uri, monkeypatch):
        etag = storage.etag(uri)
        monkeypatch.setattr(https_client, "_MIN_SECONDS", -1000)

        with pytest.raises(TransientError, match="less than 64 KiB per second"):
            https_objects.get_range(uri, etag, 0, 10)

    def test_a_server_that_is_gone_may_come_back(self, https_archive):
        uri = https_archive.address("x").replace(str(https_archive.port), "1")

        with pytest.raises(TransientError, match="did not answer"):
            storage.status(uri)

    def test_a_host_that_does_not_exist(self, monkeypatch):
        monkeypatch.setattr("urllib3.util.connection.socket.getaddrinfo", unknown_name)

        assert "does not exist" in refusal(lambda: storage.status("https://swath.invalid/x"))

    def test_a_certificate_is_verified(self, uri, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        https_client.forget_connections()

        assert "set SSL_CERT_FILE" in refusal(lambda: storage.status(uri))

    def test_the_name_in_a_certificate_is_verified(self, https_archive):
        uri = https_archive.put("x", CONTENT).replace("localhost", "127.0.0.1")

        assert "certificate" in refusal(lambda: storage.status(uri))
        assert not https_archive.requests

    def test_a_proxy_of_the_environment_is_used(self, uri, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(TransientError, match="proxy"):
            storage.status(uri)

        monkeypatch.setenv("NO_PROXY", "localhost")
        assert storage.status(uri)


def unknown_name(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    "write",
    [
        lambda uri: storage.write_bytes(uri, b""),
        lambda uri: storage.write_if_unchanged(uri, b"", None),
        lambda uri: storage.copy(__file__, uri),
        lambda uri: storage.read_end(uri, 8),
        storage.modified,
    ],
)
def test_what_is_not_for_https_is_refused_without_a_request(uri, https_archive, write):
    with pytest.raises(InputError, match="https address, which cannot"):
        write(uri)

    assert not https_archive.requests
