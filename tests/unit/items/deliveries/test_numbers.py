import math

import pytest

from swath.items.deliveries.numbers import parse_middle, parse_number, parse_time


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", 1.5),
        ("-1E3", -1000.0),
        (2, 2.0),
        (None, None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("x", None),
    ],
)
def test_numbers(text, number):
    assert parse_number(text) == number
    assert number is None or math.isfinite(number)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-31T10:00:00.1234567Z", "2024-05-31T10:00:00.123456Z"),
        ("2024-05-31T10:00:00.5", "2024-05-31T10:00:00.500000Z"),
        ("2024-05-31T12:00:00+02:00", "2024-05-31T10:00:00Z"),
        ("2024-05-31T10:00:00Z", "2024-05-31T10:00:00Z"),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("2024-13-01T00:00:00Z", None),
    ],
)
def test_times_are_utc(text, time):
    assert parse_time(text) == time


def test_the_middle_of_a_period():
    assert (
        parse_middle("2024-01-01T00:00:00", "2024-01-01T00:00:01") == "2024-01-01T00:00:00.500000Z"
    )
    assert parse_middle("2024-01-01T00:00:00", "") == "2024-01-01T00:00:00Z"
    assert parse_middle(None, None) is None
