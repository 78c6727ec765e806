"""Sound inputs of every kind that swath reads, to be changed: small files in a folder."""

import gzip
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from swath.messages import PLAN_VERSION
from tests.fuzz.mutators import damage_bytes, damage_json
from tests.helpers.packages import write_package

ROWS, COLS = 110, 130
SCENE = "scene_tile_1.tif"
"""The name of the scene that labels are of: as SpaceNet names its chips."""
_TILED = {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64}
_STRIPS = {"driver": "GTiff", "blockysize": 16}
_JPEG_2000 = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}
_SUFFIXES = {"JP2OpenJPEG": ".jp2", "NITF": ".ntf"}
"""GDAL writes no place into a JPEG 2000 that is named otherwise."""
_JPEG = {"compress": "JPEG", "photometric": "YCBCR"}
# Name → rasterio's profile; what begins with "_" is told to WRITE.
RASTERS = {
    "tiles": _TILED,
    "tiles-deflate": _TILED | {"compress": "DEFLATE", "predictor": 2},
    "tiles-by-band": _TILED | {"compress": "DEFLATE", "interleave": "band"},
    "tiles-lzw": _TILED | {"compress": "LZW", "predictor": 2},
    "tiles-zstd": _TILED | {"compress": "ZSTD"},
    "tiles-packbits": _TILED | {"compress": "PACKBITS"},
    "tiles-jpeg": _TILED | _JPEG,
    "tiles-webp": _TILED | {"compress": "WEBP", "WEBP_LOSSLESS": True},
    "tiles-lzma": _TILED | {"compress": "LZMA"},
    "tiles-lerc": _TILED | {"compress": "LERC"},
    "strips-deflate": _STRIPS | {"compress": "DEFLATE"},
    "strips-lzw": _STRIPS | {"compress": "LZW"},
    "strips-jpeg": _STRIPS | _JPEG,
    "strips-lerc-zstd": _STRIPS | {"compress": "LERC_ZSTD"},
    "big-tiff": _TILED | {"compress": "DEFLATE", "BIGTIFF": "YES", "_dtype": "uint16"},
    "big-endian": _TILED
    | {"compress": "DEFLATE", "predictor": 3, "ENDIANNESS": "BIG", "_dtype": "float32"},
    "masked": _TILED | {"compress": "DEFLATE", "_mask": True, "_overviews": [2, 4]},
    "nodata": _STRIPS | {"compress": "ZSTD", "nodata": 128, "_overviews": [2]},
    "ground-control": _TILED | {"compress": "DEFLATE", "_gcps": True},
    "units": _TILED | {"compress": "DEFLATE", "_dtype": "int16", "_units": True},
    "cog": {"driver": "COG", "BLOCKSIZE": 64, "compress": "DEFLATE"},
    "jpeg-2000": _JPEG_2000,
    "jpeg-2000-tiles": _JPEG_2000 | {"BLOCKXSIZE": 64, "BLOCKYSIZE": 64},
    "nitf": {"driver": "NITF", "ICORDS": "G"},
}
# Odd files written through rasterio have corrupted the memory of the process that did so.
_WRITE = """
import sys
import numpy as np, rasterio
from rasterio.control import GroundControlPoint as Gcp
y, x = np.mgrid[:{rows}, :{cols}]
noise = np.random.default_rng(0).normal(0, 8, (3, {rows}, {cols}))
pixels = ((np.sin(x / 17) + np.cos(y / 11)) * 50 + 128 + noise).clip(0, 255)
transform = rasterio.Affine(1e-4, 0, 5, 0, -1e-4, 50)
for name, profile in {profiles}.items():
    said = {{key: profile.pop(key) for key in list(profile) if key.startswith("_")}}
    dtype = said.get("_dtype", "uint8")
    shape = dict(width={cols}, height={rows}, count=3, dtype=dtype, crs="EPSG:4326")
    if "_gcps" not in said:
        shape["transform"] = transform
    path = sys.argv[1] + "/" + name + {suffixes}.get(profile["driver"], ".tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", **profile, **shape) as out:
            out.write(pixels.astype(dtype))
            if "_gcps" in said:
                corners = [(r, c) for r in (0, {rows}) for c in (0, {cols})]
                out.gcps = [Gcp(r, c, 5 + 1e-4 * c, 50 - 1e-4 * r) for r, c in corners], "EPSG:4326"
            if "_mask" in said:
                out.write_mask(((x > 30) * 255).astype("uint8"))
            if "_units" in said:
                out.units, out.scales, out.offsets = ["m"] * 3, [1e-4] * 3, [-0.1] * 3
                out.update_tags(AREA_OR_POINT="Area", note="n" * 50)
        if "_overviews" in said:
            with rasterio.open(path, "r+") as out:
                out.build_overviews(said["_overviews"])
"""


