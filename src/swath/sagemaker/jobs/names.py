"""Names of jobs on SageMaker: cleaned, cut to length and unique."""

from __future__ import annotations

import re
import uuid

MAX_JOB_NAME = 63
"""Characters of a training, transform or processing job's name, and of a model's.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html"""
MAX_TUNING_NAME = 32
"""Characters of a tuning job's name, which is part of the names of its trainings."""
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9]+")
_UNIQUE_DIGITS = 8


def unique_name(name: str, *, most: int = MAX_JOB_NAME) -> str:
    """Return a name that SageMaker accepts and that no other job has.

    Args:
        name: of the model; may be longer than `most` and have any characters.
        most: characters that the result may have.
    """
    return with_suffix(name, uuid.uuid4().hex[:_UNIQUE_DIGITS], most=most)


def with_suffix(name: str, suffix: str, *, most: int = MAX_JOB_NAME) -> str:
    """Return the cleaned name, cut so that the whole suffix fits behind it.

    Args:
        name: as `unique_name` takes it.
        suffix: letters and digits.
        most: characters that the result may have.
    """
    cleaned = _NOT_ALLOWED.sub("-", name).strip("-")
    cut = cleaned[: most - len(suffix) - 1].strip("-")
    return f"{cut}-{suffix}" if cut else suffix
