"""Print the cost of a deployed stack while it is idle: `python -m infra.idle_cost`.

The prices are those of us-east-1 in `swath.prices`, in US dollars a month. They do not include
storage: images, objects and the database's pages.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from infra.app import build_app
from swath.prices import regional_prices

_PRICES = regional_prices("us-east-1")
ALARM_METRIC_PRICE = _PRICES["cloudwatch_alarm_month"].usd
"""Price of a metric that an alarm watches."""
SECRET_PRICE = _PRICES["secret_month"].usd
"""Price of a secret."""
_CHECK_GB_SECONDS = 0.05
"""Duration of a check of deliveries that lists none, times the function's memory in GB."""
CHECK_PRICE = (
    _PRICES["s3_put"].usd
    + _PRICES["s3_get"].usd
    + _PRICES["lambda_request"].usd
    + _CHECK_GB_SECONDS * _PRICES["lambda_gb_second"].usd
)
"""Price of a scheduled check of deliveries: a list and a read of the work bucket, and a call."""
_MINUTES_A_MONTH = 730 * 60
_RATE = re.compile(r"rate\((\d+) minutes\)")


def idle_cost(template: dict[str, Any]) -> float:
    """Return the cost of a template's idle resources in US dollars a month.

    `tests/infra/test_stack.py` checks that none of the resources is paid for by the hour.
    """
    return round(sum(map(_monthly_price, template["Resources"].values())), 2)


def _monthly_price(resource: dict[str, Any]) -> float:
    properties = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::CloudWatch::Alarm":
            # An alarm on an expression watches each metric in it.
            watched = [metric for metric in properties.get("Metrics", []) if "MetricStat" in metric]
            return ALARM_METRIC_PRICE * (len(watched) or 1)
        case "AWS::RDS::DBCluster" if properties.get("ManageMasterUserPassword"):
            return SECRET_PRICE
        case "AWS::SecretsManager::Secret":
            return SECRET_PRICE
        case "AWS::Events::Rule" if "ScheduleExpression" in properties:
            rate = _RATE.fullmatch(properties["ScheduleExpression"])
            return CHECK_PRICE * _MINUTES_A_MONTH / int(rate[1]) if rate else 0.0
        case _:
            return 0.0


def main() -> None:
    """Print the cost of the stack with the settings of `cdk.json`."""
    with tempfile.TemporaryDirectory() as folder:
        build_app(folder).synth()
        (path,) = Path(folder).glob("*.template.json")
        template = json.loads(path.read_text(encoding="utf-8"))
    print(f"${idle_cost(template):.2f} a month while idle, plus storage")  # noqa: T201


if __name__ == "__main__":
    main()
