"""Shorten Step Functions' retry delays and time limits with the local cloud's clock.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

Moto 5.2.5 waits as long as the definition states.
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "state_waits"


def apply(patcher: Patcher, services: Services) -> None:
    """Make the interpreter wait by the local cloud's clock."""

    def eval_seconds(timeout: Any, env: Any) -> float:
        seconds: int = original(timeout, env)
        return seconds if timeout.is_default_value() else services.clock.shorten_timeout(seconds)

    patcher.replace(retrier_decl, "time", services.clock)
    original = patcher.replace(TimeoutSeconds, "_eval_seconds", eval_seconds)
