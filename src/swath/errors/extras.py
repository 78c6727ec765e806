"""Report optional packages that are missing, with the extras and commands that install them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Module → the extra in pyproject.toml that installs it; `cli` installs the others.
_EXTRA_BY_MODULE = {
    "torch": "torch",
    "transformers": "training",
    "onnxscript": "training",
    "optuna": "tuning",
    "sagemaker": "sagemaker",
    "openvino": "openvino",
    "geopandas": "geo",
}


def require_modules(*modules: str) -> None:
    """Check that modules are installed, before long work that needs them only at its end.

    Args:
        modules: Names of the modules.

    Raises:
        ModuleNotFoundError: A module is missing. The error names the first missing one, as an
            import would.
    """
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def missing_module_message(name: str) -> str:
    """Return a sentence that says how to install a missing module.

    swath is not on a package index, so the commands install its extras from its repository.
    """
    package = name.partition(".")[0]
    return (
        f"{package} is not installed: run `make setup` in swath's repository, "
        f"or `pip install '.[{_EXTRA_BY_MODULE.get(package, 'cli')}]'` there"
    )


def name_missing_extra(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function so that its ModuleNotFoundError says how to install the module."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ModuleNotFoundError as error:
            if (error.name or "swath").startswith("swath"):
                raise
            raise ModuleNotFoundError(
                missing_module_message(str(error.name)), name=error.name
            ) from error

    return wrapper
