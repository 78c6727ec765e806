import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.sagemaker.jobs.names import (
    MAX_JOB_NAME_LENGTH,
    MAX_TUNING_NAME_LENGTH,
    unique_name,
    with_suffix,
)


@given(st.text(max_size=80), st.sampled_from([MAX_JOB_NAME_LENGTH, MAX_TUNING_NAME_LENGTH, 48]))
def test_a_name_of_any_model_is_one_of_sagemakers(name, max_length):
    made = unique_name(name, max_length=max_length)

    # The patterns are those of CreateTrainingJob and CreateHyperParameterTuningJob.
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", made)
    assert len(made) <= max_length


def test_long_names_stay_unique():
    assert unique_name("a" * 63) != unique_name("a" * 63)


@pytest.mark.parametrize(
    ("name", "max_length", "made"),
    [
        ("ships_s2.v1", 63, "ships-s2-v1-beef"),
        ("ships_s2.v1", 10, "ships-beef"),
        ("ships_s2.v1", 11, "ships-beef"),
        ("...", 63, "beef"),
    ],
)
def test_what_is_not_allowed_becomes_a_hyphen_and_the_suffix_is_whole(name, max_length, made):
    assert with_suffix(name, "beef", max_length=max_length) == made
