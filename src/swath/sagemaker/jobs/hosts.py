"""Instance types of jobs that compute on the CPU alone."""

from __future__ import annotations

from swath.errors import InputError

_ACCELERATED = ("ml.g", "ml.p", "ml.inf", "ml.trn")


def check_has_no_accelerator(instance_type: str, *, because: str) -> None:
    """Refuse a host whose GPU or other accelerator would be paid for and not used.

    Args:
        instance_type: for instance `ml.g5.xlarge`.
        because: why the job does not use it, the end of the message.

    Raises:
        InputError: the type has an accelerator.
    """
    if instance_type.startswith(_ACCELERATED):
        raise InputError(
            f"{instance_type} has an accelerator, which this job cannot use; choose a type "
            f"without, for instance ml.m5.2xlarge: {because}"
        )
