import msgspec
import pytest

from swath.models.nms_options import NmsOptions


def test_it_is_read_from_a_package():
    text = b'{"strategy": "wbf", "metric": "ios", "threshold": 0.4}'

    assert msgspec.json.decode(text, type=NmsOptions) == NmsOptions(
        strategy="wbf", metric="ios", threshold=0.4
    )


def test_a_package_that_says_nothing_has_nms_at_half():
    assert msgspec.json.decode(b"{}", type=NmsOptions) == NmsOptions(
        strategy="nms", metric="iou", threshold=0.5, sigma=0.5
    )


def test_it_stays_as_it_was_read():
    matching = NmsOptions()

    with pytest.raises(AttributeError, match="immutable"):
        matching.threshold = 0.9
    assert {matching: 1}[NmsOptions()] == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"strategy": "nmx"}', "nmx"),
        (b'{"metric": "giou"}', "giou"),
        (b'{"threshold": 1.5}', "threshold"),
        (b'{"sigma": 0}', "sigma"),
        (b'{"treshold": 0.5}', "treshold"),
    ],
)
def test_what_it_cannot_be_is_named(text, named):
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.json.decode(text, type=NmsOptions)
