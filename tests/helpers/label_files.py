"""Labels to read, made here."""

import json

import numpy as np
import shapely

from swath.labels.collection import Collection, LabeledScene


def write_json(path, content):
    """Writes it, and gives the path as text."""
    path.write_text(json.dumps(content))
    return str(path)


def coco(*, images, annotations=(), categories=("ship",)):
    """A COCO file of (file name, width, height) and (image, category, box or options)."""
    return {
        "images": [
            {"id": number, "file_name": name, "width": width, "height": height}
            for number, (name, width, height) in enumerate(images, 1)
        ],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category}
            | (given if isinstance(given, dict) else {"bbox": list(given)})
            for number, (image, category, given) in enumerate(annotations, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, 1)],
    }


def geojson(shapes, *, crs=None, properties=None):
    """A GeoJSON file of shapely shapes."""
    member = {"type": "name", "properties": {"name": crs}}
    return {
        "type": "FeatureCollection",
        **({"crs": member} if crs else {}),
        "features": [
            {
                "type": "Feature",
                "properties": properties or {},
                "geometry": json.loads(shapely.to_geojson(shape)),
            }
            for shape in shapes
        ],
    }


def labeled(uri, width, height, boxes=(), *, classes=None, crowd=None, outlines=None):
    """A labeled scene; `outlines="boxes"` makes them of the boxes."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if isinstance(outlines, str):
        outlines = shapely.box(*boxes.T)
    return LabeledScene(
        uri=str(uri),
        width=width,
        height=height,
        boxes=boxes,
        classes=np.zeros(len(boxes), np.int64) if classes is None else np.asarray(classes),
        outlines=None if outlines is None else np.asarray(outlines, object),
        crowd=np.zeros(len(boxes), np.bool_) if crowd is None else np.asarray(crowd, np.bool_),
    )


def collection(*scenes, classes=("ship",)):
    """A collection of labeled scenes."""
    return Collection.from_scenes(scenes, classes)
