"""Labeled scenes for a model whose every answer is known (`packages.bright_pixels`)."""

import json

import numpy as np
import shapely

from swath.labels.collection import Collection, LabeledScene

WIDTH, HEIGHT = 100, 60


def dots(places, score=0.9):
    """Pixels (1, rows, cols) that the model sees as boxes of 1 px, at (x, y), with that score."""
    pixels = np.zeros((1, HEIGHT, WIDTH), np.int16)
    for place in places:
        pixels[0, place[1], place[0]] = round(100 * (place[2] if len(place) > 2 else score) ** 2)
    return pixels


def around(places):
    """The boxes of dots."""
    corner = np.array([place[:2] for place in places], np.float64).reshape(-1, 2)
    return np.concatenate([corner, corner + 1], axis=1)


def collection_of(scenes, classes=("dot",)):
    """A collection of (address, boxes or outlines) pairs, all of the first class."""
    return Collection.from_scenes([_labeled(uri, labels) for uri, labels in scenes], classes)


def _labeled(uri, labels, size=None):
    outlined = labels.ndim == 1
    count = len(labels)
    width, height = size or _size(uri)
    return LabeledScene(
        uri=str(uri),
        width=width,
        height=height,
        boxes=shapely.bounds(labels).reshape(-1, 4) if outlined else labels,
        classes=np.zeros(count, np.int64),
        outlines=labels if outlined else None,
        crowd=np.zeros(count, np.bool_),
    )


def _size(uri):
    import rasterio  # noqa: PLC0415

    with rasterio.open(uri) as scene:
        return scene.width, scene.height


def write_coco(path, scenes, classes=("dot",)):
    """Write labels of (file name, boxes) pairs as COCO, all of the first class."""
    images, annotations = [], []
    for number, (name, boxes) in enumerate(scenes, 1):
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for x0, y0, x1, y1 in boxes.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path
