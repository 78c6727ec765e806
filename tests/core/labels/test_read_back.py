"""A run's own detections come back as the same pixels, from its GeoParquet and as COCO: scenes of
every kind of place on Earth, boxes and outlines."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
import shapely.affinity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.detections import Detections, outlines_of
from swath.footprint import footprint
from swath.geoparquet import GeoParquetWriter
from swath.georeference import Georeferencer
from swath.labels.read import read_collection
from swath.scene import open_scene
from tests.anywhere import KINDS, SIDE
from tests.fuzzing import draws

CLOSE = 0.1
"""px."""


@pytest.fixture(scope="module", params=KINDS, name="scene")
def _scene(request, tmp_path_factory):
    kind = KINDS[request.param]
    path = tmp_path_factory.mktemp("back") / "scene.tif"
    form = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint8"}
    place = {} if kind.gcps else {"crs": kind.crs, "transform": kind.transform}
    with rasterio.open(path, "w", **form, **place) as file:
        file.write(np.ones((1, SIDE, SIDE), "uint8"))
        if kind.gcps:
            file.gcps = (kind.gcps, kind.crs)
    with open_scene(str(path)) as opened:
        return opened.info, Georeferencer.of(opened.info)


def detected(outlines):
    boxes = shapely.bounds(outlines)
    count = len(boxes)
    return Detections.of_tile(
        boxes, np.ones(count, np.float32), np.zeros(count, np.int16), 0, np.array(outlines, object)
    )


def written(path, scene, georeferencer, found):
    """Write a run's file and give its rows."""
    places = georeferencer.place(found.box, found.outline)
    with GeoParquetWriter(
        path,
        classes=["ship"],
        run_id="r",
        scene=scene.uri,
        model="m",
        footprint=footprint(scene, georeferencer),
    ) as writer:
        writer.write(found, places)
    return pq.read_table(path), places.found


def as_geojson(path, table):
    features = [
        {
            "type": "Feature",
            "properties": {"class": name},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for name, shape in zip(
            table["class"].to_pylist(), shapely.from_wkb(table["geometry"].to_numpy()), strict=True
        )
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def as_coco(path, table):
    """The columns in px, in COCO's words."""
    edges = [table[name].to_numpy() for name in ("x_min", "y_min", "x_max", "y_max")]
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i, (x0, y0, x1, y1) in enumerate(zip(*(e.tolist() for e in edges), strict=True), 1)
    ]
    images = [{"id": 1, "file_name": "scene.tif"}]
    categories = [{"id": 1, "name": "ship"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(content))
    return str(path)


starts = st.floats(0, SIDE - 4)
box = st.tuples(starts, starts, st.floats(2, SIDE), st.floats(2, SIDE)).map(
    lambda b: shapely.box(b[0], b[1], min(SIDE, b[0] + b[2]), min(SIDE, b[1] + b[3]))
)
turned = st.tuples(
    st.floats(8, SIDE - 8), st.floats(8, SIDE - 8), st.floats(2, 10), st.floats(0, 180)
).map(lambda t: shapely.affinity.rotate(shapely.box(t[0] - t[2] / 2, t[1] - 2, t[0] + t[2] / 2, t[1] + 2), t[3]))
holed = box.filter(lambda b: b.area > 30).map(lambda b: b - shapely.affinity.scale(b, 0.4, 0.4))


@pytest.mark.fuzz
@settings(
    max_examples=draws(5, fuzz=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(outlines=st.lists(box | turned | holed, min_size=1, max_size=6))
def test_own_detections_come_back_as_the_same_pixels(scene, tmp_path_factory, outlines):
    info, georeferencer = scene
    folder = tmp_path_factory.mktemp("own")
    found = detected(outlines)
    table, there = written(folder / "detections.parquet", info, georeferencer, found)
    wanted = found.take(there)
    if not len(wanted):
        return

    (coco,) = read_collection(as_coco(folder / "own.json", table), info.uri).scenes
    (back,) = read_collection(as_geojson(folder / "own.geojson", table), info.uri).scenes

    np.testing.assert_allclose(coco.boxes, wanted.box, atol=1e-6)
    whole = np.array([wholly_there(georeferencer, one) for one in wanted.outline])
    assert len(back.boxes) == len(wanted)
    np.testing.assert_allclose(back.boxes[whole], wanted.box[whole], atol=CLOSE)
    for read, drawn in zip(back.outlines[whole], wanted.outline[whole], strict=True):
        assert shapely.hausdorff_distance(read.boundary, drawn.boundary, densify=0.1) < 0.5
    # What the Earth's edge cuts comes back as what is on Earth.
    assert (back.boxes[~whole] >= wanted.box[~whole] - [CLOSE, CLOSE, np.inf, np.inf]).all()
    assert (back.boxes[~whole] <= wanted.box[~whole] + [np.inf, np.inf, CLOSE, CLOSE]).all()


def wholly_there(georeferencer, outline):
    x0, y0, x1, y1 = outline.bounds
    grid = np.meshgrid(np.linspace(x0, x1, 30), np.linspace(y0, y1, 30))
    return bool(np.isfinite(georeferencer.points(*grid)[0]).all())
