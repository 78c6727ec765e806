"""Draw a scene with its detections: an overview, and close-ups of its busiest areas.

The scene is read at the size of the picture, so its own size does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rasterio.enums import Resampling
from rasterio.windows import Window

from swath.raster import gdal_env
from swath.raster.dataset import open_dataset
from swath.raster.gdal_errors import translate_gdal_errors

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Boxes = NDArray[np.float64]
"""Boxes (n, 4): x0, y0, x1, y1 in scene px."""
Rgb = NDArray[np.uint8]
"""Colors (rows, cols, 3)."""

OVERVIEW_SIDE_PX = 1200
MAX_CLOSE_UPS = 3
GAP_PX = 12
FALSE_POSITIVE_SUFFIX = " (false positive)"
"""Suffix of the label of a false positive; colors are assigned in the order of the labels."""
PAPER = (250, 250, 248)
INK = (30, 34, 40)
# Colors of Okabe and Ito that contrast with water and land, also for color-blind readers.
COLORS = ((255, 225, 60), (255, 140, 40), (240, 130, 200), (120, 220, 255), (255, 255, 255))


@dataclass(frozen=True, slots=True)
class LabeledBoxes:
    """Detections to draw; `labels` (n,) holds one class name for each box."""

    boxes: Boxes
    labels: NDArray[np.str_]

    def mark_false_positives(self, hits: NDArray[np.bool_]) -> LabeledBoxes:
        """Return the same boxes, with a separate label for those that are not hits."""
        return LabeledBoxes(
            self.boxes, np.where(hits, self.labels, np.char.add(self.labels, FALSE_POSITIVE_SUFFIX))
        )

    def counts(self) -> dict[str, int]:
        """Return the number of detections by class name."""
        names, counts = np.unique(self.labels, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Panel:
    """Part of the scene on the picture; `scale` is the number of picture pixels per scene pixel."""

    window: Window
    scale: float
    left: int
    top: int

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Convert boxes from scene pixels to picture pixels."""
        origin = np.array([self.window.col_off, self.window.row_off] * 2)
        converted: Boxes = (boxes - origin) * self.scale + np.array([self.left, self.top] * 2)
        return converted

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Bounds of the panel on the picture: left, top, right, bottom in px."""
        width, height = self.size
        return self.left, self.top, self.left + width, self.top + height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the panel on the picture in px."""
        return round(self.window.width * self.scale), round(self.window.height * self.scale)


def draw_preview(scene: str, detections: LabeledBoxes, target: Path) -> None:
    """Draw the scene with its detections into a PNG file.

    Args:
        scene: Path or URI of the scene.
        detections: Detections to draw.
        target: Path of the PNG file.
    """
    with (
        open_dataset(scene) as dataset,
        translate_gdal_errors(scene, dataset.etag, "cannot be drawn"),
        gdal_env.raise_warnings(),
    ):
        source = dataset.reader
        whole, close_ups = _arrange_panels(source.width, source.height, detections.boxes)
        bands = _rgb_bands(source)
        overview = _read_panel(source, whole, bands)
        stretch = _compute_stretch(overview)
        picture = Image.new("RGB", _picture_size(whole, close_ups), PAPER)
        for panel in (whole, *close_ups):
            pixels = overview if panel is whole else _read_panel(source, panel, bands)
            picture.paste(Image.fromarray(_to_rgb(pixels, stretch)), panel.bounds[:2])
    _annotate(picture, whole, close_ups, detections)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, optimize=True)


