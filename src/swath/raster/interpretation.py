"""Interpret what a header says about the pixel values, and refuse files that need conversion.

Color interpretation, color tables, inverted gray, orientation and pages define what the pixel
values of a raster mean. If they were ignored, the model would receive blue as red, or the index of
a color as its brightness.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rasterio._err import CPLE_BaseError

from swath.errors import SceneError
from swath.raster.files import tiff_header
from swath.raster.files.byte_ranges import open_header

if TYPE_CHECKING:
    from swath.raster.dataset import PinnedDataset
    from swath.raster.scene_info import SceneInfo

COLOR_BAND_NAMES = {
    "red": ("red", "b04", "b4"),
    "green": ("green", "b03", "b3"),
    "blue": ("blue", "b02", "b2"),
    "nir": ("nir", "b08"),
}
"""Band names of each color: the color itself, or its band of Sentinel-2 or Landsat 8."""
_COLOR_INITIALS = {"r": "red", "g": "green", "b": "blue"}
"""Colors of single-letter band names; they are used only where all three names occur."""
_BRIGHTNESS_COLORS = {
    None,
    "alpha",
    *COLOR_BAND_NAMES,
    "pan",
    "coastal",
    "rededge",
    "swir",
    "mwir",
    "lwir",
    "tir",
}
"""Color interpretations of bands whose pixel values are brightness."""
_DEFAULT_COLORS = ("red", "green", "blue")
"""Colors that GDAL assigns to the first bands of any 8-bit file, right or wrong."""
_ORIENTATION_PROBLEM = "is stored rotated or mirrored (orientation {}): store its rows upright, {}"
_COLOR_SPACES = {
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "color filter array",
    32844: "LogL",
    32845: "LogLuv",
}
"""Photometric interpretations of TIFF that GDAL does not convert and no model accepts."""
_PNG_SIGNATURE_BYTES = 8
"""Offset in bytes of the first chunk of a PNG."""
_MAX_CHUNKS, _MAX_CHUNK_BYTES = 1000, 64 << 10
_BITS_PER_BYTE = 8


def check_interpretation(dataset: PinnedDataset) -> None:
    """Refuse a scene whose pixel values must be converted before a model can use them.

    Raises:
        SceneError: The scene has several pages or alpha bands, inverted gray, or samples in
            another color space, or it is stored rotated or mirrored.
    """
    uri, reader = dataset.uri, dataset.reader
    pages = reader.subdatasets
    if pages:
        raise SceneError(
            f"{uri} has {len(pages)} pages; store each in its own file: "
            f"gdal_translate {pages[0].replace(uri, 'in')} out.tif"
        )
    if reader.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        raise SceneError(
            f"{uri} states that 0 is white (MINISWHITE); invert it, for example with "
            "gdal_calc.py -A in.tif --calc='255-A'"
        )
    if list(color_interpretations(dataset)).count("alpha") > 1:
        raise SceneError(f"{uri} has several alpha bands; remove all but one of them")
    if reader.driver == "GTiff":
        _check_tags(dataset)


def check_image(image: PinnedDataset) -> None:
    """Refuse a PNG or JPEG whose pixel values must be converted before a model can use them.

    Raises:
        SceneError: The image has a palette, fewer than 8 bits, several frames, or an orientation
            other than upright.
    """
    uri, reader = image.uri, image.reader
    if "palette" in color_interpretations(image):
        raise SceneError(f"{uri} has a palette; save it in RGB or in gray")
    bits = int(reader.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", _BITS_PER_BYTE))
    if bits < _BITS_PER_BYTE:
        raise SceneError(f"{uri} has {bits} bits per pixel; save it with 8")
    orientation = reader.tags().get("EXIF_Orientation", "1").strip()
    if reader.driver == "PNG":
        chunks = _png_chunks(uri)
        if b"acTL" in chunks:
            raise SceneError(f"{uri} has several frames; send one image at a time")
        orientation = str(_exif_orientation(chunks.get(b"eXIf", b"")))
    if orientation not in {"0", "1"}:
        remedy = "for example with mogrify -auto-orient"
        raise SceneError(f"{uri} {_ORIENTATION_PROBLEM.format(orientation, remedy)}")


def color_interpretations(dataset: PinnedDataset) -> tuple[str | None, ...]:
    """Return the bands' color interpretations: `red`, `alpha` …; None for gray and undefined."""
    try:
        names = [str(color.name) for color in dataset.reader.colorinterp]
    except CPLE_BaseError:  # only this property fails on invalid tags; GDAL ignores them elsewhere
        return tuple(None for _ in dataset.reader.indexes)
    return tuple(None if name in {"gray", "undefined"} else name for name in names)


