"""Every function logs, traces and counts under the name that its environment gives it."""

import importlib
from pathlib import Path

import pytest

from swath.observability import powertools

FUNCTIONS = sorted(
    path.parent.name for path in (Path(__file__).parents[2] / "lambdas").glob("*/handler.py")
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_makes_no_logger_tracer_or_metrics_of_its_own(name):
    module = importlib.import_module(f"lambdas.{name}.handler")

    assert module.logger is powertools.logger
    assert module.tracer is powertools.tracer
    kinds = tuple(type(part) for part in (powertools.logger, powertools.tracer, powertools.metrics))
    ours = {id(getattr(powertools, part)) for part in ("logger", "tracer", "metrics")}
    assert {id(part) for part in vars(module).values() if isinstance(part, kinds)} <= ours


def test_all_functions_are_listed():
    assert len(FUNCTIONS) == 15
