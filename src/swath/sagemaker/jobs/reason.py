"""The reason that a job's description shows on SageMaker."""

from __future__ import annotations

from pathlib import Path

MAX_REASON_BYTES = 1024
"""Length that SageMaker keeps of a reason."""


def write_reason(path: Path, text: str) -> None:
    """Write a reason as UTF-8, cut between characters to the length that SageMaker keeps.

    SageMaker fails a job whose reason ends in half a character.

    Args:
        path: File that SageMaker reads, in a folder that need not exist.
        text: Reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    path.write_text(kept, encoding="utf-8")
