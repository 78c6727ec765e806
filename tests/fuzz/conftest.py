from pathlib import Path

import pytest

from tests.fuzz.runner import Choice
from tests.helpers.fuzzing import FUZZING

FEW = Choice(inputs=600, workers=1)


def pytest_addoption(parser):
    # Not `--seed`, which the scenarios of chaos have: a run of all tests knows the options of both.
    parser.addoption("--fuzz-seed", type=int, default=1, help="which inputs are drawn")
    parser.addoption("--seconds", type=float, default=600, help="for how long, at most")
    parser.addoption("--inputs", type=int, default=10**9, help="how many, at most")
    parser.addoption("--only", help="a target, or an input's name: target/seed/number")
    parser.addoption("--keep", type=Path, help="a folder for the files of failures")


@pytest.fixture
def chosen(request):
    """A few inputs in `make test`; in `make fuzz` what the command says."""
    options = {
        name: request.config.getoption(f"--{name}", None)
        for name in ("seconds", "inputs", "only", "keep")
    }
    options["seed"] = request.config.getoption("--fuzz-seed", None)
    return Choice(**options) if FUZZING else FEW
