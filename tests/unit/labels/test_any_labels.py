"""Property tests of labels in every format: swath reads the intended objects, or gives the reason.

Each example is a set of objects in px, written in one format with one oddity. Either the objects
are read back, or a LabelsError names the file. Nothing else may happen.
"""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
import shapely
from faster_coco_eval.core import mask as coco_mask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.warp import transform

from swath.errors import LabelsError
from swath.labels.read import read_collection
from tests.helpers.fuzzing import draws

WIDTH, HEIGHT = 60, 40
AT = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM, LON_LAT = CRS.from_epsg(32631), CRS.from_epsg(4326)
CLASSES = ("ship", "buoy", "Schiff ü")


@dataclass
class Thing:
    """An intended object."""

    shape: object
    name: str
    crowd: bool = False


@dataclass
class Drawn:
    """Label files, and the expected result of reading them."""

    files: dict
    things: list
    outlined: bool = True
    must_refuse: str = ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes")
    profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 1, "dtype": "uint8"}
    with rasterio.open(path / "port.tif", "w", crs=UTM, transform=AT, **profile) as scene:
        scene.write(np.ones((1, HEIGHT, WIDTH), np.uint8))
    return path


@st.composite
def shapes(draw):
    x, y = draw(st.integers(1, 40)), draw(st.integers(1, 25))
    w, h = draw(st.integers(2, 15)), draw(st.integers(2, 12))
    box = shapely.box(x, y, x + w, y + h)
    kind = draw(st.sampled_from(["box", "triangle", "hole", "parts", "turned"]))
    if kind == "triangle":
        return shapely.Polygon([(x, y), (x + w, y), (x + w, y + h)])
    if kind == "hole":
        return box.difference(shapely.box(x + 0.5, y + 0.5, x + w - 0.5, y + h - 0.5))
    if kind == "parts":
        return shapely.union_all([box, shapely.box(x + w + 1, y, x + w + 3, y + 2)])
    if kind == "turned":
        return shapely.affinity.rotate(box, draw(st.integers(1, 179))).intersection(
            shapely.box(0, 0, WIDTH, HEIGHT)
        )
    return box


@st.composite
def things(draw, most=4):
    return [
        Thing(draw(shapes()), draw(st.sampled_from(CLASSES)))
        for _ in range(draw(st.integers(1, most)))
    ]


def encoded(draw, text):
    """Return the text's bytes in one of the encodings that editors save."""
    kind = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"]))
    return text.encode(kind)


def refused(error, folder):
    text = str(error)
    assert str(folder) in text, text
    assert "\n" not in text.strip()
    assert len(text) < 12_000


def check(folder, drawn, source):
    for name, content in drawn.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    try:
        found = read_collection(str(folder / source), str(folder))
    except LabelsError as error:
        if not drawn.must_refuse:
            raise
        refused(error, folder)
        return
    assert not drawn.must_refuse, drawn.must_refuse
    (scene,) = found.scenes
    assert [found.classes[number] for number in scene.classes] == [t.name for t in drawn.things]
    assert scene.crowd.tolist() == [thing.crowd for thing in drawn.things]
    frame = shapely.box(0, 0, WIDTH, HEIGHT)
    shapes = [thing.shape.intersection(frame) for thing in drawn.things]
    np.testing.assert_allclose(scene.boxes, shapely.bounds(shapes), atol=1e-3)
    assert (scene.outlines is not None) == drawn.outlined
    if drawn.outlined:
        for outline, shape in zip(scene.outlines, shapes, strict=True):
            assert outline.symmetric_difference(shape).area < 0.01 * shape.area


OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


# --------------------------------------------------------------------------------------- COCO


def rings_of(shape):
    return [
        np.round(shapely.get_coordinates(part.exterior)[:-1], 6).ravel().tolist()
        for part in shapely.get_parts(shape)
    ]


def mask_of(shape):
    return rasterize([shape], out_shape=(HEIGHT, WIDTH), dtype="uint8")


def runs_of(mask, *, letters):
    packed = coco_mask.encode(np.asfortranarray(mask))
    if letters:
        return {"size": packed["size"], "counts": packed["counts"].decode()}
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": ([0, *runs] if flat[0] else runs)}


