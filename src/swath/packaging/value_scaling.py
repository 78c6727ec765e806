"""Parse pixel scalings from the command line or from a configuration of transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from swath.errors import InputError, PackageError
from swath.models.scaling import Scale, Scaling, ZScore

Scalings = tuple[Scaling | None, ...]

# Statistics of ImageNet, as shares of 255: https://docs.pytorch.org/vision/stable/models.html
_MEAN, _STDDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_UINT8_MAX = 255.0
SCALING_CHOICES = (
    "none, a number to divide by (255, 10000), imagenet, or a JSON file with STAC MLM's "
    "value_scaling"
)


def parse_scaling(text: str) -> Scalings:
    """Parse one scaling for all bands, or one for each.

    Args:
        text: `none`; a divisor; `imagenet`, for three 8-bit bands; or the path of a JSON file with
            the `value_scaling` of STAC MLM.

    Raises:
        InputError: The text has another form, or the file is invalid.
    """
    if text == "none":
        return (None,)
    if text == "imagenet":
        return zscore_scalings(_MEAN, _STDDEV, over=_UINT8_MAX)
    try:
        return (Scale(value=float(text)),)
    except ValueError:
        pass
    if not Path(text).is_file():
        raise InputError(f"the scaling {text!r} is unknown; give {SCALING_CHOICES}")
    try:
        scalings = msgspec.json.decode(Path(text).read_bytes(), type=list[Scaling | None])
    except msgspec.DecodeError as error:
        raise InputError(
            f"{text} is not a value_scaling of STAC MLM: {error}; it must be a list of objects, "
            'such as [{"type": "min-max", "minimum": 0, "maximum": 255}]'
        ) from None
    return tuple(scalings)


def zscore_scalings(mean: Sequence[float], stddev: Sequence[float], *, over: float) -> Scalings:
    """Return `(data / over - mean) / stddev` as one z-score for each band."""
    return tuple(
        ZScore(mean=one * over, stddev=other * over)
        for one, other in zip(mean, stddev, strict=True)
    )


def from_processor_config(config: Mapping[str, Any]) -> Scalings:
    """Return the scaling that a `preprocessor_config.json` of transformers describes.

    https://huggingface.co/docs/transformers/main_classes/image_processor

    Raises:
        PackageError: The configuration normalizes, but its mean or deviation is missing or invalid.
    """
    factor = config.get("rescale_factor", 1 / _UINT8_MAX) if config.get("do_rescale", True) else 1.0
    if not config.get("do_normalize", False):
        return (None,) if factor == 1 else (Scale(value=round(1 / factor, 6)),)
    try:
        mean, stddev = config["image_mean"], config["image_std"]
        return zscore_scalings(mean, stddev, over=round(1 / factor, 6))
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(
            f"preprocessor_config.json normalizes without image_mean and image_std "
            f"({json.dumps(str(error))}): give --scaling"
        ) from None
