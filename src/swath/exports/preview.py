"""Draw a run's detections over its scene: an overview, close-ups of the busiest areas, a legend.

The overview is read at the size of the picture, from the scene's overviews if it has any. Of the
detections, only the best are held in memory. So neither the size of the scene nor the number of
detections matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swath import storage
from swath.raster.display import color_bands, color_limits, to_colors

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from swath.raster.scene import Scene

OVERVIEW_SIDE_PX = 1200
MAX_CLOSE_UPS = 3
MAX_DRAWN_DETECTIONS = 20_000
"""Maximum number of detections that are drawn; those with the highest scores are drawn."""
GAP_PX = 12
PAPER = (250, 250, 248)
INK = (30, 34, 40)
# Colors of Okabe and Ito that contrast with water and land, also for color-blind readers.
COLORS = (
    (255, 225, 60),
    (255, 140, 40),
    (240, 130, 200),
    (120, 220, 255),
    (60, 220, 160),
    (255, 255, 255),
)
_MAX_NAMES = 12
"""Maximum number of classes in the legend; the most frequent classes are listed."""
_CLOSE_UP_SHARE = 3
"""Enlargement of a close-up compared with the overview."""
_MIN_CLOSE_UP_PX = 48
"""Smallest side of a close-up in scene px."""
_MAX_CLOSE_UP_PX = 2048
"""Largest side of a close-up in scene px, so that few blocks of a large scene are decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnDetections:
    """Detections to draw.

    Attributes:
        boxes: Boxes (n, 4): x0, y0, x1, y1 in scene px.
        labels: Class names (n,).
        counts: Number of all detections by class, also of those that are not drawn.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.str_]
    counts: Mapping[str, int]

    @property
    def colors(self) -> dict[str, tuple[int, int, int]]:
        """Color of each class, in the order of the names."""
        return {name: COLORS[i % len(COLORS)] for i, name in enumerate(sorted(self.counts))}


def collect_best(tables: Iterable[pa.Table]) -> DrawnDetections:
    """Return the detections with the highest scores, and the counts of all.

    Args:
        tables: Detections with the columns of `swath.detection.geoparquet.SCHEMA`.
    """
    boxes, labels = np.empty((0, 4)), np.empty(0, np.str_)
    scores = np.empty(0, np.float32)
    counts: dict[str, int] = {}
    for table in tables:
        names = np.array(table["class"].to_pylist(), np.str_)
        for name, count in zip(*np.unique(names, return_counts=True), strict=True):
            counts[str(name)] = counts.get(str(name), 0) + int(count)
        edges = ("x_min", "y_min", "x_max", "y_max")
        boxes = np.concatenate([boxes, np.stack([table[edge].to_numpy() for edge in edges], 1)])
        labels = np.concatenate([labels, names])
        scores = np.concatenate([scores, table["score"].to_numpy()])
        best = np.argsort(-scores, kind="stable")[:MAX_DRAWN_DETECTIONS]
        boxes, labels, scores = boxes[best], labels[best], scores[best]
    return DrawnDetections(boxes, labels, dict(sorted(counts.items())))


@dataclass(frozen=True, slots=True)
class Panel:
    """Part of the scene on the picture.

    Attributes:
        window: x, y, width and height in scene px.
        scale: Size of one px of the scene, in px of the picture.
        left: Left edge on the picture in px.
        top: Top edge on the picture in px.
    """

    window: tuple[int, int, int, int]
    scale: float
    left: int
    top: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the picture in px."""
        _, _, width, height = self.window
        return max(1, round(width * self.scale)), max(1, round(height * self.scale))

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Bounds on the picture: left, top, right, bottom in px."""
        width, height = self.size
        return self.left, self.top, self.left + width, self.top + height

    def to_picture(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert boxes (n, 4) from scene px to picture px."""
        x, y, _, _ = self.window
        converted: NDArray[np.float64] = (boxes - [x, y, x, y]) * self.scale + [
            self.left,
            self.top,
            self.left,
            self.top,
        ]
        return converted


def draw_preview(scene: Scene, detections: DrawnDetections, target: str) -> None:
    """Draw a scene with its detections into a PNG file.

    All bands are stretched alike, from the 0.5th to the 99.5th percentile of the overview, so that
    the colors stay true. Complex numbers are drawn by their magnitude.

    Args:
        scene: Open scene.
        detections: Detections to draw, in px of the scene.
        target: Path or S3 URI of the PNG file.

    Raises:
        SceneError: The scene is damaged, or has no bands that can be shown.
    """
    info = scene.info
    bands = color_bands(info)
    whole, close_ups = _arrange_panels(info.width, info.height, detections.boxes)
    cols, rows = whole.size
    shape = min(rows, info.height), min(cols, info.width)
    pixels, valid = scene.read_reduced(shape, bands)
    limits = color_limits(pixels, valid)
    picture = Image.new("RGB", _picture_size(whole, close_ups), PAPER)
    _paste(picture, whole, to_colors(pixels, valid, limits))
    for panel in close_ups:
        _paste(picture, panel, to_colors(*scene.read(panel.window, bands), limits))
    _annotate(picture, whole, close_ups, detections)
    with storage.writing(target, content_type="image/png") as path:
        picture.save(path, format="PNG", optimize=True)


