"""Models of the transformers library, with random weights or with those of a folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swath.errors import InputError


class Source(NamedTuple):
    """Where a model comes from."""

    model: str
    """The library's class."""
    config: str
    """The class of its configuration."""
    pretrained: str | None
    """A folder with `config.json` and `model.safetensors`."""


def load(source: Source, *, always: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    """A model, in training mode.

    Args:
        source: which.
        always: parts of the configuration that are the caller's, pretrained or not.
        new: the others, where nothing is pretrained.

    Raises:
        InputError: there are no such weights.
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
        # Pickles are programs: weights are read from safetensors or not at all.
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