def from_mask(mask):
    cells = [shapely.box(x, y, x + 1, y + 1) for y, x in np.argwhere(mask)]
    return shapely.union_all(cells)


def written(draw, thing, number):
    """Return an object's annotation, and the object that it describes: masks have whole pixels."""
    shape = thing.shape
    way = draw(st.sampled_from(["bbox", "polygon", "both", "letters", "numbers", "cvat"]))
    annotation = {"id": number, "image_id": 1, "category_id": CLASSES.index(thing.name) + 1}
    if way in {"letters", "numbers"}:
        mask = mask_of(shape)
        if not mask.any():
            way = "bbox"
        else:
            shape = from_mask(mask)
            annotation["segmentation"] = runs_of(mask, letters=way == "letters")
            if draw(st.booleans()):
                annotation["iscrowd"], thing = 1, Thing(shape, thing.name, crowd=True)
    if way in {"polygon", "both"}:
        annotation["segmentation"] = rings_of(shape)
        shape = shapely.union_all(
            [shapely.Polygon(np.reshape(r, (-1, 2))) for r in rings_of(shape)]
        )
    if way in {"bbox", "both"}:
        x0, y0, x1, y1 = shape.bounds
        annotation["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        annotation["segmentation"] = annotation.get(
            "segmentation", draw(st.sampled_from([[], None]))
        )
    if way == "cvat":
        angle = draw(st.sampled_from([0.0, 90.0, 30.5, 180, 359.0, "45.0", -20.0]))
        box = shapely.box(20, 15, 20 + draw(st.integers(4, 20)), 15 + draw(st.integers(2, 8)))
        x0, y0, x1, y1 = box.bounds
        annotation |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "attributes": {"rotation": angle}}
        if draw(st.booleans()):
            annotation["segmentation"] = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        # the y axis points down, so this turns clockwise
        shape = shapely.affinity.rotate(box, float(angle))
    outlined = way != "bbox" and not (way == "cvat" and not float(angle))
    return annotation, Thing(shape, thing.name, thing.crowd), outlined


@st.composite
def coco(draw):
    meant, annotations, outlined = [], [], []
    for number, one in enumerate(draw(things()), 1):
        annotation, thing, has_outline = written(draw, one, number)
        annotations.append(annotation)
        meant.append(thing)
        outlined.append(
            has_outline or ("segmentation" in annotation and annotation["segmentation"])
        )
    image = {"id": 1, "file_name": draw(st.sampled_from(["port.tif", "./port.tif", ".//port.tif"]))}
    if draw(st.booleans()):
        image |= {"width": WIDTH, "height": HEIGHT}
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    content = {
        "images": [image],
        "annotations": annotations,
        "categories": draw(st.permutations(categories)),
    }
    if draw(st.booleans()):  # ids as strings
        for one in annotations:
            one["image_id"] = "a"
        image["id"] = "a"
    must_refuse = draw(st.sampled_from(["", "", "", *FAULTS]))
    text = json.dumps(content, ensure_ascii=draw(st.booleans()))
    if must_refuse:
        changed = FAULTS[must_refuse](content, annotations[0])
        text = changed if isinstance(changed, str) else json.dumps(content)
    return Drawn(
        {"labels.json": encoded(draw, text)}, meant, bool(all(outlined)), must_refuse=must_refuse
    )


def plain(annotation, **members):
    for name in ("segmentation", "attributes", "iscrowd"):
        annotation.pop(name, None)
    annotation.update({"bbox": [5, 5, 10, 8]} | members)


def alone(content, annotation, **members):
    plain(annotation, **members)
    del content["annotations"][1:]


def again(content, *, of, member):
    one = dict(content[of][0])
    content[of].append(one | member)


