"""Tiny labeled images that a network can learn in seconds: bright rectangles on noise."""

import dataclasses

import numpy as np
import torch


@dataclasses.dataclass(frozen=True)
class Labeled:
    """As much of a crop as a network looks at."""

    pixels: np.ndarray
    valid: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    labels: np.ndarray | None


def rectangles(count, *, size=32, bands=3, seed=0):
    """Images with one to three rectangles of two classes: bright in the first band, or the last."""
    rng = np.random.default_rng(seed)
    return [_image(size, bands, rng) for _ in range(count)]


def tensor(crops):
    """Their pixels as a batch."""
    return torch.from_numpy(np.stack([crop.pixels for crop in crops]))


def _image(size, bands, rng):
    pixels = rng.normal(0, 0.1, (bands, size, size)).astype(np.float32)
    labels = np.full((size, size), 255, np.uint8)
    boxes, classes = [], []
    for _ in range(rng.integers(1, 4)):
        label = int(rng.integers(2))
        width, height = rng.integers(5, 11, 2)
        x, y = rng.integers(0, size - width), rng.integers(0, size - height)
        if (labels[y : y + height, x : x + width] != 255).any():
            continue
        pixels[-label, y : y + height, x : x + width] += 1
        labels[y : y + height, x : x + width] = label
        boxes.append((x, y, x + width, y + height))
        classes.append(label)
    return Labeled(
        pixels=pixels,
        valid=np.ones((size, size), np.bool_),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.array(classes, np.int64),
        crowd=np.zeros(len(boxes), np.bool_),
        labels=labels,
    )
