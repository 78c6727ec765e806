"""Draw detections over a small picture of their scene, as HTML for notebooks.

The size of the picture and of the page is bounded, for any scene and any number of detections.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import shapely
from rasterio.env import Env
from rasterio.features import rasterize
from rasterio.session import DummySession

from swath.detection.detections import boxes_to_polygons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.detection.detections import Detections

MAX_DRAWN_DETECTIONS = 2000
"""Maximum number of detections that are drawn; those with the highest scores are drawn."""
MAX_PICTURE_BYTES = 130_000
"""Maximum size of the picture in bytes, unless its lowest quality needs more."""
MAX_CLASSES = 20
"""Maximum number of classes in the table; the most frequent classes are listed."""
MAX_WARNINGS = 3
_MAX_NAME_CHARACTERS = 80
_QUALITIES = (88, 75, 60, 45, 30)
_MIN_SIDE_PX = 7
"""Least side of a drawn detection in px of the picture: a smaller one would be invisible."""
_TOLERANCE_PX = 0.4
_OPACITY = 0.35
_HALO_BRIGHTNESS = 0.35
"""Share of its brightness that a pixel beside a line keeps, 0 to 1."""
# Colors of Okabe and Ito that stand out on water and on land alike, and to color-blind eyes.
_COLORS = np.array(
    [
        (255, 225, 60),
        (90, 200, 255),
        (255, 140, 40),
        (240, 130, 200),
        (60, 220, 160),
        (255, 255, 255),
    ],
    np.uint8,
)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Detections to draw over a picture."""

    rows: Detections
    scale: float
    """Size of one px of the scene, in px of the picture."""
    is_filled: bool
    """Whether areas are filled, as for a segmentation."""


def to_html(
    thumbnail: NDArray[np.uint8] | None,
    layer: Layer,
    *,
    scene: str,
    model: str,
    counts: Mapping[str, int],
    warnings: Sequence[str],
) -> str:
    """Return detections as HTML: a picture with a table of their classes below.

    Args:
        thumbnail: Colors (rows, cols, 3) of the scene; None if only the table is shown.
        layer: Detections to draw.
        scene: Address of the scene.
        model: Name of the model.
        counts: Number of detections of each class, in the order of the labels.
        warnings: Sentences about the scene.
    """
    total = len(layer.rows)
    title = f"{_format_count(total)} detections by the model {_shorten(model)} in {_shorten(scene)}"
    notes = [f"warning: {text}" for text in warnings[:MAX_WARNINGS]]
    if thumbnail is None:
        notes.append("no picture: the scene cannot be read, or is large and has no overviews")
    elif total > MAX_DRAWN_DETECTIONS:
        count = _format_count(MAX_DRAWN_DETECTIONS)
        notes.append(f"the picture shows the {count} detections with the highest scores")
    return "".join(
        [
            '<figure style="margin:0">',
            "" if thumbnail is None else _image_tag(draw(thumbnail, layer), title),
            f"<figcaption><strong>{escape(title)}</strong>",
            _classes_table(counts),
            *(f"<div><small>{escape(note)}</small></div>" for note in notes),
            "</figcaption></figure>",
        ]
    )


def draw(thumbnail: NDArray[np.uint8], layer: Layer) -> NDArray[np.uint8]:
    """Return a picture (rows, cols, 3) with detections drawn over it, the best on top."""
    best = np.argsort(layer.rows.score, kind="stable")[-MAX_DRAWN_DETECTIONS:]
    rows = layer.rows.take(best)
    if not len(rows):
        return thumbnail
    color = rows.label.astype(np.int64) % len(_COLORS)
    shapes = _to_picture_polygons(rows, layer.scale)
    image = thumbnail.astype(np.float64)
    if layer.is_filled:
        image = _fill(image, shapes, color)
    lines = _draw_lines(shapes, color, thumbnail.shape[:2])
    drawn = lines >= 0
    image[_dilate(drawn) & ~drawn] *= _HALO_BRIGHTNESS
    image[drawn] = _COLORS[lines[drawn]]
    return np.asarray(np.round(image), np.uint8)


