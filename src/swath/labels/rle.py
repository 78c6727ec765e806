r"""Decode COCO's run-length encoded masks, whose counts are a list or a compressed string.

The runs are in column-major order. The COCO API defines the compressed string. Each character has
five bits of a count, and a sixth bit that is set if more characters follow. From the fourth count
on, the string holds the difference between a count and the count two positions before it.
https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c

faster-coco-eval decodes a mask of a disk in 1024 x 1024 px in 1.8 ms, and this module in 0.3 ms.
For comparison, tracing the disk's outline takes 1.6 ms. This command measures either decoder:

    python -m timeit -s "import numpy as np; from faster_coco_eval.core import mask; \
        y, x = np.ogrid[-512:512, -512:512]; pixels = np.asfortranarray(x*x + y*y < 65536, 'u1'); \
        from swath.labels import rle; runs = mask.encode(pixels); text = runs['counts'].decode()" \
        "mask.decode(runs)"  # or "rle.decode(text, (1024, 1024))"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_MASK_PIXELS = 1 << 28
"""Maximum number of pixels in a mask, which needs one byte per pixel."""

_FIRST_CHARACTER = 48
_CONTINUATION_BIT = 0x20
_SIGN_BIT = 0x10
_BITS_PER_CHARACTER = 5
_MAX_SHIFT = 60


def decode(counts: Sequence[int] | str, size: Sequence[int]) -> NDArray[np.bool_]:
    """Return a mask (rows, cols), True for the pixels of the object.

    Args:
        counts: Lengths of the runs, as a list or a compressed string. The runs alternate between
            outside and inside the object; the first is outside.
        size: Number of rows and columns.

    Raises:
        ValueError: The runs do not fill a mask of that size, the string is invalid, or the mask has
            more than `MAX_MASK_PIXELS`.
    """
    if size[0] * size[1] > MAX_MASK_PIXELS:
        raise ValueError(
            f"{size[0]} x {size[1]} px exceed the maximum of {MAX_MASK_PIXELS}; give the outline "
            "as a polygon"
        )
    lengths = _decode_counts(counts) if isinstance(counts, str) else counts
    rows, cols = size
    # Sum as Python integers, which do not overflow.
    if min(lengths, default=0) < 0 or sum(lengths) != rows * cols:
        raise ValueError(f"its runs have {sum(lengths)} px, but the mask has {rows} x {cols}")
    runs = np.array(lengths, np.int64)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(cols, rows).T


def _decode_counts(characters: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in characters:
        group = ord(character) - _FIRST_CHARACTER
        if not 0 <= group < 2 * _CONTINUATION_BIT or shift > _MAX_SHIFT:
            raise ValueError(f"the character {character!r} after {len(counts)} runs is invalid")
        value |= (group & 0x1F) << shift
        shift += _BITS_PER_CHARACTER
        if group & _CONTINUATION_BIT:
            continue
        if group & _SIGN_BIT:
            value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)  # noqa: PLR2004
        value = shift = 0
    if shift:
        raise ValueError("its characters end within a number")
    return counts
