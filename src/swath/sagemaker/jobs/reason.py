"""Write the failure reason that SageMaker shows in a job's description."""

from __future__ import annotations

from pathlib import Path

MAX_REASON_BYTES = 1024
"""Maximum length in bytes of a reason; SageMaker cuts longer ones."""


def write_reason(path: Path, text: str) -> None:
    """Write a reason as UTF-8, cut between characters to the length that SageMaker keeps.

    SageMaker fails a job whose reason ends within a character.

    Args:
        path: File that SageMaker reads; its folder is created if necessary.
        text: Reason to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shortened = text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    path.write_text(shortened, encoding="utf-8")
