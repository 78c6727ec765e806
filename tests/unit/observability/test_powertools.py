"""Tests of the logger, tracer and metrics of a function's process, as Lambda starts it."""

import json
import subprocess
import sys

_FUNCTION = """
from types import SimpleNamespace
from swath.observability.powertools import logger, metrics, tracer

@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event, context):
    logger.info("planned")
    metrics.add_metric("TilesPlanned", "Count", 6)

handler({}, SimpleNamespace(
    function_name="f", memory_limit_in_mb=1, invoked_function_arn="a", aws_request_id="1"
))
print('"' + tracer.service + '"')
"""


def _run(**environment):
    names = {"POWERTOOLS_TRACE_DISABLED": "true", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _FUNCTION], env=names | environment, capture_output=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_names_come_from_the_environment():
    log, emitted, traced = _run(
        POWERTOOLS_SERVICE_NAME="plan_scene", POWERTOOLS_METRICS_NAMESPACE="swath"
    )

    assert (log["service"], log["message"], log["level"]) == ("plan_scene", "planned", "INFO")
    (directive,) = emitted["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("swath", [["service"]])
    assert (emitted["service"], emitted["TilesPlanned"]) == ("plan_scene", [6.0])
    assert traced == "plan_scene"


def test_the_package_itself_does_without_powertools():
    """Check the import: the images of jobs and endpoints have no Powertools."""
    script = "import sys, swath, swath.observability; print('aws_lambda_powertools' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert done.stdout.split() == [b"False"]
