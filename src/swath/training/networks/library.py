"""Load models of the transformers library, with random weights or with those of a folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swath.errors import InputError


class Source(NamedTuple):
    """Source of a model's classes and weights."""

    model: str
    """Name of the library's class of the model."""
    config: str
    """Name of the library's class of its configuration."""
    pretrained: str | None
    """Folder with `config.json` and `model.safetensors`; None for random weights."""


def load(source: Source, *, always: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    """Return a model in training mode.

    Args:
        source: Source of the model.
        always: Configuration values for both pretrained and random weights.
        new: Further configuration values for random weights only.

    Raises:
        InputError: The pretrained weights cannot be read.
    """
    library = importlib.import_module("transformers")
    kind, config = getattr(library, source.model), getattr(library, source.config)
    if source.pretrained is None:
        return kind(config(**always, **new)).train()
    if not (Path(source.pretrained) / "config.json").is_file():
        raise InputError(
            f"pretrained is {source.pretrained}, where there is no config.json: give a folder with "
            "a model as transformers' save_pretrained writes it"
        )
    try:
        # Unpickling can run code, so weights are read only from safetensors.
        model = kind.from_pretrained(
            source.pretrained,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            **always,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{source.pretrained} is no {source.model}: {error}") from error
    return model.train()