def select_bands(scene: SceneInfo, wanted: Sequence[str]) -> list[int]:
    """Return the numbers, from 1, of the bands that a model expects, in the model's order.

    Bands are matched by description, then by color. A scene without descriptions is matched by
    position if it has exactly as many bands as are wanted; alpha bands do not count.

    Args:
        scene: Header of the scene.
        wanted: Names of the model's bands.

    Raises:
        SceneError: The bands cannot be matched, the scene's header contradicts itself, or a band
            is not brightness.
    """
    numbers = _match_descriptions(scene, wanted) or _match_colors(scene, wanted)
    if numbers is None:
        numbers = _match_positions(scene, wanted)
    check_brightness(scene, wanted, numbers)
    return numbers


def _match_descriptions(scene: SceneInfo, wanted: Sequence[str]) -> list[int] | None:
    known = [name.casefold() if name else None for name in scene.band_names]
    counts = [known.count(name.casefold()) for name in wanted]
    if max(counts) > 1:
        raise SceneError(_describe_mismatch(scene, scene.count, wanted))
    if min(counts) == 0:
        return None
    numbers = [known.index(name.casefold()) + 1 for name in wanted]
    if scene.colors[: len(_DEFAULT_COLORS)] != _DEFAULT_COLORS:
        _check_descriptions(scene, numbers)
    return numbers


def _match_colors(scene: SceneInfo, wanted: Sequence[str]) -> list[int] | None:
    colors = _colors_from_names(wanted)
    by_name = [name.casefold() for name in wanted]
    for names in (by_name, colors):
        known = all(name and scene.colors.count(name) == 1 for name in names)
        if known and len(set(names)) == len(names):
            numbers = [scene.colors.index(name) + 1 for name in names]
            _check_descriptions(scene, numbers)
            return numbers
    return None


def _match_positions(scene: SceneInfo, wanted: Sequence[str]) -> list[int]:
    image = [number for number, color in enumerate(scene.colors, 1) if color != "alpha"]
    if any(scene.band_names) or len(image) != len(wanted):
        raise SceneError(_describe_mismatch(scene, len(image), wanted))
    for name, color, number in zip(wanted, _colors_from_names(wanted), image, strict=True):
        stated = scene.colors[number - 1]
        if stated and color and stated != color:
            raise SceneError(
                f"{scene.uri} states that its band {number} is {stated}, but the model expects "
                f"{name} ({', '.join(wanted)}); name the scene's bands after the model's, or "
                f"correct their colors: gdal_edit.py -colorinterp_{number} {color}"
            )
    return image


def _describe_mismatch(scene: SceneInfo, count: int, wanted: Sequence[str]) -> str:
    if any(scene.band_names):
        has = "the bands " + ", ".join(name or "(unnamed)" for name in scene.band_names)
    else:
        alpha = " and an alpha band" if "alpha" in scene.colors else ""
        unnamed = "1 band without a name" if count == 1 else f"{count} bands without names"
        has = unnamed + alpha
    return (
        f"{scene.uri} has {has}; the model expects {', '.join(wanted)}. "
        "Set each band's description to its name (rasterio's set_band_description), or extract "
        "only those bands"
    )


def _check_descriptions(scene: SceneInfo, bands: Sequence[int]) -> None:
    """Refuse bands whose description names one color and whose interpretation is another."""
    described = _colors_from_names([name or "" for name in scene.band_names])
    for number in bands:
        name, color = scene.band_names[number - 1], scene.colors[number - 1]
        if color in COLOR_BAND_NAMES and described[number - 1] not in {None, color}:
            raise SceneError(
                f"{scene.uri} names its band {number} {name} and gives it the color {color}; "
                f"correct one of them: gdal_edit.py -colorinterp_{number} undefined"
            )