FAULTS = {
    "five numbers": lambda _, a: plain(a, bbox=[20, 20, 10, 4, 0.5]),
    "eight numbers": lambda _, a: plain(a, bbox=[5, 5, 9, 5, 9, 9, 5, 9]),
    "angle beside it": lambda _, a: plain(a, angle=30),
    "rotation beside it": lambda _, a: plain(a, rotation=0.5),
    "rotation in words": lambda _, a: plain(a, attributes={"rotation": "left"}),
    "mode of corners": lambda _, a: plain(a, bbox_mode=0),
    "negative side": lambda _, a: plain(a, bbox=[20, 20, -5, 5]),
    "no side": lambda _, a: plain(a, bbox=[20, 20, 0, 5]),
    "outside": lambda _, a: plain(a, bbox=[100, 5, 5, 5]),
    "box apart from its outline": lambda _, a: plain(
        a, bbox=[40, 30, 5, 5], segmentation=[[1, 1, 9, 1, 9, 9]]
    ),
    "neither": lambda _, a: plain(a, bbox=None),
    "two points": lambda _, a: plain(a, bbox=None, segmentation=[[1, 1, 5, 5]]),
    "odd numbers": lambda _, a: plain(a, bbox=None, segmentation=[[1, 1, 5, 5, 9, 9, 2]]),
    "flat outline": lambda _, a: plain(a, bbox=None, segmentation=[[1, 1, 5, 5, 9, 9]]),
    "flat list": lambda _, a: plain(a, bbox=None, segmentation=[1, 1, 9, 1, 9, 9]),
    "runs too short": lambda _, a: plain(a, segmentation={"size": [40, 60], "counts": [5, 3]}),
    "runs of wrapping sum": lambda _, a: plain(
        a, segmentation={"size": [40, 60], "counts": [2**63, 2**63, 2400]}
    ),
    "runs of another size": lambda _, a: plain(
        a, segmentation={"size": [60, 40], "counts": [0, 2400]}
    ),
    "letters of no code": lambda _, a: plain(a, segmentation={"size": [40, 60], "counts": "é~"}),
    "letters that break off": lambda _, a: plain(
        a, segmentation={"size": [40, 60], "counts": "oooooooooooooooooooooooooooooo"}
    ),
    "letters too many": lambda _, a: plain(
        a, segmentation={"size": [40, 60], "counts": "o" * 40 + "0"}
    ),
    "negative area": lambda _, a: plain(a, area=-1),
    "crowd of 2": lambda _, a: plain(a, iscrowd=2),
    "unknown image": lambda _, a: plain(a, image_id="nowhere"),
    "unknown class": lambda _, a: plain(a, category_id="nothing"),
    "scene twice": lambda c, _: again(
        c, of="images", member={"id": 77, "file_name": ".././scenes0/port.tif"}
    ),
    "image id twice": lambda c, _: again(c, of="images", member={"file_name": "b.tif"}),
    "annotation twice": lambda c, _: again(c, of="annotations", member={}),
    "class id twice": lambda c, _: again(c, of="categories", member={"name": "other"}),
    "class twice": lambda c, _: again(c, of="categories", member={"id": 9}),
    "class with NUL": lambda c, _: c["categories"].append({"id": 9, "name": "a\0b"}),
    "class without a letter": lambda c, _: c["categories"].append({"id": 9, "name": " "}),
    "class alike": lambda c, _: c["categories"].append({"id": 9, "name": "ship "}),
    "no such scene": lambda c, _: c["images"][0].update(file_name="PORT.TIF"),
    "escaped name": lambda c, _: c["images"][0].update(file_name="port%2Etif"),
    "name with NUL": lambda c, _: c["images"][0].update(file_name="a\0.tif"),
    "no name": lambda c, _: c["images"][0].update(file_name=""),
    "endless name": lambda c, _: c["images"][0].update(file_name="a" * 5000 + ".tif"),
    "other size": lambda c, _: c["images"][0].update(width=HEIGHT, height=WIDTH),
    "endless outline": lambda _, a: plain(a, bbox=None, segmentation=[[1, 1, 9e307, 1, 9, 9e307]]),
    "endless box": lambda _, a: plain(a, bbox=[9e307, 5, 9e307, 5]),
    "endless width": lambda _, a: plain(a, bbox=[-1e308, 5, 1.7e308, 5]),
    "shares": lambda c, a: (
        plain(a, bbox=[0.1, 0.2, 0.3, 0.2]),
        c["annotations"].__delitem__(slice(1, None)),
    ),
    "outline in shares": lambda c, a: alone(
        c, a, bbox=None, segmentation=[[0.1, 0.1, 0.5, 0.1, 0.5, 0.5]]
    ),
    "corners": lambda c, a: alone(c, a, bbox=[30, 20, 59, 39]),
    "NaN": lambda _, a: plain(a, bbox=[float("nan"), 5, 5, 5]),
    "infinity": lambda _, a: plain(a, bbox=[5, 5, float("inf"), 5]),
    "member twice": lambda c, _: json.dumps(c)[:-1] + ', "annotations": []}',
    "nested": lambda _, __: '{"images": ' + "[" * 100_000,
    "nested elsewhere": lambda c, _: (
        json.dumps(c)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    ),
    "half": lambda c, _: json.dumps(c)[: len(json.dumps(c)) // 2],
    "half a pair": lambda c, _: json.dumps(c).replace("ship", "\\ud800"),
    "lines": lambda c, _: json.dumps(c) + "\n" + json.dumps(c),
    "without categories": lambda c, _: c.pop("categories"),
}


@pytest.mark.fuzz
@settings(max_examples=draws(80, fuzz=5000), **OPTIONS)
@given(coco())
def test_coco(folder, drawn):
    check(folder, drawn, "labels.json")


def one_ship():
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 10, 8]}
    return {
        "images": [{"id": 1, "file_name": "port.tif"}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "ship"}],
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_coco_is_refused(folder, fault):
    content = one_ship()
    changed = FAULTS[fault](content, content["annotations"][0])
    text = changed if isinstance(changed, str) else json.dumps(content)

    check(folder, Drawn({"labels.json": text.encode()}, [], must_refuse=fault), "labels.json")


