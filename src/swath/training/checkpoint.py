"""All that a training is, in one file: killed at any moment, it goes on as if nothing had been.

A checkpoint is written beside its place, forced to the disk and renamed, so that there is always a
whole one. It holds tensors and plain values and is read as such: no code is unpickled.
"""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from swath.errors import InputError
from swath.training.contract import CHECKPOINT

_VERSION = 1


def save_checkpoint(folder: Path, state: dict[str, Any], *, identity: dict[str, str]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        folder: where; it is made if it is not there.
        state: tensors, numbers, strings, and lists and dicts of these.
        identity: what must be the same for the training to go on, by what it is called.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{CHECKPOINT}"
    with unfinished.open("wb") as file:
        torch.save({"version": _VERSION, "identity": identity, "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / CHECKPOINT)


def load_checkpoint(folder: Path, *, identity: dict[str, str]) -> dict[str, Any] | None:
    """The state that was saved last, its tensors in the host's memory; None where there is none.

    Raises:
        InputError: it is no checkpoint, or that of another training; the message says in what
            they differ.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    found = _read(path)
    for name, value in identity.items():
        if found["identity"].get(name) != value:
            raise InputError(
                f"{path} is the checkpoint of a training with other {name}: take the ones that it "
                "was begun with, or another folder for the checkpoints"
            )
    state: dict[str, Any] = found["state"]
    return state


def _read(path: Path) -> dict[str, Any]:
    found: Any
    try:
        with warnings.catch_warnings():
            # Of what it doubts, it says more in the error.
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is no checkpoint: {error}; remove it to begin anew") from None
    known = isinstance(found, dict) and {"version", "identity", "state"} <= found.keys()
    if not known or found["version"] != _VERSION:
        raise InputError(
            f"{path} is no checkpoint of this version of swath; remove it to begin anew"
        )
    whole: dict[str, Any] = found
    return whole
