from hypothesis import given
from hypothesis import strategies as st

from swath.messages.run_warnings import MAX_WARNING_CHARACTERS, MAX_WARNINGS, gather_warnings

texts = st.lists(st.text(max_size=5), max_size=40)


@given(st.lists(texts, max_size=6))
def test_each_warning_is_given_once_in_the_order_of_the_sources(sources):
    every = [text for source in sources for text in source]
    given_out = gather_warnings(*sources)

    assert len(given_out) <= MAX_WARNINGS
    known = [text for place, text in enumerate(every) if text not in every[:place]]
    kept = given_out if len(known) <= MAX_WARNINGS else given_out[:-1]
    assert kept == known[: len(kept)]
    if len(known) > MAX_WARNINGS:
        assert given_out[-1].startswith(f"{len(known) - len(kept)} more warnings")


def test_a_long_warning_is_cut():
    (text,) = gather_warnings(["x" * 10_000])

    assert len(text) == MAX_WARNING_CHARACTERS