# ------------------------------------------------------------------------------------ GeoJSON

NAMES = {
    "lon, lat": ([None], LON_LAT),
    "named lon, lat": (
        [
            "urn:ogc:def:crs:OGC:1.3:CRS84",
            "EPSG:4326",
            4326,
            "urn:ogc:def:crs:EPSG::4326",
            "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        ],
        LON_LAT,
    ),
    "UTM": (["urn:ogc:def:crs:EPSG::32631", "EPSG:32631", 32631, UTM.to_wkt()], UTM),
    "web": (["EPSG:3857", "urn:x-ogc:def:crs:EPSG:3857"], CRS.from_epsg(3857)),
    "polar": (["EPSG:3413"], CRS.from_epsg(3413)),
}
ODD_CRS = [
    {},
    [],
    3,
    "EPSG:4326",
    {"type": "name"},
    {"type": "name", "properties": None},
    {"type": "name", "properties": []},
    {"type": "name", "properties": "EPSG:4326"},
    {"type": "name", "properties": {}},
    {"type": "name", "properties": {"name": None}},
    {"type": "name", "properties": {"name": ""}},
    {"type": "name", "properties": {"name": {}}},
    {"type": "name", "properties": {"name": True}},
    {"type": "name", "properties": {"name": "x"}},
    {"type": "name", "properties": {"name": "EPSG:"}},
    {"type": "name", "properties": {"name": -1}},
    {"type": "name", "properties": {"name": "EPSG:99999999999999"}},
    {"type": "name", "properties": {"name": 10**30}},
    {"type": "name", "properties": {"name": "http://localhost:9/crs"}},
    {"type": "name", "properties": {"name": "/etc/hostname"}},
    {"type": "name", "properties": {"name": "EPSG:5773"}},  # heights alone
    {"type": "name", "properties": {"name": "EPSG:4978"}},  # geocentric
    {"type": "name", "properties": {"name": "+proj=nothing"}},
    {"type": "name", "properties": {"name": "GEOGCS[]"}},
    {"type": "name", "properties": {"name": "EPSG:43\0 26"}},
    {"type": "link", "properties": {"href": "http://localhost:9/crs", "type": "proj4"}},
]


def on_the_map(shape, crs):
    def place(points):
        x, y = AT @ points.T
        return np.transpose(transform(UTM, crs, x, y))

    # An edge is straight in the scene, but curved on the map.
    return json.loads(shapely.to_geojson(shapely.transform(shapely.segmentize(shape, 1.0), place)))


def raised(coordinates):
    """Return the coordinates with heights."""
    if isinstance(coordinates[0], int | float):
        return [*coordinates, 12.5]
    return [raised(one) for one in coordinates]


FIRST = {
    "nothing": None,
    "line": {"type": "LineString", "coordinates": [[3, 45], [3.1, 45]]},
    "points": {"type": "MultiPoint", "coordinates": [[3, 45]]},
    "point": {"type": "Point", "coordinates": [3.001, 45.15]},
    "several": {"type": "GeometryCollection", "geometries": []},
    "empty": {"type": "Polygon", "coordinates": []},
    "open": {"type": "Polygon", "coordinates": [[[3, 45], [3.1, 45], [3.1, 45.1]]]},
    "two corners": {"type": "Polygon", "coordinates": [[[3, 45], [3.1, 45], [3, 45]]]},
    "text": {"type": "Polygon", "coordinates": "3 45"},
    "texts": {"type": "Polygon", "coordinates": [[["3", "45"]] * 4]},
    "flat": {"type": "Polygon", "coordinates": [[[3, 45]] * 4]},
    "small letters": {"type": "polygon", "coordinates": [[[3, 45], [3.1, 45], [3, 45.1], [3, 45]]]},
    "no type": {"coordinates": [[[3, 45], [3.1, 45], [3, 45.1], [3, 45]]]},
    "a feature": {"type": "Feature", "geometry": None, "properties": {}},
    "a list": [],
    "far away": {"type": "Polygon", "coordinates": [[[93, 0], [93, 1], [94, 1], [93, 0]]]},
    "beyond the pole": {"type": "Polygon", "coordinates": [[[3, 95], [4, 95], [4, 99], [3, 95]]]},
    "endless": {
        "type": "Polygon",
        "coordinates": [[[1e300, 5], [1e300, 6], [1e301, 6], [1e300, 5]]],
    },
    "deep": "DEEP",
}
FEATURE_FAULTS = {
    "a list for a class": lambda f: f["properties"].update({"class": ["ship"]}),
    "a flag for a class": lambda f: f["properties"].update({"class": True}),
    "a part of 1 for a class": lambda f: f["properties"].update({"class": 1.5}),
    "NUL in a class": lambda f: f["properties"].update({"class": "a\0b"}),
    "empty class": lambda f: f["properties"].update({"class": ""}),
    "properties that are a list": lambda f: f.update(properties=[]),
    "an id that is a list": lambda f: f.update(id=[1]),
    "a crs of its own": lambda f: f.update(crs={"type": "name", "properties": {"name": "EPSG:1"}}),
    "a crs in its geometry": lambda f: f["geometry"].update(crs={"type": "name"}),
    "a collection": lambda f: (f.clear(), f.update(type="FeatureCollection", features=[])),
}


@st.composite
def geojson(draw):
    names, crs = NAMES[draw(st.sampled_from(sorted(NAMES)))]
    name = draw(st.sampled_from(names))
    meant = draw(things())
    features = []
    for thing in meant:
        geometry = on_the_map(thing.shape, crs)
        if draw(st.booleans()):
            geometry["coordinates"] = raised(geometry["coordinates"])
        key = draw(st.sampled_from(["class", "label", "CLASS", "Category"]))
        features.append({"type": "Feature", "properties": {key: thing.name}, "geometry": geometry})
    content = {"type": "FeatureCollection", "features": features}
    if name is not None or draw(st.booleans()):
        content["crs"] = name and {"type": "name", "properties": {"name": name}}
    text = json.dumps(content, ensure_ascii=draw(st.booleans()))
    return Drawn({"labels.geojson": encoded(draw, text)}, meant)


@pytest.mark.fuzz
@settings(max_examples=draws(60, fuzz=3000), **OPTIONS)
@given(geojson(), st.booleans())
def test_geojson(folder, drawn, own):
    source = "labels.geojson"
    if own:  # a file in a folder, named after its scene, beside files of other programs
        drawn.files = {"own/port.geojson": drawn.files[source], "own/._port.geojson": b"\0\5\26\7"}
        source = "own"
    check(folder, drawn, source)


def one_square():
    shape = shapely.box(10, 10, 20, 20)
    feature = {
        "type": "Feature",
        "properties": {"class": "ship"},
        "geometry": on_the_map(shape, LON_LAT),
    }
    return {"type": "FeatureCollection", "features": [feature, json.loads(json.dumps(feature))]}


@pytest.mark.parametrize("own", [False, True], ids=["one file", "a file a scene"])
@pytest.mark.parametrize("first", FIRST)
def test_each_fault_of_a_geometry_is_refused(folder, first, own):
    content = one_square()
    content["features"][1]["geometry"] = FIRST[first]
    text = json.dumps(content).replace('"DEEP"', "[" * 5000 + "]" * 5000)
    source = "own/port.geojson" if own else "labels.geojson"

    drawn = Drawn({source: text.encode()}, [], must_refuse=first)
    check(folder, drawn, "own" if own else source)


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
def test_each_fault_of_a_feature_is_refused(folder, fault):
    content = one_square()
    FEATURE_FAULTS[fault](content["features"][1])

    drawn = Drawn({"labels.json": json.dumps(content).encode()}, [], must_refuse=fault)
    check(folder, drawn, "labels.json")


@pytest.mark.parametrize("crs", ODD_CRS, ids=map(str, range(len(ODD_CRS))))
def test_an_odd_crs_member_is_refused_by_its_name(folder, crs):
    text = json.dumps(one_square() | {"crs": crs})
    (folder / "labels.json").write_text(text)

    with pytest.raises(LabelsError, match=r"labels\.json: the crs member .*; write \{"):
        read_collection(str(folder / "labels.json"), str(folder))


# ----------------------------------------------------------------------------------- SpaceNet

ROWS = {
    "NaN": "POLYGON ((nan 5, 9 5, 9 9, nan 5))",
    "infinity": "POLYGON ((1 5, inf 5, 9 9, 1 5))",
    "open": "POLYGON ((1 1, 5 1, 5 5))",
    "flat": "POLYGON ((1 1, 5 5, 1 1))",
    "outside": "POLYGON ((100 1, 105 1, 105 5, 100 1))",
    "line": "LINESTRING (1 1, 5 5)",
    "nothing": "",
    "JSON": '{"type": "Polygon"}',
}


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    path = tmp_path_factory.mktemp("chips")
    profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 1, "dtype": "uint8"}
    with rasterio.open(path / "a_tile_1.tif", "w", crs=UTM, transform=AT, **profile) as scene:
        scene.write(np.ones((1, HEIGHT, WIDTH), np.uint8))
    return path