def _to_picture_polygons(rows: Detections, scale: float) -> NDArray[np.object_]:
    """Return detections as polygons in px of the picture, enlarged if they would be invisible."""
    box = rows.box * scale
    center, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    small = np.asarray((half < _MIN_SIDE_PX / 2).all(axis=1))
    half = np.where(small[:, None], _MIN_SIDE_PX / 2, half)
    shapes = boxes_to_polygons(np.concatenate([center - half, center + half], axis=1))
    if rows.outline is not None:
        drawn = shapely.transform(rows.outline[~small], lambda corners: corners * scale)
        shapes[~small] = shapely.simplify(drawn, _TOLERANCE_PX)
    return shapes


def _fill(
    image: NDArray[np.float64], shapes: NDArray[np.object_], color: NDArray[np.int64]
) -> NDArray[np.float64]:
    areas = zip(shapes, (color + 1).tolist(), strict=True)
    with Env(session=DummySession()):
        filled = rasterize(areas, out_shape=image.shape[:2], dtype=np.uint8)
    inside = filled > 0
    tint = _COLORS[filled[inside].astype(np.int64) - 1]
    image[inside] = (1 - _OPACITY) * image[inside] + _OPACITY * tint
    return image


def _draw_lines(
    shapes: NDArray[np.object_], color: NDArray[np.int64], size: tuple[int, ...]
) -> NDArray[np.int64]:
    """Return the color of the outline at each pixel (rows, cols), -1 where there is none."""
    positions, shape = shapely.get_coordinates(
        shapely.segmentize(shapely.boundary(shapes), 1.0), return_index=True
    )
    x, y = np.clip(np.floor(positions).astype(np.int64), 0, [size[1] - 1, size[0] - 1]).T
    lines = np.full(size, -1)
    lines[y, x] = color[shape]
    return lines


def _dilate(drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of the pixels drawn and of their neighbors above, below, left and right."""
    wide = drawn.copy()
    wide[1:] |= drawn[:-1]
    wide[:-1] |= drawn[1:]
    wide[:, 1:] |= drawn[:, :-1]
    wide[:, :-1] |= drawn[:, 1:]
    return wide


def _image_tag(pixels: NDArray[np.uint8], title: str) -> str:
    content = base64.b64encode(_to_jpeg(pixels)).decode()
    rows, cols = pixels.shape[:2]
    text = escape(f"Picture of the scene with an outline around each of {title}", quote=True)
    return (
        f'<img src="data:image/jpeg;base64,{content}" width="{cols}" height="{rows}" '
        f'alt="{text}" style="max-width:100%;height:auto">'
    )


def _to_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture (rows, cols, 3) as JPEG, at the highest quality that is small enough."""
    rows, cols = pixels.shape[:2]
    content = b""
    with (
        tempfile.TemporaryDirectory(prefix="swath-") as folder,
        Env(session=DummySession(), GDAL_PAM_ENABLED="NO"),
    ):
        path = Path(folder, "picture.jpg")
        for quality in _QUALITIES:
            size = {"width": cols, "height": rows, "count": 3, "dtype": "uint8"}
            with rasterio.open(path, "w", driver="JPEG", quality=quality, **size) as out:
                out.write(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            content = path.read_bytes()
            if len(content) <= MAX_PICTURE_BYTES:
                break
    return content


def _classes_table(counts: Mapping[str, int]) -> str:
    """Return an HTML table of the counts of the classes, each beside the color of the class."""
    colors = {name: _COLORS[label % len(_COLORS)] for label, name in enumerate(counts)}
    detected = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    rows = "".join(
        f'<tr><td><span style="color:rgb({",".join(map(str, colors[name]))});'
        f'-webkit-text-stroke:1px #333">&#9632;</span></td><td>{escape(_shorten(name))}</td>'
        f"<td>{_format_count(counts[name])}</td></tr>"
        for name in detected[:MAX_CLASSES]
    )
    rest = detected[MAX_CLASSES:]
    if rest:
        count = _format_count(sum(counts[name] for name in rest))
        rows += f"<tr><td></td><td>{len(rest)} other classes</td><td>{count}</td></tr>"
    if not rows:
        return ""
    head = "<tr><th></th><th>class</th><th>detections</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _shorten(text: str) -> str:
    """Return the end of a long text, since names differ there."""
    return text if len(text) <= _MAX_NAME_CHARACTERS else f"…{text[1 - _MAX_NAME_CHARACTERS :]}"


def _format_count(count: int) -> str:
    return f"{count:,}"
