"""Check the instance types of jobs that compute only on the CPU."""

from __future__ import annotations

from swath.errors import InputError

_ACCELERATED = ("ml.g", "ml.p", "ml.inf", "ml.trn")
"""Prefixes of instance types with an accelerator."""


def check_has_no_accelerator(instance_type: str, *, reason: str) -> None:
    """Refuse a host with a GPU or other accelerator, which would be paid for but not used.

    Args:
        instance_type: Instance type, such as `ml.g5.xlarge`.
        reason: Reason why the job cannot use an accelerator, for the end of the message.

    Raises:
        InputError: The instance type has an accelerator.
    """
    if instance_type.startswith(_ACCELERATED):
        raise InputError(
            f"{instance_type} has an accelerator, which this job cannot use: {reason}; choose a "
            "type without one, such as ml.m5.2xlarge"
        )
