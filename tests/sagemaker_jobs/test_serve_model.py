"""The serving container over HTTP: as a process of its own, and held up where a test needs it."""

import asyncio
import json
import random
import signal
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from sagemaker_jobs.serve_model.__main__ import main
from sagemaker_jobs.serve_model.app import ServerState, create_app
from swath.errors import ModelOutputError, PackageError, TransientError
from swath.errors.exit_codes import JobExit
from swath.messages import Receipt, ShardRequest
from swath.models.packing import package_digest
from swath.pipeline.local import run_local
from swath.pipeline.paths import RunPaths
from swath.pipeline.shard import run_shard
from swath.sagemaker.server.models import ContainerModels
from swath.sagemaker.server.service import Service
from swath.sagemaker.server.settings import ServeSettings
from tests.helpers.packages import write_package
from tests.helpers.runs import receipt_of
from tests.helpers.serving import PLACED, bright, decoded, dots, encoded, seen, serving

pytestmark = pytest.mark.enable_socket

TIMEOUT_SECONDS = 240
TYPES = {
    "GTiff": "image/tiff",
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "NPY": "application/x-npy",
}


@pytest.fixture(autouse=True)
def still_there(request):
    """Check after each test of the shared container that it still answers."""
    yield
    if "container" in request.fixturenames:
        assert request.getfixturevalue("container").ping() == 200


# Every kind of request


@pytest.mark.parametrize("driver", TYPES)
@pytest.mark.parametrize("said", [True, False])
def test_an_image_gets_the_detections_of_the_model(container, driver, said):
    body = encoded(dots(1), driver, **({"quality": 100} if driver == "JPEG" else {}))
    pixels = dots(1) if driver == "NPY" else decoded(body)

    response = container.invoke(body, TYPES[driver] if said else "application/octet-stream")

    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/geo+json"
    assert seen(response) == bright(pixels)
    assert response.json()["crs"] is None
    assert response.json()["tiles"]["failed"] == 0


