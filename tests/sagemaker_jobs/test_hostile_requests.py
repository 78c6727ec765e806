"""Requests that nobody should send: the container lives, and says whose fault they are."""

import io
import json
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.errors.provoke import services
from tests.fuzzing import draws
from tests.packages import write_package
from tests.serving import bright, dots, encoded, seen, serving

SEED = 20261128
ASKED = draws(60, fuzz=1000)
LARGEST = 1 << 20
"""Bytes of a body, here."""
SECONDS = 2
"""For a body to arrive in, here."""


@pytest.fixture(scope="module")
def hostile_server(tmp_path_factory):
    """A container whose S3 refuses everything, and which waits for bodies for a short time only."""
    folder = write_package(tmp_path_factory.mktemp("model"))
    with services() as known, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"{known['aws']}/AccessDenied")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        limits = {"max_body_bytes": LARGEST, "body_seconds": SECONDS}
        with serving(folder, **limits) as server:
            yield server


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


def a_request(rng):
    """The headers and the body of a request."""
    kind = rng.choice(["header", "image", "shard", "type", "large"])
    if kind == "header":
        return {"content-type": rng.choice(["application/x-npy", "image/png"])}, a_header(rng)
    if kind == "image":
        return {"content-type": "application/octet-stream"}, an_image(rng)
    if kind == "shard":
        return {"content-type": "application/json"}, a_shard(rng)
    if kind == "large":
        return {"content-type": "image/tiff"}, b"II*\0" + bytes(LARGEST + rng.randrange(9999))
    odd = rng.choice(["", "text/html", "a" * 5000, "image/png;" * 99, "application/json; \xff"])
    accept = rng.choice(["", "text/html", "*/*;q=x", "," * 999, "application/json;q=9"])
    return {"content-type": odd.encode("latin-1"), "accept": accept}, an_image(rng)


def a_raw_request(rng):
    """Bytes that are no request, or one that lies about its body."""
    start = "POST /invocations HTTP/1.1\r\nHost: a\r\n"
    return rng.choice([
        b"\0" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", rng.randbytes(300),
        b"\x16\x03\x01" + rng.randbytes(90), b"GET /ping HTTP/1.1\r\n" + b"a" * 200_000,
        f"{start}Content-Length: -1\r\n\r\n".encode(), f"{start}Content-Length: a\r\n\r\n".encode(),
        f"{start}Content-Length: {'9' * 5000}\r\n\r\n".encode(),
        f"{start}Content-Length: 9\r\nContent-Length: 8\r\n\r\n".encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        f"{start}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".encode(),
        f"DELETE /invocations HTTP/1.1\r\n{'x: y' * 999}\r\n\r\n".encode(),
    ])  # fmt: skip


def status_of(server, data, *, end=True):
    """The status that raw bytes are answered with; None where the connection is just closed."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        except ConnectionError:
            return None
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else None


@pytest.mark.fuzz
def test_no_request_ends_the_container_or_is_taken_for_its_own_fault(hostile_server):
    pixels = dots(1)
    good = encoded(pixels, "NPY")

    def ask(seed):
        rng = random.Random(f"{SEED}-{seed}")
        if rng.random() < 0.2:
            raw = a_raw_request(rng)
            return seed, status_of(hostile_server, raw), raw[:200]
        headers, body = a_request(rng)
        answer = hostile_server.client.post("/invocations", content=body, headers=headers)
        return seed, answer.status_code, answer.text[:300]

    def good_one(_):
        return seen(hostile_server.invoke(good)) == bright(pixels)

    with ThreadPoolExecutor(4) as asking, ThreadPoolExecutor(1) as others:
        alright = others.map(good_one, range(ASKED // 10))
        answers = list(asking.map(ask, range(ASKED)))

    assert [told for told in answers if told[1] is not None and told[1] >= 500] == []
    statuses = Counter(status for _, status, _ in answers)
    assert {400, 413, 415} <= statuses.keys()
    assert all(alright)
    assert hostile_server.process.poll() is None
    assert hostile_server.ping() == 200


def test_a_body_that_does_not_come_is_not_waited_for(hostile_server):
    """Others are answered meanwhile, and the disk that it claimed is free again."""
    start = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/tiff\r\n"
    pixels = dots(2)

    with ThreadPoolExecutor(8) as slow:
        waiting = [
            slow.submit(
                status_of, hostile_server, start + b"Content-Length: 1000\r\n\r\nII*\0", end=False
            )
            for _ in range(8)
        ]
        file = io.BytesIO()
        np.save(file, pixels)
        assert seen(hostile_server.invoke(file.getvalue())) == bright(pixels)
        assert {future.result() for future in waiting} == {408}
