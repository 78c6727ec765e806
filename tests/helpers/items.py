"""STAC Items like Sentinel-2's, made from a scene of one file, and the files stacked from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

COARSE = {"B11": 2}
"""Bands of a Sentinel-2 scene that are coarser than 10 m, and how many 10 m px wide theirs are."""


def write_item(
    folder: Path, source: Path, *, factors: Mapping[str, int] = COARSE, item_id: str = "S2A_33UUP"
) -> Path:
    """Write an Item and one deflate COG for each band of a scene; return the Item's path.

    A band with a factor is averaged over as many pixels along each axis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.open(source) as scene:
        names, pixels, profile = scene.descriptions, scene.read(), scene.profile
    for name, band in zip(names, pixels, strict=True):
        write_cog(folder / f"{name}.tif", band, profile, factors.get(name, 1))
    return write_document(folder / "item.json", names, factors, item_id=item_id)


def write_cog(path: Path, band: np.ndarray, profile: Mapping[str, Any], factor: int) -> None:
    """Write a band as a deflate COG, averaged over `factor` x `factor` px."""
    rows, cols = (size // factor for size in band.shape)
    blocks = band[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)
    values = blocks.mean(axis=(1, 3)).round().astype(band.dtype)
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=cols,
        height=rows,
        count=1,
        dtype=band.dtype,
        crs=profile["crs"],
        transform=profile["transform"] @ rasterio.Affine.scale(factor),
        nodata=profile.get("nodata"),
        compress="DEFLATE",
        predictor="YES",
        blocksize=256,
        overviews="NONE",
    ) as out:
        out.write(values, 1)


def write_document(
    path: Path, names: Any, factors: Mapping[str, int], *, item_id: str, **properties: Any
) -> Path:
    """Write an Item whose assets lie beside it; return its path."""
    assets = {
        name: {
            "href": f"./{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "gsd": 10 * factors.get(name, 1),
            "eo:bands": [{"name": name}],
        }
        for name in names
    }
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": "sentinel-2-l2a",
        "geometry": None,
        "properties": {
            "datetime": "2026-11-20T10:12:13Z",
            "platform": "sentinel-2a",
            "eo:cloud_cover": 3.5,
            **properties,
        },
        "links": [],
        "assets": assets,
    }
    path.write_text(json.dumps(item))
    return path


def stack_item(item: Path, target: Path) -> Path:
    """Write the file that WarpedVRT makes of an Item's assets: float32, bilinear, finest grid."""
    assets = json.loads(item.read_text())["assets"]
    files = {name: item.parent / asset["href"] for name, asset in assets.items()}
    with rasterio.open(min(files.values(), key=_pixel_width)) as finest:
        profile = finest.profile
    profile |= {"driver": "GTiff", "count": len(files), "dtype": "float32", "tiled": True}
    profile |= {"blockxsize": 256, "blockysize": 256, "compress": "DEFLATE"}
    with rasterio.open(target, "w", **profile) as out:
        for number, (name, path) in enumerate(files.items(), 1):
            out.set_band_description(number, name)
            out.write(_warp(path, profile), number)
    return target


def _pixel_width(path: Path) -> float:
    with rasterio.open(path) as file:
        return abs(file.transform.a)


def _warp(path: Path, profile: Mapping[str, Any]) -> np.ndarray:
    with (
        rasterio.open(path) as file,
        WarpedVRT(
            file,
            crs=profile["crs"],
            transform=profile["transform"],
            width=profile["width"],
            height=profile["height"],
            resampling=Resampling.bilinear,
            # rasterio 1.4 creates no VRT for a tolerance of exactly 0.
            tolerance=1e-9,
            dtype="float32",
        ) as warped,
    ):
        return warped.read(1)
