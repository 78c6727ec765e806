"""Print the cost of a deployed stack while it is idle: `python -m infra.idle_cost`.

The prices are those of us-east-1 in `swath.prices`, in US dollars a month. They do not include
storage: images, objects and the database's pages.
"""

from __future__ import annotations

import json
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
