"""The optional packages that swath uses: the extras that bring them, and how to install these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Module → the extra of pyproject.toml that brings it; `cli` brings the others.
_EXTRAS = {
    "torch": "torch",
    "transformers": "training",
    "onnxscript": "training",
    "optuna": "tuning",
    "sagemaker": "sagemaker",
    "openvino": "openvino",
    "geopandas": "geo",
}


def require(*modules: str) -> None:
    """Refuse to begin long work that needs a module at its end which is not installed.

    Raises:
        ModuleNotFoundError: the first of the modules that is missing, as an import raises it.
    """
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def not_installed(name: str) -> str:
    """Return the sentence about a module that is not installed, with the commands that install it.

    swath is on no package index: its extras are installed from its repository.
    """
    package = name.partition(".")[0]
    return (
        f"this needs {package}, which is not installed: run `make setup` in swath's repository, "
        f"or `pip install '.[{_EXTRAS.get(package, 'cli')}]'` there"
    )


def name_missing_extra(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of the public API: a missing module is named with what installs it."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ModuleNotFoundError as error:
            if (error.name or "swath").startswith("swath"):
                raise
            raise ModuleNotFoundError(not_installed(str(error.name)), name=error.name) from error

    return wrapper
