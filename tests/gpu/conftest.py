"""Fixtures of the GPU's tests; run with the rest, or alone where few packages are installed.

A machine with a GPU may lack packages that these tests import but do not use: clients of S3 and
writers of Parquet. Empty modules replace them, so a test that came to use one would fail.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

REHEARSAL = "SWATH_GPU_REHEARSAL"

# A dependency of SageMaker's SDK installs a package `tests`, which would be found before ours.
_tests = ModuleType("tests")
_tests.__path__ = [str(Path(__file__).resolve().parents[1])]
sys.modules.setdefault("tests", _tests)


class _Absent(ModuleType):
    """A package that is not installed: all that it holds can be named, and none of it used."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name.endswith(("Error", "Exception")):
            return type(name, (Exception,), {})
        return lambda *_, **__: None


for _package, _parts in {
    "boto3": ("exceptions",),
    "botocore": ("config", "exceptions"),
    "pyarrow": ("parquet", "compute"),
}.items():
    if importlib.util.find_spec(_package) is None:
        sys.modules[_package] = _Absent(_package)
        for _part in _parts:
            sys.modules[f"{_package}.{_part}"] = _Absent(f"{_package}.{_part}")


@pytest.fixture(scope="session")
def device():
    """The GPU; the CPU in a rehearsal."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get(REHEARSAL):
        return torch.device("cpu")
    pytest.skip(f"NO GPU: nothing is proven of one here; {REHEARSAL}=1 rehearses on the CPU")


@pytest.fixture(scope="session")
def gpu(device):
    """The GPU alone: what cannot be rehearsed."""
    if device.type != "cuda":
        pytest.skip("NO GPU: this cannot be rehearsed on a CPU")
    return device
