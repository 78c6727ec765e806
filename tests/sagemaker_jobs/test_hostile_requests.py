"""Requests that nobody should send: the container lives, and says whose fault they are."""

import gzip
import io
import json
import logging
import random
import shutil
import socket
import subprocess
import threading
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import numpy as np
import onnx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from onnx import helper, numpy_helper

from tests.errors.provoke import services
from tests.helpers.fuzzing import draws
from tests.helpers.packages import bright_pixels, endless, write_package
from tests.helpers.serving import bright, dots, encoded, seen, serving

logger = logging.getLogger(__name__)

SEED = 20261128
ASKED = draws(60, fuzz=1000)
LARGEST = 1 << 20
"""Bytes of a body, here."""
SECONDS = 2
"""For a head or a body to arrive in, here."""
MOST_PIXELS = 1_000_000
MOST_MEMORY = 400 << 20
"""Bytes that requests may add to what the container has when it is up."""


@pytest.fixture(scope="module")
def hostile_server(tmp_path_factory):
    """A container whose S3 refuses everything, and which waits for bodies for a short time only."""
    folder = write_package(tmp_path_factory.mktemp("model"), weights=unoffended())
    with services() as known, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"{known['aws']}/AccessDenied")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        limits = {
            "max_body_bytes": LARGEST,
            "max_pixels": MOST_PIXELS,
            "head_seconds": SECONDS,
            "body_seconds": SECONDS,
        }
        with serving(folder, **limits) as server:
            yield server


