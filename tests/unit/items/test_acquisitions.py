"""Time, platform and angles that a STAC Item states."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest

from swath.items.acquisitions import read_acquisition
from swath.messages.acquisition import UNKNOWN_ACQUISITION, Acquisition
from tests.helpers.fuzzing import draws


def test_all_properties_are_read():
    properties = {
        "datetime": "2024-05-31T12:00:00+02:00",
        "platform": "sentinel-2a",
        "gsd": 10,
        "eo:cloud_cover": 12.5,
        "view:sun_azimuth": 150,
        "view:sun_elevation": -3,
        "view:off_nadir": -11.7,
        "view:azimuth": 100,
        "view:incidence_angle": 4,
    }
    assert read_acquisition(properties) == (
        Acquisition(
            acquired_at="2024-05-31T10:00:00Z",
            platform="sentinel-2a",
            gsd=10.0,
            cloud_cover=12.5,
            sun_azimuth=150.0,
            sun_elevation=-3.0,
            view_off_nadir=11.7,
            view_azimuth=100.0,
            view_incidence=4.0,
        ),
        [],
    )


@pytest.mark.parametrize(
    ("properties", "time"),
    [
        ({}, None),
        ({"datetime": None}, None),
        ({"datetime": "2013-04-19"}, "2013-04-19T00:00:00Z"),
        ({"datetime": "2024-04-19 04:59:04.218466+00:00"}, "2024-04-19T04:59:04.218466Z"),
        ({"datetime": "2024-04-19T04:59:04.218466999Z"}, "2024-04-19T04:59:04.218466Z"),
        ({"start_datetime": "2024-01-01T00:00:00Z"}, "2024-01-01T00:00:00Z"),
        (
            {
                "datetime": None,
                "start_datetime": "2024-01-01T00:00:00Z",
                "end_datetime": "2024-01-03T00:00:00Z",
            },
            "2024-01-02T00:00:00Z",
        ),
    ],
)
def test_times(properties, time):
    assert read_acquisition(properties)[0].acquired_at == time


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("datetime", "yesterday"),
        ("datetime", 1716000000),
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "2024-13-01T00:00:00Z"),
        ("eo:cloud_cover", 101),
        ("eo:cloud_cover", -1),
        ("eo:cloud_cover", True),
        ("eo:cloud_cover", "12"),
        ("eo:cloud_cover", math.nan),
        ("gsd", 0),
        ("gsd", math.inf),
        ("gsd", 10**400),
        ("view:sun_azimuth", 400),
        ("view:off_nadir", {"a": ["\n" * 1000]}),
    ],
)
def test_an_unusable_property_is_left_out_with_a_warning(name, value):
    acquisition, warnings = read_acquisition({name: value})
    assert acquisition == UNKNOWN_ACQUISITION
    assert len(warnings) == 1
    assert name in warnings[0]
    assert warnings[0].isprintable()


def test_a_platforms_name_is_cleaned():
    assert read_acquisition({"platform": " a\nb "})[0].platform == "ab"
    assert read_acquisition({"platform": "x" * 1000})[0].platform == "x" * 100
    assert read_acquisition({"platform": "\n"})[0].platform is None
    assert read_acquisition({"platform": 5})[0].platform is None


@pytest.mark.fuzz
@hypothesis.settings(max_examples=draws(100, fuzz=3000))
@hypothesis.given(st.datetimes(timezones=st.timezones()))
def test_times_of_any_zone_become_utc(time):
    text, warnings = read_acquisition({"datetime": time.isoformat()})[0].acquired_at, []
    if text is not None:
        assert text.endswith("Z")
    assert warnings == []
