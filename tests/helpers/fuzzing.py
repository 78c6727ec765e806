"""The number of draws of a randomized test: few in `make test`, many in `make properties`.

A test that draws its inputs has the marker `fuzz` and asks `draws` for its number:

    @pytest.mark.fuzz
    @settings(max_examples=draws(50, fuzz=2000))
"""

import os

FUZZING = os.environ.get("SWATH_FUZZ") == "1"


def draws(few: int, *, fuzz: int) -> int:
    """Return `few` in `make test` and `fuzz` in `make properties`."""
    return fuzz if FUZZING else few
