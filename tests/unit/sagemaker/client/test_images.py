"""Tests of images sent to endpoints of every kind, which a real container answers."""

import threading

import numpy as np
import pytest

from swath.errors import InputError, SettingsError, SwathError, TransientError
from swath.sagemaker.client import images
from swath.sagemaker.client.images import (
    MAX_REQUEST_BYTES,
    ImageEndpoint,
    describe_endpoint,
    invoke_images,
)
from tests.helpers.serving import bright, encoded, seen

pytestmark = pytest.mark.enable_socket


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(images, "_INITIAL_WAIT_SECONDS", 0)
    monkeypatch.setattr(images, "_MIN_POLL_SECONDS", 0.001)


def ask(name, *paths, max_concurrent=4):
    return dict(invoke_images(describe_endpoint(name), paths, max_concurrent=max_concurrent))


def test_what_an_endpoint_is(endpoints):
    endpoints.bucket = "s3://work"

    assert describe_endpoint("now") == ImageEndpoint("now", "real-time")
    assert describe_endpoint("serverless") == ImageEndpoint("serverless", "serverless")
    assert describe_endpoint("later") == ImageEndpoint(
        "later", "asynchronous", "s3://work/invocations"
    )
    with pytest.raises(SettingsError, match="there is no endpoint 'nothing'"):
        describe_endpoint("nothing")


@pytest.mark.parametrize("driver", ["PNG", "GTiff", "NPY"])
def test_an_image_is_answered(endpoints, make_image, driver):
    path, pixels = make_image(1, driver)

    assert seen(ask("now", path)[path]) == bright(pixels)


def test_many_images_each_with_its_own_answer_and_no_more_at_once_than_wanted(
    endpoints, make_image
):
    made = dict(make_image(number) for number in range(20))

    answers = ask("serverless", *made, max_concurrent=3)

    assert {path: seen(answer) for path, answer in answers.items()} == {
        path: bright(pixels) for path, pixels in made.items()
    }
    assert 1 <= endpoints.most <= 3


def test_an_image_that_is_refused_does_not_stop_the_others(endpoints, make_image, tmp_path):
    good, pixels = make_image(1)
    bad, absent = tmp_path / "bad.png", tmp_path / "absent.png"
    bad.write_bytes(b"hello")

    answers = ask("now", good, bad, absent)

    assert seen(answers[good]) == bright(pixels)
    assert isinstance(answers[bad], InputError)
    assert "is not a GeoTIFF" in str(answers[bad])
    assert "there is no image at" in str(answers[absent])


def test_a_busy_endpoint_is_asked_again(endpoints, make_image):
    path, pixels = make_image(1)
    endpoints.refusals += [
        (429, "ModelNotReadyException"),
        (429, "ThrottlingException"),
        (503, "ServiceUnavailable"),
    ]

    assert seen(ask("serverless", path)[path]) == bright(pixels)
    assert endpoints.asked == 4


def test_patience_has_an_end(endpoints, make_image):
    path, _ = make_image(1)
    endpoints.refusals += [(503, "ServiceUnavailable")] * images._MAX_ATTEMPTS

    assert isinstance(ask("now", path)[path], TransientError)
    assert endpoints.asked == images._MAX_ATTEMPTS


def test_a_model_that_fails_is_not_asked_again(endpoints, tmp_path):

    path = tmp_path / "x.tif"
    path.write_bytes(encoded(np.full((1, 9, 9), -1, np.int16), "GTiff"))

    error = ask("now", path)[path]

    assert type(error) is SwathError
    assert "ModelOutputError" in str(error)
    assert endpoints.asked == 1


def test_an_asynchronous_endpoint_answers_in_s3(endpoints, make_image, http_bucket, tmp_path):
    endpoints.bucket = http_bucket
    made = dict(make_image(number) for number in range(3))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"hello")

    answers = ask("later", *made, bad)

    for path, pixels in made.items():
        assert seen(answers[path]) == bright(pixels)
    assert isinstance(answers[bad], InputError)
    assert "is not a GeoTIFF" in str(answers[bad])
    assert endpoints.asked == 4


@pytest.mark.parametrize("kind", MAX_REQUEST_BYTES)
def test_what_is_too_large_is_told_before_it_is_sent(kind, tmp_path):
    path = tmp_path / "x.tif"
    with path.open("wb") as file:
        file.truncate(MAX_REQUEST_BYTES[kind])
    ImageEndpoint("x", kind).check(path)
    with path.open("ab") as file:
        file.write(b"1")

    with pytest.raises(
        InputError, match=rf"a {kind} endpoint takes {MAX_REQUEST_BYTES[kind]} at most; \w"
    ):
        ImageEndpoint("x", kind).check(path)


def test_who_stops_waiting_stops_asking(endpoints, make_image, http_bucket, monkeypatch):
    """Check that no request continues after the caller stops, as by Ctrl-C."""
    endpoints.bucket = http_bucket
    first, _ = make_image(1)
    second, _ = make_image(2)
    monkeypatch.setattr(images, "_read_output", lambda *_: None)
    monkeypatch.setattr(images, "_MIN_POLL_SECONDS", 3600)
    monkeypatch.setattr(images, "as_completed", lambda _: iter(()))

    assert ask("later", first, second, max_concurrent=1) == {}
    assert not [t for t in threading.enumerate() if t.name.startswith("images")]