def _arrange_panels(width: int, height: int, boxes: Boxes) -> tuple[Panel, list[Panel]]:
    """Return panels for the whole scene on the left, and for its busiest squares on the right."""
    scale = OVERVIEW_SIDE_PX / max(width, height)
    whole = Panel(Window(0, 0, width, height), scale, GAP_PX, GAP_PX)
    if not len(boxes):
        return whole, []
    side_px = max((whole.size[1] - (MAX_CLOSE_UPS - 1) * GAP_PX) // MAX_CLOSE_UPS, 120)
    side = min(max(side_px / (3 * max(scale, 1)), 48), width, height)
    windows = _select_close_ups(boxes, width, height, side)
    left = whole.bounds[2] + GAP_PX
    return whole, [
        Panel(window, side_px / side, left, GAP_PX + index * (side_px + GAP_PX))
        for index, window in enumerate(windows)
    ]


def _select_close_ups(boxes: Boxes, width: int, height: int, side: float) -> list[Window]:
    """Return the squares with the most detections; each detection counts for one square only."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    limit = np.array([width - side, height - side])
    windows: list[Window] = []
    while len(windows) < MAX_CLOSE_UPS and len(centers):
        cells, members = np.unique(centers // side, axis=0, return_inverse=True)
        fullest = np.argmax(np.bincount(members.ravel(), minlength=len(cells)))
        corner = np.clip(centers[members.ravel() == fullest].mean(axis=0) - side / 2, 0, limit)
        windows.append(Window(*corner.tolist(), side, side))
        # A square that overlaps this one would show the same ships again.
        centers = centers[np.any(np.abs(centers - corner - side / 2) > side, axis=1)]
    return windows


def _rgb_bands(source: DatasetReader) -> list[int]:
    """Return the band numbers of red, green and blue by Sentinel-2 name; else the first bands."""
    names = list(source.descriptions)
    if {"B02", "B03", "B04"} <= set(names):
        return [names.index(name) + 1 for name in ("B04", "B03", "B02")]
    return [1, 2, 3] if source.count >= 3 else [1, 1, 1]  # noqa: PLR2004 - red, green, blue


def _read_panel(source: DatasetReader, panel: Panel, bands: list[int]) -> NDArray[np.float32]:
    """Read a part of the scene at its picture size: (3, rows, cols), NaN where invalid."""
    width, height = panel.size
    close = panel.scale > 1
    pixels = source.read(
        bands,
        window=panel.window,
        out_shape=(3, height, width),
        resampling=Resampling.cubic if close else Resampling.average,
        out_dtype="float32",
        masked=True,
    )
    filled: NDArray[np.float32] = pixels.filled(np.nan)
    return filled


def _compute_stretch(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Return the values of black and white, equal for all bands to keep colors true."""
    valid = pixels[np.isfinite(pixels)]
    if not valid.size:
        return 0.0, 1.0
    low, high = np.percentile(valid, (0.5, 99.5)).tolist()
    return low, max(high, low + 1e-6)


def _to_rgb(pixels: NDArray[np.float32], stretch: tuple[float, float]) -> Rgb:
    low, high = stretch
    bright = np.clip((np.nan_to_num(pixels, nan=low) - low) / (high - low), 0, 1) ** 0.65
    return np.ascontiguousarray((bright * 255).astype(np.uint8).transpose(1, 2, 0))


def _picture_size(whole: Panel, close_ups: list[Panel]) -> tuple[int, int]:
    panels = (whole, *close_ups)
    right = max(panel.bounds[2] for panel in panels)
    bottom = max(panel.bounds[3] for panel in panels)
    return right + GAP_PX, bottom + 44


def _annotate(
    picture: Image.Image, whole: Panel, close_ups: list[Panel], detections: LabeledBoxes
) -> None:
    draw = ImageDraw.Draw(picture)
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(detections.counts())}
    for panel in (whole, *close_ups):
        _draw_boxes(picture, panel, detections, colors)
    font = ImageFont.load_default(size=20)
    for letter, panel in zip("ABC", close_ups, strict=False):
        window = panel.window
        corners = [window.col_off, window.row_off]
        corners += [corners[0] + window.width, corners[1] + window.height]
        bounds = whole.to_picture(np.array([corners]))[0].tolist()
        draw.rectangle(bounds, outline=(255, 255, 255), width=2)
        for x, y in ((bounds[0] + 2, bounds[1] - 26), (panel.left + 6, panel.top + 4)):
            draw.text((x, y), letter, (255, 255, 255), font, stroke_width=2, stroke_fill=INK)
    _draw_legend(draw, whole, detections, colors, font)


def _draw_boxes(
    picture: Image.Image,
    panel: Panel,
    detections: LabeledBoxes,
    colors: dict[str, tuple[int, int, int]],
) -> None:
    """Draw the boxes in the panel, clipped at its edge and a little wider than detections."""
    part = picture.crop(panel.bounds)
    draw = ImageDraw.Draw(part)
    width = 2 if panel.scale > 1 else 1
    converted = panel.to_picture(detections.boxes) - np.array([panel.left, panel.top] * 2)
    wider = converted + np.array([-3, -3, 3, 3])
    for box, label in zip(wider, detections.labels.tolist(), strict=True):
        draw.rectangle([*(box[:2] - 1), *(box[2:] + 1)], outline=INK, width=width + 2)
        draw.rectangle(box.tolist(), outline=colors[label], width=width)
    picture.paste(part, panel.bounds[:2])


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    whole: Panel,
    detections: LabeledBoxes,
    colors: dict[str, tuple[int, int, int]],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    x, y = float(GAP_PX), whole.bounds[3] + GAP_PX
    for name, count in detections.counts().items() or {"no detections": 0}.items():
        color = colors.get(name, PAPER)
        draw.rectangle((x, y, x + 20, y + 20), outline=INK, fill=color, width=2)
        text = f"{name}  {count}" if name in colors else name
        draw.text((x + 28, y - 2), text, INK, font)
        x += 28 + draw.textlength(text, font) + 28
