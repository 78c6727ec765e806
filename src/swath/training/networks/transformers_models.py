"""Load models of the transformers library, with random weights or with those of a folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swath.errors import InputError


class LibraryModel(NamedTuple):
    """Classes of a model in the library, and the source of its weights."""

    model: str
    """Name of the library's class of the model."""
    config: str
    """Name of the library's class of its configuration."""
    pretrained: str | None
    """Folder with `config.json` and `model.safetensors`; None for random weights."""


def load_library_model(
    source: LibraryModel, *, config: Mapping[str, Any], random_config: Mapping[str, Any]
) -> Any:
    """Return a model in training mode.

    Args:
        source: Classes and weights of the model.
        config: Configuration values for both pretrained and random weights.
        random_config: Further configuration values for random weights only.

    Raises:
        InputError: The pretrained weights cannot be read.
    """
    library = importlib.import_module("transformers")
    model_class, config_class = getattr(library, source.model), getattr(library, source.config)
    if source.pretrained is None:
        return model_class(config_class(**config, **random_config)).train()
    if not (Path(source.pretrained) / "config.json").is_file():
        raise InputError(
            f"pretrained is {source.pretrained}, which has no config.json; give a folder that "
            "save_pretrained of transformers wrote"
        )
    try:
        # Unpickling can run code, so weights are read only from safetensors.
        model = model_class.from_pretrained(
            source.pretrained,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            **config,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{source.pretrained} is not a {source.model}: {error}") from error
    return model.train()
