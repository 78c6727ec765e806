"""Draw a synthetic five-band harbor with known ships, so that the demo needs no external data.

It replaces a Sentinel-2 L2A crop: uint16, reflectance x 65535, 10 m pixels, B11 at half the
resolution. The same seed draws the same scene.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.enums import Resampling

from local_cloud.demo.coast import Bands, Port, draw_coast
from local_cloud.demo.noise import blur
from local_cloud.demo.vessels import Ship, draw_ship, moor_fleet

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAND_NAMES = ("B02", "B03", "B04", "B08", "B11")
PIXEL_SIZE_M = 10.0
UPPER_LEFT_M = (499_980.0, 4_200_000.0)
"""Upper left corner (x, y) in m, in UTM zone 34 north: the Aegean Sea."""
SHIP_COUNT = 48
SENSOR_NOISE = 0.0012


@dataclass(frozen=True, slots=True)
class Harbour:
    """Scene with its ground truth."""

    pixels: NDArray[np.uint16]
    """Pixels (bands, rows, cols), reflectance x 65535."""
    boxes: NDArray[np.float64]
    """Boxes of the ships (n, 4): x0, y0, x1, y1 in px."""


def draw_harbour(seed: int = 7, *, width: int = 1792, height: int = 1344) -> Harbour:
    """Draw a harbor with its ships.

    Args:
        seed: Seed of the random numbers.
        width: Width of the scene in px.
        height: Height of the scene in px.

    Returns:
        The scene with its ground truth.
    """
    rng = np.random.default_rng(seed)
    port = Port(x=0.45 * width, y=0.40 * height, angle=math.radians(rng.uniform(-14, 14)))
    coast = draw_coast(rng, (height, width), port)
    ships = moor_fleet(rng, coast, port, SHIP_COUNT)
    for ship in ships:
        draw_ship(coast.bands, ship)
    return Harbour(_simulate_sensor(rng, coast.bands), _label_boxes(ships))


def write_harbour(harbour: Harbour, path: Path) -> Path:
    """Write the scene as a tiled GeoTIFF with overviews, and its ground truth beside it in COCO.

    Returns:
        The path of the COCO file: `<name>.json` beside the scene.
    """
    bands, rows, cols = harbour.pixels.shape
    profile: dict[str, Any] = {
        "driver": "COG",
        "dtype": "uint16",
        "count": bands,
        "height": rows,
        "width": cols,
        "crs": "EPSG:32634",
        "transform": Affine(PIXEL_SIZE_M, 0, UPPER_LEFT_M[0], 0, -PIXEL_SIZE_M, UPPER_LEFT_M[1]),
        "blocksize": 256,
        "compress": "deflate",
        "level": 1,
        "predictor": "yes",
        "overview_resampling": Resampling.average.name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as target:
        target.descriptions = BAND_NAMES
        target.write(harbour.pixels)
    labels = path.with_suffix(".json")
    labels.write_text(json.dumps(_to_coco(harbour, path.name), indent=1) + "\n")
    return labels


def _simulate_sensor(rng: np.random.Generator, bands: Bands) -> NDArray[np.uint16]:
    """Simulate the instrument: blur, a coarser B11, noise, and conversion to integers."""
    bands = blur(bands)
    bands[4] = _halve_resolution(bands[4])
    bands += SENSOR_NOISE * rng.standard_normal(bands.shape, dtype=np.float32)
    return (np.clip(bands, 1e-4, 1) * 65535).astype(np.uint16)


def _halve_resolution(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a band at half its resolution, on the same pixels."""
    rows, cols = (size // 2 * 2 for size in band.shape)
    means = band[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2).mean(axis=(1, 3))
    coarse = band.copy()
    coarse[:rows, :cols] = means.repeat(2, 0).repeat(2, 1)
    return coarse


def _label_boxes(ships: list[Ship]) -> NDArray[np.float64]:
    """Return the pixels that each hull touches, as a person would label them: (n, 4)."""
    bounds = np.array([ship.box for ship in ships])
    return np.concatenate([np.floor(bounds[:, :2]), np.ceil(bounds[:, 2:])], axis=1)


def _to_coco(harbour: Harbour, name: str) -> dict[str, Any]:
    sizes = harbour.boxes[:, 2:] - harbour.boxes[:, :2]
    _, rows, cols = harbour.pixels.shape
    return {
        "images": [{"id": 1, "file_name": name, "width": cols, "height": rows}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [
            {
                "id": index,
                "image_id": 1,
                "category_id": 1,
                "bbox": [*box[:2].tolist(), *size.tolist()],
                "area": float(size.prod()),
                "iscrowd": 0,
            }
            for index, (box, size) in enumerate(zip(harbour.boxes, sizes, strict=True), start=1)
        ],
    }
