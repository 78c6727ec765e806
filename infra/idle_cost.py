"""The cost of a deployed stack while no scene is waiting: `python -m infra.idle_cost`.

The prices are AWS's for us-east-1, in US dollars a month, of November 2026. Storage comes on top:
images, objects, the database's pages.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from infra.app import build

ALARM_METRIC = 0.10
"""A metric that an alarm watches: https://aws.amazon.com/cloudwatch/pricing/."""
SECRET = 0.40
"""A secret: https://aws.amazon.com/secrets-manager/pricing/."""


def idle_cost(template: dict[str, Any]) -> float:
    """Return the US dollars a month of what a template has that is paid for though idle.

    `tests/infra/test_stack.py` holds that nothing in it is paid for by the hour.
    """
    return round(sum(map(_price, template["Resources"].values())), 2)


def _price(resource: dict[str, Any]) -> float:
    properties = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::CloudWatch::Alarm":
            # An alarm on an expression watches each metric in it.
            watched = [one for one in properties.get("Metrics", []) if "MetricStat" in one]
            return ALARM_METRIC * (len(watched) or 1)
        case "AWS::RDS::DBCluster" if properties.get("ManageMasterUserPassword"):
            return SECRET
        case "AWS::SecretsManager::Secret":
            return SECRET
        case _:
            return 0.0


def main() -> None:
    """Print the cost of the stack as `cdk.json` has it."""
    with tempfile.TemporaryDirectory() as folder:
        build(folder).synth()
        (path,) = Path(folder).glob("*.template.json")
        template = json.loads(path.read_text(encoding="utf-8"))
    print(f"${idle_cost(template):.2f} a month while idle, and storage")  # noqa: T201


if __name__ == "__main__":
    main()
