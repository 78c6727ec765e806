"""Changed inputs of every kind: right pixels, a result, or one line that refuses them.

`make fuzz` tries them for ten minutes, `make test` a few hundred. An input that failed is tried
again by its name, and its files are kept: `make fuzz ARGS="--only rasters/cog/7 --keep /tmp/it"`.
"""

import pytest

from tests.fuzz.runner import Choice, fuzz_all, report


def test_inputs_that_nothing_has_changed_give_results(tmp_path):
    fuzz = fuzz_all(tmp_path, Choice(sound=True, workers=1))
    assert not fuzz.failures


@pytest.mark.fuzz
@pytest.mark.timeout(900)
def test_changed_inputs_give_a_result_or_one_line(tmp_path, chosen):
    fuzz = fuzz_all(tmp_path, chosen)
    print(report(fuzz))  # noqa: T201 (figures)
    assert not fuzz.failures
