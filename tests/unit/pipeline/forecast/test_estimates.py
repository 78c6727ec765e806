"""Tests of estimates: ranges are ordered, grow with the work, and never hide an unknown price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.messages import Backend
from swath.messages.deployed_settings import DeployedSettings
from swath.pipeline.forecast.calibration import Calibration
from swath.pipeline.forecast.estimates import Estimator, Range, Workload
from swath.pipeline.forecast.forecast import BACKENDS
from swath.pipeline.forecast.reading_speed import ReadingSpeed
from swath.prices import regional_prices
from swath.raster.reader.read_sizes import ReadSize
from swath.settings import EndpointKind

ALL = DeployedSettings(endpoints=tuple(EndpointKind))
CLOUD = [backend for backend in BACKENDS if backend is not Backend.LOCAL]


def calibration(seconds_per_tile=0.05, *, cpus=2, device="cpu"):
    return Calibration(
        digest="0" * 64,
        machine="here",
        device=device,
        cpus=cpus,
        tiles=64,
        workers=2,
        seconds_per_tile=seconds_per_tile,
        start_seconds=3.0,
        reading={
            "DEFLATE": ReadingSpeed(seconds_per_decoded_byte=2e-9, seconds_per_stored_byte=4e-9)
        },
        scene="x.tif",
        measured_at="2026-11-28T12:00:00+00:00",
    )


def work(shards, tiles=32, **options):
    return Workload(
        tiles=shards * tiles,
        shard_tiles=[tiles] * shards,
        requests=shards * 4,
        plan_seconds=0.5,
        **options,
    )


FILE = ReadSize(
    uri="x.tif",
    file_bytes=1,
    decoded_bytes=20 * 10**9,
    block_bytes=10 * 10**9,
    compression="DEFLATE",
)
"""File that takes 80 s of a CPU to read."""


def estimator(region="us-east-1", measured=None, settings=ALL):
    return Estimator(
        settings=settings,
        calibration=measured or calibration(),
        prices=regional_prices(region),
    )


@pytest.mark.parametrize("backend", BACKENDS)
@given(shards=st.integers(0, 500), tiles=st.integers(1, 4096), seconds=st.floats(0.0001, 10))
def test_ranges_are_ordered(backend, shards, tiles, seconds):
    got = estimator(measured=calibration(seconds)).estimate(backend, work(shards, tiles))

    for one in (got.seconds, got.dollars, *got.parts.values()):
        assert 0 <= one.low <= one.high
    assert got.dollars == sum(got.parts.values(), Range(0.0, 0.0))


@pytest.mark.parametrize("backend", CLOUD)
def test_more_work_takes_and_costs_no_less(backend):
    few, many = (estimator().estimate(backend, work(shards)) for shards in (3, 300))

    assert few.seconds.high < many.seconds.high
    assert few.dollars.high < many.dollars.high


def test_this_machine_takes_as_long_as_it_was_measured():
    got = estimator().estimate(Backend.LOCAL, work(10))

    # The start includes the first round of two tiles.
    assert got.seconds.low == got.seconds.high == pytest.approx(0.5 + 3.0 + 318 * 0.05)
    assert got.dollars.high == 0


def test_a_shard_waits_for_its_last_round_of_tiles():
    three, four = (estimator().estimate(Backend.LOCAL, work(1, tiles)) for tiles in (3, 4))

    assert three.seconds == four.seconds


def test_a_scene_without_tiles_takes_a_start():
    got = estimator().estimate(Backend.LOCAL, work(0))

    assert got.seconds.low == pytest.approx(0.5 + 3.0)


def test_all_cpus_read_between_the_tiles():
    without, reading = (
        estimator().estimate(Backend.LOCAL, work(4, sizes=sizes)) for sizes in ((), (FILE,))
    )

    assert reading.seconds.low - without.seconds.low == pytest.approx(80 / 2)


def test_a_gpu_computes_while_the_cpus_read():
    measured = calibration(0.5, device="NVIDIA L4")
    without, reading, much = (
        estimator(measured=measured).estimate(Backend.LOCAL, work(4, sizes=[FILE] * count))
        for count in (0, 1, 3)
    )

    assert without.seconds == reading.seconds
    assert much.seconds.low == pytest.approx(0.5 + 3.0 + 3 * 80 / 2)


@pytest.mark.parametrize("backend", CLOUD)
def test_reading_takes_time_on_each_backend(backend):
    without, reading = (
        estimator().estimate(backend, work(4, sizes=sizes)) for sizes in ((), (FILE,))
    )

    assert reading.seconds.high > without.seconds.high


def test_lambda_runs_shards_in_waves():
    settings = DeployedSettings(lambda_concurrency=10)
    one, four = (
        estimator(settings=settings).estimate(Backend.LAMBDA, work(shards)) for shards in (10, 40)
    )

    assert four.seconds.high - one.seconds.high == pytest.approx(
        3 * 32 * 0.05 * 2 / (3008 / 1769) * 2
    )


@pytest.mark.parametrize("backend", CLOUD)
def test_without_a_calibration_nothing_is_estimated(backend):
    without = Estimator(settings=ALL, calibration=None, prices=regional_prices("us-east-1"))

    got = without.estimate(backend, work(4))

    assert (got.seconds, got.dollars, got.shards) == (None, None, 4)


@pytest.mark.parametrize("backend", CLOUD)
def test_without_prices_there_are_no_dollars(backend):
    unpriced = estimator(region="ap-south-2")

    got = unpriced.estimate(backend, work(4))

    assert got.dollars is None
    assert got.seconds is not None
    assert "step_functions_transition" in unpriced.unknown


def test_a_price_that_the_table_lacks_is_named():
    ireland = estimator(region="eu-west-1")

    got = ireland.estimate(Backend.SAGEMAKER_SERVERLESS, work(4))

    assert got.dollars is None
    assert "the price of shards is unknown" in got.notes
    assert ireland.unknown == {"serverless_gb_second"}


def test_a_gpu_is_bounded_by_the_cpus_of_its_host():
    got = estimator().estimate(Backend.BATCH, work(1, 4096))

    spread = got.seconds.high - got.seconds.low
    assert spread > 4096 * 0.05 * 2 / 4
    assert "that on their CPUs" in got.notes[0]


def test_a_gpu_of_this_machine_says_nothing_about_cpus():
    measured = calibration(0.001, device="NVIDIA L4")

    lambda_, batch = (
        estimator(measured=measured).estimate(backend, work(4))
        for backend in (Backend.LAMBDA, Backend.BATCH)
    )

    assert lambda_.seconds is None
    assert batch.seconds is not None


def test_a_backend_that_is_not_deployed_says_so():
    default = estimator(settings=DeployedSettings(batch=False))

    deployed = {one: default.estimate(one, work(1)).is_deployed for one in BACKENDS}

    assert {one for one, there in deployed.items() if not there} == {
        *(Backend.BATCH, Backend.SAGEMAKER_ASYNC, Backend.SAGEMAKER_REALTIME)
    }


def test_a_serverless_shard_that_takes_too_long_is_noted():
    got = estimator(measured=calibration(5.0)).estimate(Backend.SAGEMAKER_SERVERLESS, work(2))

    assert any("60 s" in note for note in got.notes)
