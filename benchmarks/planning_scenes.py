"""Draw the twenty scenes whose runs are forecast, and cache them.

They differ in size, pixel type, compression, layout, valid part and number of files. The real ports
are used where there is test data; drawn scenes of the same sizes replace them elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import rasterio
from rasterio.transform import Affine

from benchmarks import scenes
from benchmarks.progress import print_line
from benchmarks.scenes import make_scene
from benchmarks.worker import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = Literal["small", "ships"]
"""Detector of the benchmarks with 1M parameters, or the demonstration model of ships."""
_RGB = ("red", "green", "blue")
_SHIP_BANDS = ("B02", "B03", "B04", "B08", "B11")
_SOURCE_SIZE = 4096
_PIXEL_SIZE = 10.0
_TILED: dict[str, Any] = {"tiled": True, "blockxsize": 512, "blockysize": 512}
_DEFLATE: dict[str, Any] = {**_TILED, "compress": "deflate", "predictor": 2}
_VERSION = 1
"""Version of the cached scenes; increment it when the code changes the pixels."""

Content = Literal["land", "sea", "noise", "half"]
"""`sea` is almost flat, `noise` has random pixels, and of `half` a half has no valid pixel."""


@dataclass(frozen=True, slots=True)
class PlannedScene:
    """Scene of a forecast and of the run that follows."""

    name: str
    model: Model
    files: tuple[str, ...]
    """Paths that name it: its file, or the document that names its files."""


@dataclass(frozen=True, slots=True)
class _Drawing:
    width: int
    height: int
    model: Model = "small"
    bands: tuple[str, ...] = _RGB
    dtype: str = "uint8"
    content: Content = "land"
    profile: Mapping[str, Any] = field(default_factory=lambda: _DEFLATE)
    suffix: str = ".tif"
    resolutions: tuple[float, ...] = ()
    """Pixel size in m of each band's own file; empty for one file."""


_JPEG: dict[str, Any] = {**_TILED, "compress": "jpeg", "photometric": "YCBCR"}
_JPEG2000: dict[str, Any] = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
_ZSTD: dict[str, Any] = {**_TILED, "compress": "zstd", "predictor": 2}

_DRAWINGS: dict[str, _Drawing] = {
    "one tile": _Drawing(400, 500),
    "four tiles": _Drawing(900, 900),
    "deflate": _Drawing(2048, 2048),
    "larger": _Drawing(4096, 4096),
    "largest": _Drawing(6144, 6144),
    "zstd, 16 bits": _Drawing(3072, 3072, dtype="uint16", profile=_ZSTD),
    "LZW in strips": _Drawing(3072, 2048, profile={"compress": "lzw", "blockysize": 8}),
    "JPEG": _Drawing(3072, 3072, profile=_JPEG),
    "JPEG 2000": _Drawing(2048, 2048, profile=_JPEG2000, suffix=".jp2"),
    "not compressed, wide": _Drawing(8192, 1024, profile=_TILED),
    "floats": _Drawing(3072, 3072, dtype="float32", profile={**_TILED, "compress": "deflate"}),
    "eight bands": _Drawing(2048, 2048, bands=(*_RGB, *"abcde"), dtype="uint16"),
    "half empty": _Drawing(4096, 4096, content="half"),
    "sea": _Drawing(3072, 3072, content="sea"),
    "noise": _Drawing(3072, 3072, content="noise"),
    "three files": _Drawing(3072, 3072, dtype="uint16", resolutions=(10, 10, 10)),
    "three resolutions": _Drawing(3072, 3072, dtype="uint16", resolutions=(10, 20, 60)),
}
_PORTS: dict[str, _Drawing] = {
    "honolulu": _Drawing(424, 316, "ships", _SHIP_BANDS, "uint16"),
    "casablanca": _Drawing(511, 339, "ships", _SHIP_BANDS, "uint16"),
    "busan": _Drawing(1042, 699, "ships", _SHIP_BANDS, "uint16"),
}