def check_brightness(scene: SceneInfo, wanted: Sequence[str], bands: Sequence[int]) -> None:
    """Refuse bands whose pixel values are not brightness.

    Args:
        scene: Header of the scene.
        wanted: Names of the model's bands.
        bands: Numbers of these bands in the scene, from 1.

    Raises:
        SceneError: A band is an alpha band, has a color table, or is hue, saturation or the like.
    """
    for name, number in zip(wanted, bands, strict=True):
        color = scene.colors[number - 1]
        if color == "alpha":
            raise SceneError(
                f"{scene.uri} states that its band {number}, which the model expects as {name}, is "
                "an alpha band; if it is not: "
                f"gdal_edit.py -colorinterp_{number} undefined"
            )
        if color == "palette":
            raise SceneError(
                f"{scene.uri} has a color table, so its pixel values are not brightness; "
                "convert it with gdal_translate -expand rgb in.tif out.tif (or -expand gray)"
            )
        if (
            color not in _BRIGHTNESS_COLORS
            and color != name.casefold()
            and not _is_radar_or_infrared(color)
        ):
            raise SceneError(
                f"{scene.uri} states that its band {number}, which the model expects as {name}, is "
                f"{color}; convert the scene to the model's colors"
            )


def _is_radar_or_infrared(color: str | None) -> bool:
    return bool(color) and str(color).startswith(("sar", "other"))


def _colors_from_names(names: Sequence[str]) -> list[str | None]:
    """Return the color of each band name; None where the name is not that of a color."""
    folded = [name.casefold() for name in names]
    letters = _COLOR_INITIALS if set(_COLOR_INITIALS) <= set(folded) else {}
    known = {name: color for color, names in COLOR_BAND_NAMES.items() for name in names} | letters
    return [known.get(name) for name in folded]


def _check_tags(dataset: PinnedDataset) -> None:
    """Refuse a TIFF by its photometric interpretation and orientation, which GDAL ignores."""
    try:
        with open_header(dataset.uri, dataset.etag, dataset.header_parts) as head:
            page = tiff_header.read_first_page(head.read)
            orientation = page.number(tiff_header.ORIENTATION, 1)
            photometric = page.number(tiff_header.PHOTOMETRIC, 1)
    except tiff_header.UnsupportedLayoutError:
        return  # a header that only GDAL can parse
    if photometric in _COLOR_SPACES:
        raise SceneError(
            f"{dataset.uri} has the color space {_COLOR_SPACES[photometric]}; convert it to RGB"
        )
    # A georeference applies to the rows and columns as stored, whatever the orientation tag says.
    is_georeferenced = not dataset.reader.transform.is_identity or dataset.reader.gcps[0]
    if orientation not in {0, 1} and not is_georeferenced:
        remedy = "or georeference them as they are"
        raise SceneError(f"{dataset.uri} {_ORIENTATION_PROBLEM.format(orientation, remedy)}")


def _png_chunks(path: str) -> dict[bytes, bytes]:
    """Return the chunks of a PNG before its pixels, as bytes by chunk type.

    If a type has several chunks, the last is returned. Longer chunks are cut to 64 KiB.
    """
    chunks: dict[bytes, bytes] = {}
    with Path(path).open("rb") as file:
        file.seek(_PNG_SIGNATURE_BYTES)
        for _ in range(_MAX_CHUNKS):
            head = file.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in {b"IDAT", b""}:
                break
            chunks[kind] = file.read(min(length, _MAX_CHUNK_BYTES))
            file.seek(length - len(chunks[kind]) + 4, os.SEEK_CUR)
    return chunks


def _exif_orientation(exif: bytes) -> int:
    try:
        return tiff_header.read_first_page(lambda at, length: exif[at : at + length]).number(
            tiff_header.ORIENTATION, 1
        )
    except tiff_header.UnsupportedLayoutError:
        return 1
