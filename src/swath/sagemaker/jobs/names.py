"""Make names of SageMaker jobs: cleaned, cut to length and unique."""

from __future__ import annotations

import re
import uuid

MAX_JOB_NAME_LENGTH = 63
"""Maximum number of characters in the name of a training, transform or processing job or a model.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html"""
MAX_TUNING_NAME_LENGTH = 32
"""Maximum number of characters in a tuning job's name, which is part of its trainings' names."""
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9]+")
_UNIQUE_DIGITS = 8
"""Number of random hexadecimal digits in a unique name."""


def unique_name(name: str, *, max_length: int = MAX_JOB_NAME_LENGTH) -> str:
    """Return a name that SageMaker accepts and that no other job has.

    Args:
        name: Name of the model, of any length and with any characters.
        max_length: Maximum number of characters in the result.
    """
    return with_suffix(name, uuid.uuid4().hex[:_UNIQUE_DIGITS], max_length=max_length)


def with_suffix(name: str, suffix: str, *, max_length: int = MAX_JOB_NAME_LENGTH) -> str:
    """Return a cleaned name, shortened so that a hyphen and the whole suffix fit after it.

    Args:
        name: Name of the model, of any length and with any characters.
        suffix: Letters and digits to append.
        max_length: Maximum number of characters in the result.
    """
    cleaned = _NOT_ALLOWED.sub("-", name).strip("-")
    prefix = cleaned[: max_length - len(suffix) - 1].strip("-")
    return f"{prefix}-{suffix}" if prefix else suffix