def make_planned_scenes(*, quick: bool = False) -> list[PlannedScene]:
    """Return the scenes; draw those that are missing.

    Args:
        quick: Whether to return two scenes of each model only.
    """
    kept = 2 if quick else None
    drawn = [_make(name, drawing) for name, drawing in [*_DRAWINGS.items()][:kept]]
    return [*drawn, *(_make_port(name, drawing) for name, drawing in [*_PORTS.items()][:kept])]


def _make_port(name: str, drawing: _Drawing) -> PlannedScene:
    data = Path(os.environ.get("SWATH_TEST_DATA", ROOT.parent / "shared" / "data"))
    real = data / "ships_s2" / f"{name}_S2L2A_5band.tif"
    return PlannedScene(name, "ships", (str(real),)) if real.exists() else _make(name, drawing)


def _make(name: str, drawing: _Drawing) -> PlannedScene:
    folder = scenes.CACHE_FOLDER / "planned"
    stem = f"{name.replace(',', '').replace(' ', '_')}_v{_VERSION}"
    count = len(drawing.resolutions) or 1
    paths = [folder / f"{stem}_{number}{drawing.suffix}" for number in range(count)]
    if not all(path.exists() for path in paths):
        print_line(f"  drawing the scene '{name}'")
        folder.mkdir(parents=True, exist_ok=True)
        _write(drawing, paths)
    if not drawing.resolutions:
        return PlannedScene(name, drawing.model, (str(paths[0]),))
    document = folder / f"{stem}.json"
    named = dict(zip(drawing.bands, map(str, paths), strict=True))
    document.write_text(json.dumps({"bands": named}))
    return PlannedScene(name, drawing.model, (str(document),))


def _write(drawing: _Drawing, paths: list[Path]) -> None:
    pixels = _draw(drawing)
    if not drawing.resolutions:
        _write_file(paths[0], pixels, drawing, drawing.bands, _PIXEL_SIZE)
        return
    for band, resolution, path in zip(drawing.bands, drawing.resolutions, paths, strict=True):
        step = round(resolution / _PIXEL_SIZE)
        layer = pixels[drawing.bands.index(band)][None, ::step, ::step]
        _write_file(path, layer, drawing, (band,), resolution)


def _write_file(
    path: Path, pixels: NDArray[Any], drawing: _Drawing, bands: tuple[str, ...], resolution: float
) -> None:
    options = {"driver": "GTiff", "interleave": "pixel", "photometric": "MINISBLACK"}
    is_tiff = drawing.suffix == ".tif"
    partial = path.with_suffix(f".partial{drawing.suffix}")
    with rasterio.open(
        partial,
        "w",
        width=pixels.shape[2],
        height=pixels.shape[1],
        count=len(bands),
        dtype=pixels.dtype,
        crs=scenes.CRS,
        transform=Affine(resolution, 0, 500_000, 0, -resolution, 5_400_000),
        nodata=0 if drawing.content == "half" else None,
        **{**(options if is_tiff else {}), **drawing.profile},
    ) as target:
        target.write(pixels)
        if is_tiff and "YCBCR" not in drawing.profile.values():
            target.descriptions = bands
    partial.replace(path)


def _draw(drawing: _Drawing) -> NDArray[Any]:
    """Return the pixels (bands, rows, cols) of a drawing."""
    shape = drawing.height, drawing.width
    rng = np.random.default_rng(0)
    if drawing.content == "noise":
        land = rng.integers(0, 256, (len(_RGB), *shape), np.uint8)
    elif drawing.content == "sea":
        land = rng.integers(40, 44, (len(_RGB), *shape), np.uint8)
    else:
        with rasterio.open(make_scene("rgb8", _SOURCE_SIZE, "deflate")) as source:
            land = np.maximum(source.read(), 1)
        repeats = [1, *(-(-side // _SOURCE_SIZE) for side in shape)]
        land = np.tile(land, repeats)[:, : shape[0], : shape[1]]
    if drawing.content == "half":
        land[:, :, : drawing.width // 2] = 0
    bands = land[[number % len(land) for number in range(len(drawing.bands))]]
    return bands.astype(drawing.dtype)