def test_a_georeferenced_image_gets_longitude_and_latitude(container, tmp_path):
    (tmp_path / "x.tif").write_bytes(body := encoded(dots(2), "GTiff", **PLACED))
    run_local(str(tmp_path / "x.tif"), str(write_package(tmp_path / "model")), tmp_path / "out")

    response = container.invoke(body, "image/tiff").json()

    rows = pq.read_table(tmp_path / "out" / "detections.parquet").to_pylist()
    assert "crs" not in response
    assert len(rows) == len(response["features"]) > 0
    rows.sort(key=lambda row: (row["x_min"], row["y_min"]))
    features = sorted(
        response["features"],
        key=lambda one: (one["properties"]["x_min"], one["properties"]["y_min"]),
    )
    for feature, row in zip(features, rows, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.equals_exact(shapely.from_wkb(row["geometry"]), 0)


def test_json_is_returned_if_it_is_accepted(container):
    response = container.invoke(encoded(dots(3), "PNG"), "image/png", accept="application/json")

    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert (answer["width"], answer["height"]) == (60, 40)
    assert answer["model"]["name"] == "bright"
    found = sorted((*one["box"][:2], one["score"]) for one in answer["detections"])
    assert found == bright(dots(3))


def test_an_image_smaller_than_a_tile_and_one_of_many_tiles(container):
    for pixels in (dots(4, width=3, height=5), dots(5, width=700, height=400, count=500)):
        assert seen(container.invoke(encoded(pixels, "PNG"))) == bright(pixels)


def test_a_shard_is_run_as_anywhere_else(container, make_plan, make_scene):
    scene = make_scene(dots(6, width=100, dtype=np.int16))
    here, there = make_plan(scene), make_plan(scene, work=f"{scene}-work")
    asked = ShardRequest(plan_uri=there, index=0, task_token="t")

    response = container.invoke(json.dumps(asked.to_json()), "application/json")

    assert response.status_code == 200, response.text
    receipt, expected = Receipt.from_json(response.json()), run_shard(here, 0)
    assert receipt == receipt_of(there, 0)
    assert (receipt.tiles, receipt.detections) == (expected.tiles, expected.detections)
    tables = [pq.read_table(RunPaths.from_plan_uri(uri).shard(0)) for uri in (here, there)]
    assert tables[0].equals(tables[1])


def test_a_shard_of_the_containers_model_needs_no_other_copy(
    container, make_plan, make_scene, tmp_path
):
    """The package that the plan names is gone; the container has the same, by its digest."""
    folder = tmp_path / "same"
    model = Path(container.folder)
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    plan = make_plan(make_scene(dots(7, dtype=np.int16)), model=folder)
    for file in folder.iterdir():
        file.unlink()

    response = container.invoke(json.dumps({"plan_uri": plan, "index": 0}), "application/json")

    assert package_digest(model) == json.loads(Path(plan).read_text())["model"]["digest"]
    assert Receipt.from_json(response.json()).tiles.failed == 0


def test_a_shard_that_cannot_be_run_is_refused_by_its_receipt(container, make_plan, make_scene):
    scene = make_scene(dots(8, dtype=np.int16))
    plan = make_plan(scene)
    Path(scene).unlink()

    response = container.invoke(json.dumps({"plan_uri": plan, "index": 0}), "application/json")

    assert response.status_code == 200
    receipt = Receipt.from_json(response.json())
    assert receipt.tiles.failed == receipt.tiles.planned > 0
    assert "no scene at" in receipt.failures[0].cause
    assert receipt_of(plan, 0) == receipt


def test_batch_transform_gets_its_settings(container):
    response = container.client.get("/execution-parameters").json()

    assert response["BatchStrategy"] == "SINGLE_RECORD"
    assert response["MaxConcurrentTransforms"] * response["MaxPayloadInMB"] <= 100


# Every error


def bomb():
    """A PNG of 60,000 x 60,000 px in a few bytes."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    side = (60_000).to_bytes(4, "big")
    rows = zlib.compress(b"\0" * 1_000_000)
    head = chunk(b"IHDR", side + side + bytes([8, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def npy_bomb():
    """An NPY that claims a terabyte."""
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1048576, 1048576), }"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64


def whole(driver):
    profile = {"compress": "deflate"} if driver == "GTiff" else {}
    noise = np.random.default_rng(0).integers(0, 99, (1, 200, 300)).astype(np.uint8)
    return encoded(noise, driver, **profile)


TRUNCATED = {driver: whole(driver)[: len(whole(driver)) // 2] for driver in TYPES}
REFUSED = {
    "nothing": (b"", "image/png", 400, "SceneError", "is empty"),
    "no image": (b"hello", "image/png", 400, "SceneError", "is not a GeoTIFF"),
    "another type": (encoded(dots(1), "PNG"), "image/jpeg", 400, "SceneError", "but the image is"),
    "text": (b"hello", "text/plain", 415, "UnknownTypeError", "text/plain"),
    "too many bands": (
        encoded(np.zeros((3, 9, 9), np.uint8), "GTiff"),
        "image/tiff",
        400,
        "SceneError",
        "the image has 3 bands without names; the model expects gray",
    ),
    "complex pixels": (
        encoded(np.zeros((1, 9, 9), np.complex64), "GTiff"),
        "image/tiff",
        400,
        "SceneError",
        "complex",
    ),
    "a PNG bomb": (bomb(), "image/png", 413, "TooLargeError", "60000 x 60000 px"),
    "an NPY bomb": (npy_bomb(), "application/x-npy", 400, "SceneError", "NPY"),
    "a body too large": (b"\0" * 3_000_001, "image/tiff", 413, "TooLargeError", "3000000 bytes"),
    "too many pixels": (
        encoded(np.zeros((1, 1100, 1000), np.uint8), "PNG"),
        "image/png",
        413,
        "TooLargeError",
        "1000 x 1100 px; this endpoint takes 1000000 px at most",
    ),
    "no JSON": (b"{", "application/json", 400, "PayloadError", "not JSON"),
    "no shard": (b"{}", "application/json", 400, "PayloadError", "plan_uri"),
    "another field": (
        b'{"plan_uri": "x", "index": 0, "y": 1}',
        "application/json",
        400,
        "PayloadError",
        "y",
    ),
    "no plan": (
        b'{"plan_uri": "/none/runs/1/plan.json", "index": 0}',
        "application/json",
        400,
        "PayloadError",
        "there is no plan at /none",
    ),
    "much JSON": (b" " * 70_000, "application/json", 413, "TooLargeError", "65536"),
    "a pixel that the model cannot take": (
        encoded(np.full((1, 9, 9), -1, np.int16), "GTiff"),
        "image/tiff",
        500,
        "ModelOutputError",
        "NaN",
    ),
} | {
    f"a truncated {driver}": (body, TYPES[driver], 400, "SceneError", "the image")
    for driver, body in TRUNCATED.items()
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A container that takes little."""
    folder = write_package(tmp_path_factory.mktemp("model"))
    with serving(folder, max_body_bytes=3_000_000, max_pixels=1_000_000) as server:
        yield server


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_gets_the_reason(strict, case):
    body, content_type, status, name, message = REFUSED[case]

    response = strict.invoke(body, content_type)

    assert (response.status_code, response.json()["error"]) == (status, name), response.text
    assert message in response.json()["message"]
    assert "swath-request" not in response.json()["message"]
    assert strict.ping() == 200


def test_other_errors_of_a_request(strict, make_plan, make_scene):
    plan = make_plan(make_scene(dots(9, dtype=np.int16)))
    png = encoded(dots(9), "PNG")

    statuses = [
        strict.invoke(png, accept="text/csv").status_code,
        strict.invoke(json.dumps({"plan_uri": plan, "index": 7}), "application/json").status_code,
        strict.client.get("/invocations").status_code,
        strict.client.get("/elsewhere").status_code,
    ]

    assert statuses == [406, 400, 405, 404]
    assert strict.invoke(png).status_code == 200


# Many at once


def test_two_hundred_mixed_requests_at_once(container, make_plan, make_scene):
    """None is lost, and none gets what is another's: each image has its own answer."""
    rng = random.Random(1)
    shards = [make_plan(make_scene(dots(n, dtype=np.int16), name=f"{n}.tif")) for n in range(4)]

    def image(number):
        width, height = rng.randint(1, 40), rng.randint(1, 40)
        pixels = dots(number, width=width, height=height, count=rng.randint(0, 12))
        driver = rng.choice(["GTiff", "PNG", "NPY"])
        return encoded(pixels, driver), TYPES[driver], pixels

    def bad(number):
        return rng.choice([*TRUNCATED.values(), b"nonsense"]), "application/octet-stream", None

    def shard(number):
        body = json.dumps({"plan_uri": shards[number % len(shards)], "index": 0})
        return body, "application/json", "receipt"

    asked = [(bad if n % 9 == 1 else shard if n % 50 == 2 else image)(n) for n in range(200)]
    start = threading.Barrier(len(asked))
    limits = httpx.Limits(max_connections=len(asked), max_keepalive_connections=len(asked))

    with (
        httpx.Client(base_url=container.url, timeout=TIMEOUT_SECONDS, limits=limits) as client,
        ThreadPoolExecutor(len(asked)) as pool,
    ):

        def ask(request):
            body, content_type, _ = request
            start.wait(TIMEOUT_SECONDS)
            headers = {"content-type": content_type}
            return client.post("/invocations", content=body, headers=headers)

        answers = list(pool.map(ask, asked))

    for (_, _, expected), response in zip(asked, answers, strict=True):
        if expected is None:
            assert response.status_code == 400, response.text
            continue
        assert response.status_code == 200, response.text
        if isinstance(expected, str):
            assert Receipt.from_json(response.json()).tiles.failed == 0
        else:
            assert seen(response) == bright(expected)


# Starting and stopping


def test_an_upload_in_progress_gets_its_response_while_the_server_drains(tmp_path):
    pixels = dots(10)
    body = encoded(pixels, "PNG")
    with serving(write_package(tmp_path / "model")) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as sending:
            head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            sending.sendall(f"{head}Connection: close\r\nExpect: 100-continue\r\n\r\n".encode())
            assert b"100 Continue" in sending.recv(1024)  # it is being read
            server.process.send_signal(signal.SIGTERM)
            while server.ping() == 200:
                pass
            assert server.ping() == 503
            refused = server.invoke(body)
            assert (refused.status_code, refused.json()["error"]) == (503, "DrainingError")
            sending.sendall(body)
            answer = b"".join(iter(lambda: sending.recv(65536), b""))
        assert server.process.wait(TIMEOUT_SECONDS) == 0

    assert answer.startswith(b"HTTP/1.1 200 OK")
    response = httpx.Response(200, content=answer.partition(b"\r\n\r\n")[2])
    assert seen(response) == bright(pixels)


def test_a_package_that_cannot_be_served_ends_the_process(tmp_path, caplog):
    env = {"SM_MODEL_DIR": str(tmp_path), "SWATH_SERVE_HOST": "127.0.0.1"}

    assert main(["serve"], env | {"SAGEMAKER_BIND_TO_PORT": "0"}) == JobExit.INPUT

    assert "has no mlm.json" in caplog.text


def test_a_gpu_that_cannot_be_used_ends_the_process(package, monkeypatch, caplog):
    monkeypatch.setenv("SWATH_DEVICE", "cuda")
    env = {"SM_MODEL_DIR": str(package), "SWATH_SERVE_HOST": "127.0.0.1"}

    assert main(["serve"], env | {"SAGEMAKER_BIND_TO_PORT": "0"}) == JobExit.NO_GPU

    assert "SWATH_DEVICE is cuda, but no GPU can be used" in caplog.text


def test_arguments_and_settings_are_checked(capsys, caplog):
    assert main(["train"], {}) == JobExit.USAGE
    assert "SAGEMAKER_BIND_TO_PORT" in capsys.readouterr().err
    assert main([], {"SAGEMAKER_BIND_TO_PORT": "http"}) == JobExit.USAGE
    assert main([], {"SWATH_SERVE_WAITING": "many"}) == JobExit.USAGE
    assert "SAGEMAKER_BIND_TO_PORT is 'http'; expected a number" in caplog.text
    assert "SWATH_SERVE_WAITING is 'many'" in caplog.text
    assert "Traceback" not in caplog.text


# Held up, in this process


class Gated:
    """A model that waits for a gate."""

    batch_size, workers, engine = 1, 1, None

    def __init__(self, model, gate):
        self.model, self.gate = model, gate

    def __call__(self, tiles):
        assert self.gate.wait(TIMEOUT_SECONDS)
        return self.model(tiles)

    def shrink(self):
        return False


@pytest.fixture
def models(tmp_path):
    loaded = ContainerModels.load(write_package(tmp_path / "model"))
    yield loaded
    loaded.own.close()


def call_service(service, settings, ask):
    """Return the result of `ask(client)`, with a container in this process."""
    container = ServerState(settings)
    container.service = service

    async def go():
        transport = httpx.ASGITransport(create_app(container))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await ask(client)

    return asyncio.run(go())


def test_before_the_model_is_there_nothing_is_taken():
    async def ask(client):
        return await client.get("/ping"), await client.post("/invocations", content=b"x")

    ping, response = call_service(None, ServeSettings(), ask)

    assert ping.status_code == 503
    assert (response.status_code, response.json()["error"]) == (503, "DrainingError")


def test_a_request_beyond_the_queue_is_asked_to_retry(models):
    settings = ServeSettings(serve_waiting=2)
    service, gate = Service(models, settings), threading.Event()
    models.own._model = Gated(models.own._model, gate)
    most = service._images._max_pending
    body = encoded(dots(1), "PNG")

    async def ask(client):
        calls = [
            asyncio.ensure_future(client.post("/invocations", content=body))
            for _ in range(most + 3)
        ]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        gate.set()
        return [one.result() for one in done], await asyncio.gather(*waiting)

    refused, answered = call_service(service, settings, ask)
    service.close()

    assert {(one.status_code, one.json()["error"]) for one in refused} == {(429, "BusyError")}
    assert all(1 <= int(one.headers["retry-after"]) <= 60 for one in refused)
    assert len(answered) == most
    assert all(seen(one) == bright(dots(1)) for one in answered)


def test_images_and_pings_get_responses_while_a_shard_runs(models, make_plan, make_scene):
    plan = make_plan(make_scene(dots(1, dtype=np.int16)))
    gate = threading.Event()

    class Others(ContainerModels):
        def load_for(self, _):
            return self.description, Gated(self.own._model, gate)

    held = Others(digest=models.digest, description=models.description, own=models.own)
    settings = ServeSettings(serve_shards=1, serve_waiting_shards=1)
    service = Service(held, settings)
    asked = {"plan_uri": plan, "index": 0}

    async def ask(client):
        shards = [asyncio.ensure_future(client.post("/invocations", json=asked)) for _ in "abc"]
        done, _ = await asyncio.wait(shards, return_when=asyncio.FIRST_COMPLETED)
        body = encoded(dots(1), "PNG")
        images = [await client.post("/invocations", content=body) for _ in range(20)]
        ping = await client.get("/ping")
        unfinished = [one for one in shards if not one.done()]
        gate.set()
        return done, images, ping, unfinished, await asyncio.gather(*shards)

    refused, images, ping, unfinished, shards = call_service(service, settings, ask)
    service.close()

    assert [one.result().status_code for one in refused] == [429]
    assert ping.status_code == 200
    assert all(seen(one) == bright(dots(1)) for one in images)
    assert len(unfinished) == 2
    assert sorted(one.status_code for one in shards) == [200, 200, 429]


def test_a_shard_that_is_stopped_keeps_its_progress(models, make_plan, make_scene):
    plan = make_plan(make_scene(dots(1, width=200, height=200, dtype=np.int16)))
    settings = ServeSettings()
    service = Service(models, settings)

    async def ask(client):
        service._draining.is_set = lambda: len(asked) > 1 or asked.append(1)
        return await client.post("/invocations", json={"plan_uri": plan, "index": 0})

    asked = []
    response = call_service(service, settings, ask)
    service.close()

    assert (response.status_code, response.json()["error"]) == (503, "ShardInterruptedError")
    assert Path(RunPaths.from_plan_uri(plan).partial(0)).is_file()
    assert run_shard(plan, 0).tiles.is_complete


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelOutputError("x"), 500),
        (TransientError("x"), 503),
        (PackageError("x"), 400),
        (ZeroDivisionError("x"), 500),
        (MemoryError("x"), 500),
    ],
)
def test_whose_fault_an_error_is(models, monkeypatch, error, status):
    settings = ServeSettings()
    service = Service(models, settings)

    def fail(*_):
        raise error

    monkeypatch.setattr(service, "_detect", fail)

    async def ask(client):
        return await client.post("/invocations", content=encoded(dots(1), "PNG"))

    response = call_service(service, settings, ask)
    service.close()

    assert response.status_code == status
    assert response.json() == {"error": type(error).__name__, "message": "x"}


def test_the_disk_holds_so_much_and_no_more(models):
    body = encoded(dots(1), "PNG")
    settings = ServeSettings(serve_spool_bytes=len(body))
    service = Service(models, settings)

    async def chunks():
        yield body
        yield b"more"

    async def ask(client):
        return [
            await client.post("/invocations", content=content)
            for content in (body, body + b"more", chunks(), body)
        ]

    response = call_service(service, settings, ask)
    service.close()

    assert [one.status_code for one in response] == [200, 429, 429, 200]
