import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from swath.cli import EXIT_FAILED, EXIT_INPUT, app
from swath.sagemaker.client import images
from tests.helpers.serving import bright, encoded, seen

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def invoke(endpoints, monkeypatch):
    monkeypatch.setattr(images, "_INITIAL_WAIT_SECONDS", 0)
    monkeypatch.setattr(images, "_MIN_POLL_SECONDS", 0.001)
    return lambda *arguments: CliRunner().invoke(app, ["invoke", *map(str, arguments)])


def test_one_image_to_standard_output(invoke, make_image):
    path, pixels = make_image(1, "GTiff")

    result = invoke(path, "--endpoint", "now")

    assert result.exit_code == 0
    assert result.stdout.endswith("}\n")
    assert seen(result.stdout.encode()) == bright(pixels)


def test_what_is_odd_about_an_image_is_said(invoke, make_image):
    path, pixels = make_image(1, "GTiff")
    with rasterio.open(path, "r+") as image:
        image.scales = [0.5] * image.count

    result = invoke(path, "--endpoint", "now")

    assert result.exit_code == 0
    assert seen(result.stdout.encode()) == bright(pixels)
    assert result.stderr.startswith(f"warning: {path}: the image states a unit (gray: scale 0.5")


def test_many_images_to_files(invoke, make_image, tmp_path, monkeypatch):
    made = dict(make_image(number) for number in range(5))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert invoke(*made, "--endpoint", "serverless").exit_code == 0
    assert invoke(*made, "--endpoint", "now", "--out", tmp_path / "there").exit_code == 0

    for path, pixels in made.items():
        for folder in ("here", "there"):
            answer = tmp_path / folder / f"{path.stem}.geojson"
            assert seen(answer.read_bytes()) == bright(pixels)


def test_an_asynchronous_endpoint(invoke, make_image, endpoints, http_bucket, tmp_path):
    endpoints.bucket = http_bucket
    path, pixels = make_image(1)

    result = invoke(path, "--endpoint", "later", "--async", "--out", tmp_path / "out")

    assert result.exit_code == 0
    assert seen((tmp_path / "out" / "image1.geojson").read_bytes()) == bright(pixels)


def test_what_fails_is_told_and_the_rest_is_answered(invoke, make_image, tmp_path):
    good, _ = make_image(1)
    bad, ours = tmp_path / "bad.png", tmp_path / "ours.tif"
    bad.write_bytes(b"hello")
    ours.write_bytes(encoded(np.full((1, 9, 9), -1, np.int16), "GTiff"))

    refused = invoke(good, bad, "--endpoint", "now", "--out", tmp_path / "out")
    failed = invoke(good, ours, bad, "--endpoint", "now", "--out", tmp_path / "out")

    assert refused.exit_code == EXIT_INPUT
    assert refused.stderr.startswith(f"error: {bad}: the endpoint 'now' answered 400: SceneError:")
    assert len(refused.stderr.splitlines()) == 1
    assert (tmp_path / "out" / "image1.geojson").is_file()
    assert failed.exit_code == EXIT_FAILED
    assert len(failed.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--endpoint", "nothing"], "there is no endpoint 'nothing'"),
        (["--endpoint", "later"], "'later' is asynchronous: add --async"),
        (["--endpoint", "now", "--async"], "'now' is real-time: omit --async"),
    ],
)
def test_the_endpoint_must_be_there_and_of_that_kind(invoke, make_image, arguments, told):
    result = invoke(make_image(1)[0], *arguments)

    assert result.exit_code == EXIT_INPUT
    assert told in result.stderr


def test_nothing_is_sent_if_an_image_cannot_be(invoke, make_image, endpoints, tmp_path):
    good, _ = make_image(1)
    large = tmp_path / "large.tif"
    with large.open("wb") as file:
        file.truncate(4_000_001)

    result = invoke(good, large, "--endpoint", "serverless", "--out", tmp_path / "out")

    assert result.exit_code == EXIT_INPUT
    assert "a serverless endpoint takes 4000000 at most; invoke a real-time" in result.stderr
    assert endpoints.asked == 0


def test_two_answers_do_not_share_a_file(invoke, make_image, tmp_path):
    one, _ = make_image(1, name="x.png")
    other, _ = make_image(2, "GTiff", name="x.tif")

    result = invoke(one, other, "--endpoint", "now", "--out", tmp_path / "out")

    assert result.exit_code == EXIT_INPUT
    assert "x.geojson" in result.stderr
