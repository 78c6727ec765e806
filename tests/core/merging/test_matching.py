import msgspec
import pytest

from swath.merging.matching import Matching


def test_it_is_read_from_a_package():
    text = b'{"strategy": "wbf", "metric": "ios", "threshold": 0.4}'

    assert msgspec.json.decode(text, type=Matching) == Matching(
        strategy="wbf", metric="ios", threshold=0.4
    )


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
        msgspec.json.decode(text, type=Matching)
