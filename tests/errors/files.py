"""The files that the faults are about: scenes, packages and labels, good and broken."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from onnx import TensorProto, helper
from rasterio.transform import Affine

from tests.errors.scene_documents import write_documents
from tests.helpers.packages import TILE, bright_pixels, description, write_package

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
SIDE = 40
DEEP = 100_000


def write_files(folder: Path) -> None:
    """Write everything that a fault names, below a folder."""
    _write_scenes(folder)
    _write_packages(folder / "packages", folder / "models")
    _write_labels(folder / "labels")
    _write_options(folder / "options")
    _write_outputs(folder)
    _write_jobs(folder / "job")
    write_documents(folder)


def _write_jobs(folder):
    """Write the input of training jobs, as SageMaker puts it there."""
    for name, text in {
        "none": "{}",
        "broken": "{",
        "deep": "[" * DEEP,
        "list": "[1]",
        "number": '{"epochs": 1}',
        "unknown": '{"epoch": "1"}',
        "range": '{"epochs": "0"}',
    }.items():
        (folder / name / "config").mkdir(parents=True)
        (folder / name / "config" / "hyperparameters.json").write_text(text)


def write_scene(path: Path, *, count=1, dtype="uint8", crs="EPSG:32633", **profile) -> Path:
    """Write a GeoTIFF of zeros with some bright pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((count, SIDE, SIDE), dtype)
    pixels[:, 4::13, 5::11] = 100
    shape = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": count, "dtype": dtype}
    with rasterio.open(path, "w", **shape, crs=crs, transform=NORTH_UP, **profile) as target:
        target.write(pixels)
    return path


def _write_scenes(folder):
    scene = write_scene(folder / "scene.tif")
    write_scene(folder / "images" / "a.tif")
    write_scene(folder / "two-bands.tif", count=2)
    write_scene(folder / "complex.tif", dtype="complex64")
    write_scene(folder / "no-crs.tif", crs=None)
    whole = scene.read_bytes()
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_text("This is no image.\n")
    (folder / "header-only.tif").write_bytes(whole[:60])
    write_scene(folder / "deflated.tif", compress="deflate")
    damaged = bytearray((folder / "deflated.tif").read_bytes())
    with rasterio.open(folder / "deflated.tif") as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    damaged[start : start + 20] = bytes(range(200, 220))
    (folder / "damaged.tif").write_bytes(damaged)
    (folder / "truncated.png").write_bytes(_png(scene)[:120])
    (folder / "names.vrt").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    (folder / "a-folder").mkdir()
    (folder / "no-raster").mkdir()
    (folder / "no-raster" / "readme.txt").write_text("nothing to see")
    (folder / "no-access.tif").write_bytes(whole)
    (folder / "big-header.tif").write_bytes(whole)
    _write_vast(folder / "vast.tif")


def _png(scene):
    with rasterio.open(scene) as source, rasterio.MemoryFile() as memory:
        with memory.open(driver="PNG", width=SIDE, height=SIDE, count=1, dtype="uint8") as target:
            target.write(source.read())
        return memory.read()


def _write_vast(path):
    """One block of 100,000 px a side, of which nothing is there."""
    side = {"width": 100_000, "height": 100_000, "blockysize": 100_000}
    options = {"SPARSE_OK": True, "BIGTIFF": "YES", "compress": "deflate"}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=NORTH_UP,
        **side,
        **options,
    ):
        pass  # fmt: skip


def _write_packages(packages, models):
    write_package(packages / "good")
    for name, change in _CHANGES.items():
        write_package(packages / name, change)
    for name, text in _DESCRIPTIONS.items():
        (write_package(packages / name) / "mlm.json").write_bytes(text)
    (packages / "empty").mkdir()
    (write_package(packages / "no-description") / "mlm.json").unlink()
    (write_package(packages / "no-weights") / "model.onnx").unlink()
    (write_package(packages / "changed-weights") / "model.onnx").write_bytes(bright_pixels() + b" ")
    good = bright_pixels()
    for name, weights in {
        "truncated-onnx": good[: len(good) // 2],
        "no-onnx": b"This is no network.",
        "empty-onnx": b"",
        "torchvision-op": _onnx_op("DeformConv2d", "torchvision"),
        "custom-op": _onnx_op("Mystery", "com.example"),
        "unknown-op": _onnx_op("Mystery", ""),
        "other-input": _onnx_input(),
    }.items():
        write_package(packages / name, weights=weights)
    for suffix, kind in ((".pt2", "pt2"), (".pt", "torchscript")):
        for state, data in {"truncated": b"PK\x03\x04 and no more", "bomb": _zip_bomb()}.items():
            _write_torch(packages / f"{state}-{kind}", f"model{suffix}", data)
    _write_archives(packages)
    models.mkdir()
    for name in ("torchvision-op", "custom-op", "unknown-op"):
        (models / f"{name}.onnx").write_bytes((packages / name / "model.onnx").read_bytes())
    (models / "three-bands.onnx").write_bytes(_onnx_input())
    (models / "model.onnx").write_bytes(good)
    (models / "broken.onnx").write_bytes(good[:100])
    (models / "empty.onnx").write_bytes(b"")
    (models / "text.pt").write_text("no archive")
    (models / "text.pt2").write_text("no archive")
    (models / "model.h5").write_bytes(b"\x89HDF")
    (models / "pickle.pt").write_bytes(b"\x80\x02}q\x00.")
    (models / "deep.json").write_text("[" * DEEP)


def _write_torch(folder, name, data):
    write_package(folder, lambda item: item["assets"].update(onnx={
        "href": name, "roles": ["mlm:model"]}))  # fmt: skip
    (folder / "model.onnx").unlink()
    (folder / name).write_bytes(data)


def _zip_bomb():
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(50_000_000))
    return memory.getvalue()


