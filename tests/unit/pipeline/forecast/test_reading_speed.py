"""Tests of reading speeds: two reads give both parts of the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.pipeline.forecast import reading_speed
from swath.pipeline.forecast.reading_speed import (
    DEFAULT_COMPRESSION,
    ReadingSpeed,
    fit_speed,
    measure_reading,
    reading_seconds,
)
from swath.raster.reader.read_sizes import ReadSize

DECODED, FEW, MANY = 10**7, 2 * 10**6, 8 * 10**6
times = st.floats(1e-4, 10)


def speed(decoded, stored):
    return ReadingSpeed(seconds_per_decoded_byte=decoded, seconds_per_stored_byte=stored)


def size(compression, decoded=100, stored=10):
    return ReadSize(
        uri="x.tif",
        file_bytes=1,
        decoded_bytes=decoded,
        block_bytes=stored,
        compression=compression,
    )


class TestFit:
    @given(per_decoded=st.floats(1e-10, 1e-6), per_stored=st.floats(0, 1e-6))
    def test_both_parts_are_recovered(self, per_decoded, per_stored):
        true = speed(per_decoded, per_stored)
        points = [
            (true.seconds(decoded=DECODED, stored=stored), DECODED, stored)
            for stored in (FEW, MANY)
        ]

        fitted = fit_speed(points)

        assert fitted.seconds_per_decoded_byte == pytest.approx(per_decoded, rel=1e-6, abs=1e-14)
        assert fitted.seconds_per_stored_byte == pytest.approx(per_stored, rel=1e-6, abs=1e-14)

    @given(low=times, high=times)
    def test_no_part_is_negative_and_the_time_lies_between_the_measured_ones(self, low, high):
        fitted = fit_speed([(low, DECODED, FEW), (high, DECODED, MANY)])

        assert fitted.seconds_per_decoded_byte >= 0
        assert fitted.seconds_per_stored_byte >= 0
        middle = fitted.seconds(decoded=DECODED, stored=(FEW + MANY) // 2)
        assert min(low, high) * 0.999 <= middle <= max(low, high) * 1.001

    def test_scenes_that_store_as_much_give_their_mean(self):
        fitted = fit_speed([(1.0, DECODED, FEW), (3.0, DECODED, FEW)])

        assert fitted == speed(2.0 / DECODED, 0.0)


def test_this_machine_reads_every_compression(monkeypatch):
    monkeypatch.setattr(reading_speed, "_SIZE", 256)
    monkeypatch.setattr(reading_speed, "_ROUNDS", 1)

    speeds = measure_reading()

    assert {"NONE", "DEFLATE", "LZW", "ZSTD", "JPEG", "JPEG2000"} <= set(speeds)
    assert all(one.seconds(decoded=10**6, stored=10**5) > 0 for one in speeds.values())


def test_a_compression_that_cannot_be_written_is_left_out(monkeypatch):
    absent = {"driver": "NoSuchDriver", "dtype": "uint8"}
    kept = reading_speed._PROFILES[DEFAULT_COMPRESSION]
    monkeypatch.setattr(reading_speed, "_PROFILES", {"ABSENT": absent, "DEFLATE": kept})
    monkeypatch.setattr(reading_speed, "_SIZE", 256)

    assert set(measure_reading()) == {"DEFLATE"}


def test_files_add_up_and_an_unknown_compression_counts_as_deflate():
    speeds = {"DEFLATE": speed(2.0, 3.0), "JPEG2000": speed(5.0, 7.0)}

    known = reading_seconds(speeds, [size("JPEG2000")])
    other = reading_seconds(speeds, [size("LERC"), size("")])

    assert known == 5 * 100 + 7 * 10
    assert other == 2 * (2 * 100 + 3 * 10)
    assert reading_seconds(speeds, []) == 0