def unoffended():
    """The bright pixels' detector, for which no number is too large or too small.

    What it cannot answer for would be the model's fault, and no request's.
    """
    model = onnx.load_from_string(bright_pixels())
    graph = model.graph
    graph.node[0].input[0] = "clipped"
    graph.node.insert(0, helper.make_node("Clip", ["image", "low", "high"], ["clipped"]))
    for name, value in (("low", 0), ("high", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    return model.SerializeToString()


def read_memory(process, field="VmHWM"):
    """Bytes of memory that a process has had at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def npy(header, data=b"", version=(1, 0)):
    """An NPY file with such a header, whatever it says."""
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + header + data


def a_header(rng):
    shape = rng.choice([
        "(1, 40, 60)", "(-1, 4, 4)", "(1, 999999999, 999999999)", "()", "(0, 0, 0)", "(4,)",
        "(1, 4, 4, 4)", "(1.5, 4, 4)", "'abc'", "(" * 500 + ")" * 500, "(10**400, 1, 1)",
        "(9" * 30, "(True, 4, 4)", "None", "(1, 4, 9223372036854775807)",
    ])  # fmt: skip
    kind = rng.choice(["|u1", "<f4", "|O", "<U4", "V8", "<M8[s]", "bad", "|b1", "<c16", ">f8",
                       "|S99999999999", "[('a','<f4')]"])  # fmt: skip
    order = rng.choice(["False", "True", "2", "__import__('os')"])
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    text = rng.choice([text, text[: rng.randrange(len(text))], text + "\0", text * 2, "{}", ""])
    if rng.random() < 0.1:
        text += " " * rng.choice([9_000, 60_000])
    return npy(
        text.encode() + b"\n", bytes(rng.randrange(64)), rng.choice([(1, 0), (2, 0), (9, 9)])
    )


def an_image(rng):
    """An image with some bytes changed, or cut off."""
    driver = rng.choice(["GTiff", "PNG", "JPEG", "NPY"])
    body = bytearray(encoded(dots(rng.randrange(99)), driver))
    for _ in range(rng.choice([0, 1, 8, 64])):
        # Most of what a file says of itself is at its beginning.
        body[rng.randrange(min(len(body), rng.choice([64, 512, len(body)])))] = rng.randrange(256)
    return bytes(body[: rng.choice([len(body), rng.randrange(len(body))])])


def an_array(rng):
    """A complete NPY file, in one of the formats."""
    pixels = dots(rng.randrange(99))
    array = pixels.astype(rng.choice(["<i2", ">i2", ">f4", "<f8", "<f2", "|b1", "<c8", "<u8"]))
    array = rng.choice([array, np.asfortranarray(array), array[0], array[None], array[:, :0]])
    if rng.random() < 0.2:
        array = np.zeros((rng.choice([3, 200, 100_000]), 2, 2), np.uint8)
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=rng.choice([(1, 0), (2, 0), (3, 0)]))
    return file.getvalue()


def a_bomb(rng):
    """An image that claims many pixels or bands, in a few bytes."""
    side = rng.choice([1_001, 30_000, 2**31 - 1, 2**32 - 1])
    kind = rng.choice(["PNG", "JPEG", "GTiff", "bands"])
    if kind == "PNG":
        color = rng.choice([0, 2, 3, 6])

        def chunk(name, content):
            body = name + content
            return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

        head = side.to_bytes(4, "big") * 2 + bytes([8, color, 0, 0, rng.choice([0, 1])])
        data = zlib.compress(bytes(900_000))
        palette = chunk(b"PLTE", bytes(3)) if color == 3 else b""
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            (chunk(b"IHDR", head), palette, chunk(b"IDAT", data), chunk(b"IEND", b""))
        )
    if kind == "JPEG":
        body = bytearray(encoded(dots(1), "JPEG"))
        start = body.index(b"\xff\xc0") + 5
        body[start : start + 4] = b"\xff\xff\xff\xff"
        return bytes(body)
    profile = {"SPARSE_OK": "TRUE", "compress": "deflate"}
    if kind == "bands":
        return encoded(np.zeros((rng.choice([2, 5, 300]), 8, 8), np.uint8), "GTiff", **profile)
    body = bytearray(encoded(np.zeros((1, 16, 16), np.uint8), "GTiff", **profile))
    for tag in (256, 257):  # width, length
        start = body.index(tag.to_bytes(2, "little") + b"\x03\0") + 2
        body[start : start + 10] = b"\x04\0\x01\0\0\0" + side.to_bytes(4, "little")
    return bytes(body)


def a_shard(rng):
    uri = rng.choice([
        "", "/", ".", "s3://", "s3:///a", "s3://b", "s3://b/runs/a/plan.json", "s3://B!/runs/a/b",
        "/etc/passwd", "/etc", "/proc/self/mem", "/dev/null", "file:///etc/passwd", "https://a/b",
        "/vsicurl/http://a/runs/b/plan.json", "/var/runs/../runs//plan.json", "a\0b", "\ud800",
        "/" + "n" * 300, "s3://b/" + "k" * 2000, "/var/runs/" + "n" * 300 + "/plan.json", "\n",
        "s3://b/runs/a/b/plan.json", "/nowhere/runs/a/plan.json", "/etc/passwd/runs/a/plan.json",
    ])  # fmt: skip
    whole = {"plan_uri": uri, "index": rng.choice([0, -1, 10**9, 2**70])}
    text = json.dumps(whole)
    return rng.choice([
        text, text, text, text[:-3], json.dumps([whole]), json.dumps(whole | {"more": 1}),
        json.dumps(whole | {"index": "0"}), json.dumps({"plan_uri": 3, "index": 0}), "null", "NaN",
        "[" * 60_000, '{"a":' * 9_000, "", "\ufeff" + text, "9" * 5_000, '"\\ud800"',
    ]).encode(errors="surrogatepass")  # fmt: skip


def odd_types(rng):
    """Headers of another type than the body's, or of none that there is."""
    odd = rng.choice(["", "text/html", "a" * 5000, "image/png;" * 99, "application/json; \xff"])
    accept = rng.choice(["", "text/html", "*/*;q=x", "," * 999, "application/json;q=9"])
    return {"content-type": odd.encode("latin-1"), "accept": accept}


def too_large(rng):
    return b"II*\0" + bytes(LARGEST + rng.randrange(9999))


KINDS = (
    (lambda rng: {"content-type": rng.choice(["application/x-npy", "image/png"])}, a_header),
    (lambda _: {"content-type": "application/octet-stream"}, an_image),
    (lambda _: {"content-type": "application/json"}, a_shard),
    (lambda _: {"content-type": "image/tiff"}, too_large),
    (lambda _: {}, an_array),
    (lambda _: {}, a_bomb),
    (lambda rng: {"content-encoding": rng.choice(["gzip", "br", "x"])},
     lambda rng: gzip.compress(an_image(rng))),
    (odd_types, an_image),
)  # fmt: skip


def a_request(rng):
    """The headers and the body of a request."""
    headers, body = rng.choice(KINDS)
    return headers(rng), body(rng)


def a_raw_request(rng):
    """Bytes that are no request, or one that lies about its body."""
    start = "POST /invocations HTTP/1.1\r\nHost: a\r\n"
    method = rng.choice(["GET", "PUT", "HEAD", "TRACE", "OPTIONS", "CONNECT", "BREW", "post"])
    path = rng.choice([
        "/invocations", "/", "*", "//", "/invocations/..", "/%00", "/\xe9", "/" + "a" * 90_000,
        "http://b/ping", "/ping?a=%", "b:1", "/endpoints/a/invocations",
    ])  # fmt: skip
    many = "".join(f"x-{n}: {'y' * 9}\r\n" for n in range(rng.choice([50, 9_000])))
    return rng.choice([
        f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"),
        f"POST {path} HTTP/1.0\r\nContent-Length: 2\r\n\r\nII".encode("latin-1"),
        f"{start}{many}Content-Length: 0\r\n\r\n".encode(), f"{start}x: {'y' * 99_000}".encode(),
        f"{start}Content-Type: a\r\nContent-Type: b\r\nContent-Length: 1\r\n\r\na".encode(),
        f"{start}Content-Length: 10\r\n\r\nII*".encode(), start.encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\n3\r\nII*\r\n0\r\n{many}\r\n".encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\n3;{'a' * 300_000}".encode(),
        f"{start}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n".encode(),
        f"{start}Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nII*".encode(),
        f"{start}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode(),
        b"\0" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", rng.randbytes(300),
        b"\x16\x03\x01" + rng.randbytes(90), b"GET /ping HTTP/1.1\r\n" + b"a" * 200_000,
        f"{start}Content-Length: -1\r\n\r\n".encode(), f"{start}Content-Length: a\r\n\r\n".encode(),
        f"{start}Content-Length: {'9' * 5000}\r\n\r\n".encode(),
        f"{start}Content-Length: 9\r\nContent-Length: 8\r\n\r\n".encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".encode(),
        f"DELETE /invocations HTTP/1.1\r\n{'x: y' * 999}\r\n\r\n".encode(),
    ])  # fmt: skip


def send(server, data):
    """The status that raw bytes are answered with; None where the connection is just closed."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(data)
        answer = connection.recv(4096)
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else None


@pytest.mark.fuzz
def test_no_request_ends_the_container_or_is_taken_for_its_own_fault(hostile_server):
    """Check that each is answered within little memory, and that others are answered as usual."""
    pixels = dots(1)
    good = encoded(pixels, "NPY")
    before = read_memory(hostile_server.process)
    over = threading.Event()

    def ask(seed):
        rng = random.Random(f"{SEED}-{seed}")
        if rng.random() < 0.3:
            raw = a_raw_request(rng)
            return seed, send(hostile_server, raw), raw[:200]
        headers, body = a_request(rng)
        if rng.random() < 0.1:
            body = iter([body[:9], body[9:]])  # in chunks
        answer = hostile_server.client.post("/invocations", content=body, headers=headers)
        return seed, answer.status_code, answer.text[:300]

    def ask_well():
        right = 0
        while not over.is_set():
            assert seen(hostile_server.invoke(good)) == bright(pixels)
            right += 1
        return right

    with ThreadPoolExecutor(8) as asking, ThreadPoolExecutor(1) as others:
        ordinary = others.submit(ask_well)
        try:
            answers = list(asking.map(ask, range(ASKED)))
        finally:
            over.set()

    assert [told for told in answers if not told[1] or told[1] >= 500] == []
    statuses = Counter(status for _, status, _ in answers)
    assert {200, 400, 413, 415} <= statuses.keys()
    assert ordinary.result() > 0
    assert hostile_server.process.poll() is None
    assert hostile_server.ping() == 200
    added = read_memory(hostile_server.process) - before
    logger.info(
        "%s; %d others right; %d MiB and %d more",
        sorted(statuses.items()), ordinary.result(), before >> 20, added >> 20,
    )  # fmt: skip
    assert added < MOST_MEMORY


def test_a_head_or_body_that_does_not_come_is_not_waited_for(hostile_server):
    """Others are answered meanwhile, and the disk that a body claimed is free again."""
    start = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/tiff\r\n"
    body = start + b"Content-Length: 1000\r\n\r\nII*\0"
    pixels = dots(2)

    with ThreadPoolExecutor(8) as slow:
        waiting = [slow.submit(send, hostile_server, sent) for sent in [start, body] * 4]
        assert seen(hostile_server.invoke(encoded(pixels, "NPY"))) == bright(pixels)
        assert {future.result() for future in waiting} == {408}


@pytest.mark.parametrize("end", [f"x: {'y' * 600_000}", "x: y\r\n" * 40_000, "X" * 600_000])
@pytest.mark.parametrize("before", ["", "Transfer-Encoding: chunked\r\n\r\n0\r\n"])
def test_headers_are_not_taken_without_end(hostile_server, end, before):
    """One or many of them, in front of a body or behind it."""
    assert send(hostile_server, f"POST / HTTP/1.1\r\n{before}{end}".encode()) in {404, 431}


def test_an_image_without_a_response_of_the_model_times_out(tmp_path, monkeypatch):
    """It is the model's fault; others are answered meanwhile and afterwards."""
    monkeypatch.setenv("SWATH_MODEL_SECONDS", "3")
    package = write_package(tmp_path / "endless", weights=endless(above=0.995))
    pixels = dots(3)
    good = encoded(pixels, "NPY")

    with serving(package) as server, ThreadPoolExecutor(1) as asking:
        stuck = asking.submit(server.invoke, encoded(np.full_like(pixels, 100), "NPY"))
        assert seen(server.invoke(good)) == bright(pixels)
        told = stuck.result()
        assert (told.status_code, told.json()["error"]) == (500, "ModelTimeoutError")
        assert "has not answered in 3 s" in told.json()["message"]
        assert seen(server.invoke(good)) == bright(pixels)


# Clients get the reason for a refused body, with every method of sending it.

TOO_MUCH = bytes(30 * LARGEST)


def by_socket(server, *headers):
    """Send the whole body, and read until the other side has ended."""
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: {len(TOO_MUCH)}\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("".join([head, *headers, "\r\n"]).encode() + TOO_MUCH)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def by_httpx(server):
    with httpx.Client(base_url=server.url, timeout=60) as client:
        answer = client.post("/invocations", content=TOO_MUCH, headers={"connection": "close"})
    return f"{answer.status_code} {answer.text}"


def by_curl(server):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    url, header = f"{server.url}/invocations", "Content-Type: image/tiff"
    command = ["curl", "-sS", "-i", "-H", header, "--data-binary", "@-", url]
    done = subprocess.run(command, input=TOO_MUCH, capture_output=True, check=True, timeout=60)
    assert b"100 Continue" not in done.stdout  # it asked first, and sent nothing
    return done.stdout.decode()


@pytest.mark.parametrize(
    "send",
    [by_socket, lambda server: by_socket(server, "Connection: close\r\n"), by_httpx, by_curl],
)
def test_why_a_body_is_refused_arrives(hostile_server, send):
    for _ in range(4):
        told = send(hostile_server)
        assert "413" in told
        assert "TooLargeError" in told


def test_the_sdk_hears_that_a_body_is_refused(hostile_server):
    """It is answered 404, since it asks at AWS's path: before anything of the body was read."""
    config = Config(retries={"total_max_attempts": 1})
    sdk = boto3.client("sagemaker-runtime", endpoint_url=hostile_server.url, config=config)

    for _ in range(4):
        with pytest.raises(ClientError, match="404"):
            sdk.invoke_endpoint(EndpointName="a", Body=TOO_MUCH)