def _write_archives(packages):
    (packages / "text.tar.gz").write_text("no archive")
    good = packages / "good"
    with tarfile.open(packages / "whole.tar.gz", "w:gz") as archive:
        for path in good.iterdir():
            archive.add(path, path.name)
    whole = (packages / "whole.tar.gz").read_bytes()
    (packages / "truncated.tar.gz").write_bytes(whole[: len(whole) // 2])
    with tarfile.open(packages / "no-description.tar.gz", "w:gz") as archive:
        archive.add(good / "model.onnx", "model.onnx")
    with tarfile.open(packages / "escapes.tar.gz", "w:gz") as archive:
        archive.add(good / "mlm.json", "../mlm.json")
    with tarfile.open(packages / "link.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("mlm.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with tarfile.open(packages / "bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("mlm.json")
        member.size = 60_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))


def _onnx_op(name, domain):
    value = [-1, 1, TILE, TILE]
    graph = helper.make_graph(
        [helper.make_node(name, ["image"], ["pred"], domain=domain)],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *value[1:]])],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _onnx_input():
    shape = ["batch", 3, TILE, TILE]
    graph = helper.make_graph(
        [helper.make_node("Sqrt", ["image"], ["pred"])],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _property(key, value):
    return lambda item: item["properties"].update({key: value})


def _hyperparameter(key, value):
    return lambda item: item["properties"]["mlm:hyperparameters"].update({key: value})


def _input(key, value):
    return lambda item: item["properties"]["mlm:input"][0].update({key: value})


def _shape(*shape):
    return lambda item: item["properties"]["mlm:input"][0]["input"].update(shape=[*shape])


def _classes(*names):
    found = [{"value": value, "name": name} for value, name in enumerate(names)]
    return lambda item: item["properties"]["mlm:output"][0].update(
        {"classification:classes": found}
    )


_CHANGES = {
    "control-name": _property("mlm:name", "a\nb"),
    "nul-name": _property("mlm:name", "a\0b"),
    "long-name": _property("mlm:name", "n" * 5000),
    "number-name": _property("mlm:name", 7),
    "unknown-task": _property("mlm:tasks", ["singing"]),
    "no-input": _property("mlm:input", []),
    "no-output": _property("mlm:output", []),
    "unknown-scaling": _input("value_scaling", [{"type": "magic"}]),
    "zero-scaling": _input("value_scaling", [{"type": "scale", "value": 0}]),
    "vast-scaling": _input("value_scaling", [{"type": "scale", "value": 1e-300}]),
    "oblong-tiles": _shape(-1, 1, TILE, 2 * TILE),
    "tiles-of-0": _shape(-1, 1, 0, 0),
    "vast-tiles": _shape(-1, 1, 10**9, 10**9),
    "negative-overlap": _hyperparameter("overlap", -1),
    "wide-overlap": _hyperparameter("overlap", TILE),
    "score-of-2": _hyperparameter("score_threshold", 2),
    "score-in-words": _hyperparameter("score_threshold", "high"),
    "unknown-hyperparameter": _hyperparameter("box_format", "corners"),
    "nul-class": _classes("a\0b"),
    "two-classes": _classes("a", "a"),
    "no-classes": _classes(),
    "long-class": _classes("c" * 5000),
    "href-outside": lambda item: item["assets"]["onnx"].update(href="../model.onnx"),
    "href-with-nul": lambda item: item["assets"]["onnx"].update(href="a\0b.onnx"),
    "href-web": lambda item: item["assets"]["onnx"].update(href="https://example.com/m.onnx"),
    "no-assets": lambda item: item.update(assets={}),
    "a-feature": lambda item: item.pop("properties"),
}
_DESCRIPTIONS = {
    "broken-json": b'{"type": "Feature",',
    "no-json": b"\xff\xfe\x00",
    "empty-json": b"",
    "list-json": b"[]",
    "deep-json": b"[" * DEEP + b"]" * DEEP,
    "nan-json": json.dumps(description(_hyperparameter("score_threshold", float("nan")))).encode(),
    "long-number-json": b'{"properties": {"n": ' + b"9" * 10_000 + b"}}",
    "surrogate-json": b'{"properties": {"mlm:name": "\\ud800"}}',
}


def _coco(**changes):
    whole = {
        "images": [{"id": 1, "file_name": "a.tif", "width": SIDE, "height": SIDE}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 3, 2, 2]}],
        "categories": [{"id": 1, "name": "dot"}],
    }
    return json.dumps(whole | changes).encode()


