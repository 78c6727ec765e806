"""Save the whole state of a training in one file, and load it to resume a killed training.

A checkpoint is written to a temporary file, flushed to disk and renamed, so that a complete one
always exists. It contains only tensors and plain values, and loading it never unpickles code.
"""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from swath.errors import InputError
from swath.training.contract import CHECKPOINT_FILE

_VERSION = 1


def save_checkpoint(folder: Path, state: dict[str, Any], *, identity: dict[str, str]) -> None:
    """Write a checkpoint, completely or not at all.

    Args:
        folder: Folder of the checkpoint, which is created if necessary.
        state: State of the training: tensors, numbers, strings, and lists and dicts of these.
        identity: Digests that must be the same for the training to resume, by what they describe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{CHECKPOINT_FILE}"
    with unfinished.open("wb") as file:
        torch.save({"version": _VERSION, "identity": identity, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / CHECKPOINT_FILE)


def load_checkpoint(folder: Path, *, identity: dict[str, str]) -> dict[str, Any] | None:
    """Return the last saved state, with its tensors in host memory; None without a checkpoint.

    Args:
        folder: Folder of the checkpoint.
        identity: Digests of this training, as for `save_checkpoint`.

    Raises:
        InputError: The file is no checkpoint, or is from another training. The message has what
            differs.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    content = _read_checkpoint(path)
    for name, value in identity.items():
        if content["identity"].get(name) != value:
            raise InputError(
                f"{path} is the checkpoint of a training with other {name}; give the original "
                f"{name}, or another folder for the checkpoints"
            )
    state: dict[str, Any] = content["state"]
    return state


def _read_checkpoint(path: Path) -> dict[str, Any]:
    content: Any
    try:
        with warnings.catch_warnings():
            # The error of a failed load says more than torch's warnings.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is not a checkpoint: {error}; remove it to start again") from None
    is_complete = isinstance(content, dict) and {"version", "identity", "state"} <= content.keys()
    if not is_complete or content["version"] != _VERSION:
        raise InputError(
            f"{path} is not a checkpoint of this version of swath; remove it to start again"
        )
    checkpoint: dict[str, Any] = content
    return checkpoint