@pytest.mark.fuzz
@settings(max_examples=draws(40, fuzz=2000), **OPTIONS)
@given(st.data())
def test_spacenet(chips, data):
    meant = [Thing(thing.shape, "building") for thing in data.draw(things())]
    rows = ["ImageId,BuildingId,PolygonWKT_Pix,Confidence"]
    for number, thing in enumerate(meant, 1):
        wkt = shapely.to_wkt(thing.shape, output_dimension=2)
        if data.draw(st.booleans()):
            wkt = shapely.to_wkt(shapely.force_3d(thing.shape, 3))
        rows.append(f'b_tile_1,{number},"{wkt}",1')
    text = data.draw(st.sampled_from(["\n", "\r\n"])).join(rows)
    kind = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))

    check(chips, Drawn({"labels.csv": text.encode(kind)}, meant), "labels.csv")


@pytest.mark.parametrize("row", ROWS)
def test_each_fault_of_a_summary_is_refused(chips, row):
    wkt = ROWS[row].replace('"', '""')
    text = f'ImageId,BuildingId,PolygonWKT_Pix\nb_tile_1,1,"{wkt}"\n'

    check(chips, Drawn({"labels.csv": text.encode()}, [], must_refuse=row), "labels.csv")


def test_a_polygon_may_be_longer_than_a_field_of_csv_usually_is(chips):
    shape = shapely.Point(20, 20).buffer(15, quad_segs=4000)
    text = f'ImageId,BuildingId,PolygonWKT_Pix\nb_tile_1,1,"{shape.wkt}"\n'
    assert len(text) > 2 * 131072

    check(chips, Drawn({"labels.csv": text.encode()}, [Thing(shape, "building")]), "labels.csv")
