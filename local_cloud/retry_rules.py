"""Evaluate a Batch job's retry strategy, and check its rules as Batch does.

AWS: https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from moto.batch.exceptions import ClientException

MAX_RETRY_RULES = 5
_TEXT_PATTERN = re.compile(r"[A-Za-z0-9.:\s]{0,511}[A-Za-z0-9.:\s*]")
_PATTERNS = {
    "onExitCode": re.compile(r"[0-9]{0,511}[0-9*]"),
    "onReason": _TEXT_PATTERN,
    "onStatusReason": _TEXT_PATTERN,
}


def should_retry(
    rules: list[Mapping[str, str]], code: int | None, status_reason: str, reason: str = ""
) -> bool:
    """Return whether Batch retries after an attempt; the first matching rule decides.

    Args:
        rules: `evaluateOnExit` of the retry strategy, at most `MAX_RETRY_RULES`.
        code: Exit code of the container; None if it never started.
        status_reason: `statusReason` of the attempt.
        reason: `reason` of the attempt's container, which only the agent on the host sets.
    """
    attempt = {
        "onExitCode": None if code is None else str(code),
        "onStatusReason": status_reason,
        "onReason": reason,
    }
    for rule in rules:
        if all(
            _matches(pattern, attempt[name]) for name, pattern in rule.items() if name in attempt
        ):
            return rule["action"].upper() == "RETRY"
    return True


def check_retry_rules(rules: list[Mapping[str, str]]) -> None:
    """Refuse the rules that Batch refuses: too many rules, or an invalid pattern.

    Raises:
        ClientException: A rule is invalid; the message quotes it.
    """
    if len(rules) > MAX_RETRY_RULES:
        raise ClientException(
            f"evaluateOnExit has {len(rules)} rules; the maximum is {MAX_RETRY_RULES}"
        )
    for rule in rules:
        for name, pattern in rule.items():
            if name in _PATTERNS and not _PATTERNS[name].fullmatch(pattern):
                raise ClientException(f"evaluateOnExit has an invalid {name}: {pattern!r}")
        if rule["action"].upper() not in {"RETRY", "EXIT"}:
            raise ClientException(f"evaluateOnExit has an invalid action: {rule['action']!r}")


def _matches(pattern: str, value: str | None) -> bool:
    """Match a pattern exactly or, if it ends in an asterisk, by prefix; case-sensitive."""
    if value is None:
        return False
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