def _annotation(**changes):
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 3, 2, 2]}
    return _coco(annotations=[one | changes])


def _geojson(coordinates, kind="Polygon", **more):
    geometry = {"type": kind, "coordinates": coordinates}
    features = [{"type": "Feature", "properties": {"class": "dot"}, "geometry": geometry}]
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


_SQUARE = [[[15, 45], [15.001, 45], [15.001, 45.001], [15, 45.001], [15, 45]]]
_LABELS = {
    "good.json": _coco(),
    "broken.json": b'{"images": [',
    "binary.json": b"\xff\xfe\x00\x01",
    "empty.json": b"",
    "deep.json": b"[" * DEEP + b"]" * DEEP,
    "nothing.json": b"{}",
    "list.json": b"[1, 2]",
    "no-images.json": _coco(images=[]),
    "no-scene.json": _coco(images=[{"id": 1, "file_name": "b.tif", "width": 9, "height": 9}]),
    "escape.json": _coco(images=[{"id": 1, "file_name": "../a.tif", "width": 9, "height": 9}]),
    "nul.json": _coco(images=[{"id": 1, "file_name": "a\0.tif", "width": 9, "height": 9}]),
    "other-size.json": _coco(images=[{"id": 1, "file_name": "a.tif", "width": 9, "height": 9}]),
    "no-category.json": _annotation(category_id=7),
    "no-image.json": _annotation(image_id=7),
    "nan.json": _annotation(bbox=[float("nan"), 0, 1, 1]),
    "vast.json": _annotation(bbox=[1e300, 1e300, 1e300, 1e300]),
    "words.json": _annotation(bbox="wide"),
    "nul-class.json": _coco(categories=[{"id": 1, "name": "a\0b"}]),
    "broken.geojson": b'{"type": "FeatureCollection"',
    "nan.geojson": _geojson([[[float("nan"), 1], [1, 1], [1, 2], [float("nan"), 1]]]),
    "open.geojson": _geojson([[[15, 45]]]),
    "words.geojson": _geojson("wide"),
    "far.geojson": _geojson([[[500, 95], [501, 95], [501, 96], [500, 95]]]),
    "no-class.geojson": _geojson(_SQUARE).replace(b'"class"', b'"kind"'),
    "unknown-crs.geojson": _geojson(
        _SQUARE, crs={"type": "name", "properties": {"name": "EPSG:999999"}}
    ),
    "list-crs.geojson": _geojson(_SQUARE, crs=[1]),
    "text.csv": b"ImageId,BuildingId\n\xff\n",
}


def _write_labels(folder):
    folder.mkdir()
    for name, data in _LABELS.items():
        (folder / name).write_bytes(data)
    (folder / "empty").mkdir()


def _write_options(folder):
    folder.mkdir()
    for name, text in {
        "broken.json": "{",
        "broken.toml": "epochs = ",
        "list.json": "[1]",
        "unknown.toml": "epoch = 3\n",
        "words.toml": 'epochs = "many"\n',
        "deep.json": "[" * DEEP,
        "notes.txt": "epochs 3",
        "good.toml": "[ranges.learning_rate]\nlow = 0.0001\nhigh = 0.01\n",
        "search-unknown.toml": 'magic = ["a"]\n',
        "search-empty.toml": "",
        "search.toml": "[learning_rate]\nlow = 1\nhigh = 0.1\n",
        "scaling.json": '[{"type": "magic"}]',
        "evaluation.json": '{"metrics": 3}',
    }.items():
        (folder / name).write_text(text)


def _write_outputs(folder):
    (folder / "a-file").write_text("a file")
    (folder / "full").mkdir()
    (folder / "read-only").mkdir()
    (folder / "read-only").chmod(0o555)
    (folder / "no-access.tif").chmod(0)
    (folder / os.fsdecode(b"latin-\xe9.tif")).write_bytes((folder / "scene.tif").read_bytes())