def _paste(picture: Image.Image, panel: Panel, colors: NDArray[np.uint8]) -> None:
    image = Image.fromarray(colors).resize(panel.size, Image.Resampling.BICUBIC)
    picture.paste(image, panel.bounds[:2])


def _arrange_panels(
    width: int, height: int, boxes: NDArray[np.float64]
) -> tuple[Panel, list[Panel]]:
    """Return panels for the whole scene on the left, and for its busiest squares on the right."""
    scale = OVERVIEW_SIDE_PX / max(width, height)
    whole = Panel((0, 0, width, height), scale, GAP_PX, GAP_PX)
    if not len(boxes):
        return whole, []
    side_px = max((whole.size[1] - (MAX_CLOSE_UPS - 1) * GAP_PX) // MAX_CLOSE_UPS, 120)
    wanted = np.clip(
        side_px / (_CLOSE_UP_SHARE * max(scale, 1)), _MIN_CLOSE_UP_PX, _MAX_CLOSE_UP_PX
    )
    side = int(min(wanted, width, height))
    left = whole.bounds[2] + GAP_PX
    return whole, [
        Panel((x, y, side, side), side_px / side, left, GAP_PX + index * (side_px + GAP_PX))
        for index, (x, y) in enumerate(_busiest_corners(boxes, width, height, side))
    ]


def _busiest_corners(
    boxes: NDArray[np.float64], width: int, height: int, side: int
) -> list[tuple[int, int]]:
    """Return the corners of the squares with the most detections, each counted for one square."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    limit = np.array([width - side, height - side])
    corners: list[tuple[int, int]] = []
    while len(corners) < MAX_CLOSE_UPS and len(centers):
        cells, members = np.unique(centers // side, axis=0, return_inverse=True)
        fullest = np.argmax(np.bincount(members.ravel(), minlength=len(cells)))
        middle = centers[members.ravel() == fullest].mean(axis=0)
        x, y = np.clip(middle - side / 2, 0, limit).astype(int).tolist()
        corners.append((x, y))
        # A square that overlaps this one would show the same detections again.
        far = np.abs(centers - [x + side / 2, y + side / 2]) > side
        centers = centers[far.any(axis=1)]
    return corners


def _picture_size(whole: Panel, close_ups: Sequence[Panel]) -> tuple[int, int]:
    panels = (whole, *close_ups)
    right = max(panel.bounds[2] for panel in panels)
    bottom = max(panel.bounds[3] for panel in panels)
    return right + GAP_PX, bottom + 44


def _annotate(
    picture: Image.Image, whole: Panel, close_ups: Sequence[Panel], detections: DrawnDetections
) -> None:
    draw = ImageDraw.Draw(picture)
    for panel in (whole, *close_ups):
        _draw_boxes(picture, panel, detections)
    font = ImageFont.load_default(size=20)
    for letter, panel in zip("ABC", close_ups, strict=False):
        x, y, width, height = panel.window
        bounds = whole.to_picture(np.array([[x, y, x + width, y + height]], float))[0].tolist()
        draw.rectangle(bounds, outline=(255, 255, 255), width=2)
        for at in ((bounds[0] + 2, bounds[1] - 26), (panel.left + 6, panel.top + 4)):
            draw.text(at, letter, (255, 255, 255), font, stroke_width=2, stroke_fill=INK)
    _draw_legend(draw, whole, detections, font)


def _draw_boxes(picture: Image.Image, panel: Panel, detections: DrawnDetections) -> None:
    """Draw the boxes in the panel, clipped at its edge and a little wider than detections."""
    part = picture.crop(panel.bounds)
    draw = ImageDraw.Draw(part)
    width = 2 if panel.scale > 1 else 1
    converted = panel.to_picture(detections.boxes) - np.array([panel.left, panel.top] * 2)
    wider = converted + np.array([-3, -3, 3, 3])
    inside = (wider[:, 2:] >= 0).all(axis=1) & (wider[:, :2] <= panel.size).all(axis=1)
    colors = detections.colors
    # The best are drawn last, on top of the others.
    for index in np.flatnonzero(inside)[::-1]:
        box = wider[index]
        draw.rectangle([*(box[:2] - 1), *(box[2:] + 1)], outline=INK, width=width + 2)
        draw.rectangle(box.tolist(), outline=colors[str(detections.labels[index])], width=width)
    picture.paste(part, panel.bounds[:2])


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    whole: Panel,
    detections: DrawnDetections,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    x, y = float(GAP_PX), whole.bounds[3] + GAP_PX
    colors = detections.colors
    counts = sorted(detections.counts.items(), key=lambda entry: -entry[1])
    entries = [(colors[name], f"{name}  {count:,}") for name, count in counts[:_MAX_NAMES]]
    if len(counts) > _MAX_NAMES:
        rest = counts[_MAX_NAMES:]
        total = sum(count for _, count in rest)
        entries.append((PAPER, f"{len(rest)} other classes  {total:,}"))
    for color, text in entries or [(PAPER, "no detections")]:
        draw.rectangle((x, y, x + 20, y + 20), outline=INK, fill=color, width=2)
        draw.text((x + 28, y - 2), text, INK, font)
        x += 28 + draw.textlength(text, font) + 28