def write_rasters(folder: Path) -> dict[str, Path]:
    """Write a raster of each kind of `RASTERS`: 3 bands, (110, 130) px."""
    script = _WRITE.format(rows=ROWS, cols=COLS, profiles=RASTERS, suffixes=_SUFFIXES)
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, folder], check=True)
    return {path.stem: path for path in sorted(folder.iterdir()) if path.stem in RASTERS}


def write_pictures(folder: Path, raster: Path) -> dict[str, Path]:
    """Write what an endpoint takes beside GeoTIFFs: PNG, JPEG and NPY."""
    script = (
        "import sys, numpy as np, rasterio\n"
        "with rasterio.open(sys.argv[1]) as s: pixels = s.read()\n"
        "shape = dict(width=pixels.shape[2], height=pixels.shape[1], count=3, dtype='uint8')\n"
        "for kind in ('PNG', 'JPEG'):\n"
        "    with rasterio.open(f'{sys.argv[2]}/{kind.lower()}', 'w', driver=kind, **shape) as o:\n"
        "        o.write(pixels)\n"
        "np.save(open(f'{sys.argv[2]}/npy', 'wb'), pixels)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, raster, folder], check=True)
    shutil.copy(raster, folder / "tiff")
    return {name: folder / name for name in ("png", "jpeg", "npy", "tiff")}


def write_packages(folder: Path, weights: Path) -> dict[str, Path]:
    """Write two packages as folders, and one as an archive: twice, for changes within it."""
    write_package(folder / "onnx")
    ships = folder / "ships"
    shutil.copytree(weights, ships)
    archive = folder / "archive"
    archive.mkdir()
    with tarfile.open(archive / "model.tar.gz", "w:gz") as out:
        for name in ("mlm.json", "model.onnx"):
            out.add(folder / "onnx" / name, name)
    shutil.copytree(archive, folder / "members")
    return {name: folder / name for name in ("onnx", "ships", "archive", "members")}


def write_labels(folder: Path) -> dict[str, Path]:
    """Write labels of a raster in each form that swath reads."""
    ring = [[5.001, 49.999], [5.003, 49.999], [5.003, 49.997], [5.001, 49.997], [5.001, 49.999]]
    hole = [[5.0015, 49.9985], [5.0025, 49.9985], [5.002, 49.998], [5.0015, 49.9985]]
    shapes = [
        {"type": "Polygon", "coordinates": [ring]},
        {"type": "MultiPolygon", "coordinates": [[ring]]},
        {"type": "Polygon", "coordinates": [ring, hole]},
    ]
    features = [
        {"type": "Feature", "properties": {"class": name}, "geometry": shape}
        for name, shape in zip(("ship", "buoy", "ship"), shapes, strict=True)
    ]
    coco = {
        "images": [{"id": 1, "file_name": SCENE, "width": COLS, "height": ROWS}],
        "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "buoy"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "iscrowd": 0},
            {
                "id": 2,
                "image_id": 1,
                "category_id": 2,
                "bbox": [20, 20, 10, 10],
                "segmentation": [[20, 20, 30, 20, 30, 30, 20, 30]],
                "area": 100,
            },
            {
                "id": 3,
                "image_id": 1,
                "category_id": 1,
                "bbox": [0, 0, 1, 8],
                "segmentation": {"size": [ROWS, COLS], "counts": [0, 8, ROWS * COLS - 8]},
                "iscrowd": 1,
            },
        ],
    }
    csv = (
        "ImageId,BuildingId,PolygonWKT_Pix,PolygonWKT_Geo\n"
        'scene_tile_1,1,"POLYGON ((1 1 0, 9 1 0, 9 9 0, 1 9 0, 1 1 0))",1\n'
        "scene_tile_1,-1,POLYGON EMPTY,1\n"
    )
    files = {
        "labels.geojson": json.dumps({"type": "FeatureCollection", "features": features}),
        "coco.json": json.dumps(coco),
        "summary.csv": csv,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


def write_messages(folder: Path, plan: Path) -> dict[str, Path]:
    """Write what steps send to each other and what AWS sends them, as JSON."""
    scene = {
        "uri": "s3://scenes/incoming/x.tif",
        "etag": "0123abcd",
        "dropped_at": "2026-11-21T12:00:00+00:00",
        "sequencer": "00617F08299329D189",
    }
    model = {"name": "ships", "uri": "s3://models/ships.tar.gz", "digest": "d"}
    options = {"backend": "auto", "tolerated_failures": 0.25}
    request = {
        "run_id": "34dacc56-8969-8c9e-9013-78526aec27a0",
        "scene": scene,
        "model": model,
        "options": options,
        "requested_at": "2026-11-21T12:00:01+00:00",
    }
    tiles = {"planned": 9, "succeeded": 7, "failed": 1, "skipped": 1}
    failure = {"tile": 3, "column": 0, "row": 64, "cause": "SceneError: a block is damaged"}
    messages = {
        "request": request,
        "receipt": {
            "run_id": request["run_id"],
            "index": 0,
            "plan_fingerprint": "fa32a237dc06b73a",
            "tiles": tiles,
            "detections": 5,
            "seconds": 1.5,
            "failures": [failure],
            "files": {"0.parquet": "e3b0"},
        },
        "ended": {
            "name": request["run_id"],
            "status": "FAILED",
            "stopDate": 1795262400000,
            "input": json.dumps(request),
            "error": "States.TaskFailed",
            "cause": json.dumps({"errorMessage": "no", "errorType": "SceneError"}),
        },
    }
    paths = {}
    for name, message in messages.items():
        paths[name] = folder / name
        paths[name].write_text(json.dumps(message))
    paths["plan"] = folder / "plan"
    shutil.copy(plan / f"v{PLAN_VERSION}.json", paths["plan"])
    return paths


def copy_scene(raster: Path, folder: Path) -> None:
    """Copy the scene that labels are of to where they lie."""
    shutil.copy(raster, folder / SCENE)


def copy_package(source: Path, work: Path, rng: random.Random | None) -> Path:
    """Copy a package, with one file changed if there is a generator.

    Of changed weights, most have their checksum put right.

    Returns:
        The folder or the archive.
    """
    path = work / "package"
    shutil.copytree(source, path)
    archive = path / "model.tar.gz"
    if rng is None:
        return archive if archive.is_file() else path
    if archive.is_file():
        content = archive.read_bytes()
        if source.name == "members":
            content = gzip.compress(damage_bytes(gzip.decompress(content), rng))
        else:
            content = damage_bytes(content, rng)
        archive.write_bytes(content)
        return archive
    if rng.random() < 0.6:
        item = path / "mlm.json"
        item.write_bytes(damage_json(item.read_bytes(), rng))
        return path
    weights = path / "model.onnx"
    weights.write_bytes(damage_bytes(weights.read_bytes(), rng))
    if rng.random() < 0.8:
        item = json.loads((path / "mlm.json").read_bytes())
        (asset,) = item["assets"].values()
        asset["file:checksum"] = "1220" + hashlib.sha256(weights.read_bytes()).hexdigest()
        (path / "mlm.json").write_text(json.dumps(item))
    return path
