"""Create the logger, tracer and metrics of the Lambda function that this process runs.

Powertools reads the names of the service and of the metrics' namespace from
`POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_METRICS_NAMESPACE`, which `infra` sets for each function.
Only Lambda functions import this module: the other images have no Powertools.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
tracer = Tracer()
metrics = Metrics()
