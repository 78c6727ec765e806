"""Describe the scene in a Sentinel-2 product (Level-1C or Level-2A) in the format SAFE.

Names of files and elements follow ESA's Product Specification Document
(https://sentiwiki.copernicus.eu/web/s2-products).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import atan2, cos, degrees, radians, sin

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries.assets import make_asset
from swath.items.deliveries.manifests import Manifest
from swath.items.deliveries.numbers import parse_number, parse_time
from swath.items.deliveries.xml_elements import MAX_XML_BYTES, XmlElement, read_elements
from swath.items.scene_item import ItemBand, SceneItem
from swath.items.sources import SceneSources
from swath.messages.acquisition import Acquisition
from swath.storage import join, read_bounded

_IMAGE = re.compile(
    r"GRANULE/(?P<granule>[^/]+)/IMG_DATA/(R(?P<folder>\d\d)m/)?[^/]*_"
    r"(?P<band>B\d[0-9A]|AOT|WVP|SCL)(_(?P<gsd>\d\d)m)?\.(jp2|tif)",
    re.IGNORECASE,
)
_PRODUCT_METADATA = re.compile(r"(MTD_MSI|[^/]*_MTD_SAF)L(?P<level>1C|2A)[^/]*\.xml", re.IGNORECASE)
_TILE_METADATA = re.compile(r"GRANULE/[^/]+/[^/]*MTD[^/]*\.xml", re.IGNORECASE)
_BANDS = {
    "B01": ("coastal", 60),
    "B02": ("blue", 10),
    "B03": ("green", 10),
    "B04": ("red", 10),
    "B05": ("rededge071", 20),
    "B06": ("rededge075", 20),
    "B07": ("rededge078", 20),
    "B08": ("nir", 10),
    "B8A": ("nir08", 20),
    "B09": ("nir09", 60),
    "B10": ("cirrus", 60),
    "B11": ("swir16", 20),
    "B12": ("swir22", 20),
}
"""Common name (STAC's extension EO 2.0) and resolution in m of each band, in ESA's order.

The position of a band in this order is its `band_id` in the metadata.
"""
_BAND_IDS = {str(number): band for number, band in enumerate(_BANDS)}
_QUANTIFICATION = {"1C": "QUANTIFICATION_VALUE", "2A": "BOA_QUANTIFICATION_VALUE"}
_OFFSET = {"1C": "RADIO_ADD_OFFSET", "2A": "BOA_ADD_OFFSET"}
_OTHER_QUANTIFICATION = {"AOT": "AOT_QUANTIFICATION_VALUE", "WVP": "WVP_QUANTIFICATION_VALUE"}
_PRODUCT_NAMES = {
    *("PRODUCT_URI", "PRODUCT_START_TIME", "SPACECRAFT_NAME", "Cloud_Coverage_Assessment"),
    *("SPECIAL_VALUE_TEXT", "SPECIAL_VALUE_INDEX"),
    *(*_QUANTIFICATION.values(), *_OFFSET.values(), *_OTHER_QUANTIFICATION.values()),
}
_ANGLE_NAMES = {"ZENITH_ANGLE", "AZIMUTH_ANGLE"}
_TILE_NAMES = {"SENSING_TIME", *_ANGLE_NAMES}


def is_sentinel2(manifest: Manifest) -> bool:
    """Return whether a SAFE folder is a Sentinel-2 product with images."""
    return any(_PRODUCT_METADATA.fullmatch(part.path) for part in manifest.parts)


def describe_sentinel2(manifest: Manifest, sources: SceneSources, *, etag: str) -> SceneItem:
    """Return the scene of a Sentinel-2 product.

    A band that the product has at several resolutions is taken at the finest. The true-color image
    and masks of quality are left out. The unit of reflectance is that of the product's own
    metadata, with the offset of processing baseline 04.00 and later.

    Args:
        manifest: List of files of the product.
        sources: Allowed sources, with the folder of the product.
        etag: ETag of the manifest.

    Raises:
        SceneError: The product has no image, several tiles, or metadata that cannot be read.
    """
    folder = manifest.uri.rpartition("/")[0]
    paths = [part.path for part in manifest.parts]
    images = _finest_images(manifest.uri, paths)
    product_path = next(path for path in paths if _PRODUCT_METADATA.fullmatch(path))
    match = _PRODUCT_METADATA.fullmatch(product_path)
    level = match["level"].upper() if match else ""
    product = _read(folder, product_path, _PRODUCT_NAMES)
    tile_path = next((path for path in paths if _TILE_METADATA.fullmatch(path)), "")
    tile = _read(folder, tile_path, _TILE_NAMES) if tile_path else []
    return SceneItem(
        uri=manifest.uri,
        etag=etag,
        item_id=_product_id(product, folder),
        collection=f"sentinel-2-l{level.lower()}",
        acquisition=_acquisition(product, tile, min(gsd for _, gsd in images.values())),
        assets=tuple(
            make_asset(
                folder,
                path,
                sources,
                key=band,
                gsd=float(gsd),
                bands=(_describe_band(band, level, product),),
            )
            for band, (path, gsd) in images.items()
        ),
        left_out=tuple(set(paths) - {path for path, _ in images.values()}),
        sensor="sentinel-2",
    )


def _finest_images(uri: str, paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the path and the resolution in m of each band, in ESA's order of bands."""
    images: dict[str, tuple[str, int]] = {}
    granules = set()
    for path in paths:
        if not (match := _IMAGE.fullmatch(path)):
            continue
        granules.add(match["granule"])
        band = match["band"].upper()
        native = _BANDS[band][1] if band in _BANDS else _FINEST_GSD
        gsd = int(match["gsd"] or match["folder"] or native)
        if band not in images or gsd < images[band][1]:
            images[band] = (path, gsd)
    if len(granules) > 1:
        raise SceneError(
            f"{shown(uri)} lists {len(granules)} tiles, as products before December 2016 do; a "
            "scene has one tile: give the files of one tile"
        )
    if not images:
        raise SceneError(f"{shown(uri)} lists no image of a band; deliver the whole product")
    order = [*_BANDS, "AOT", "WVP", "SCL"]
    return {band: images[band] for band in sorted(images, key=order.index)}


def _read(folder: str, path: str, names: set[str]) -> list[XmlElement]:
    uri = join(folder, path)
    try:
        return read_elements(read_bounded(uri, MAX_XML_BYTES), uri, names.__contains__)
    except FileNotFoundError:
        raise SceneError(f"{uri} is missing; deliver the whole product") from None


def _describe_band(band: str, level: str, product: list[XmlElement]) -> ItemBand:
    if band not in _BANDS:
        factor = _number(product, _OTHER_QUANTIFICATION.get(band, ""))
        unit = "cm" if band == "WVP" and factor else ""
        return ItemBand(
            name=band,
            scale=1 / factor if factor else None,
            offset=0.0 if factor else None,
            unit=unit,
        )
    factor = _number(product, _QUANTIFICATION[level])
    offset = _offsets(product, _OFFSET[level]).get(band, 0.0)
    return ItemBand(
        name=band,
        common_name=_BANDS[band][0],
        scale=1 / factor if factor else None,
        offset=offset / factor if factor else None,
        unit="reflectance" if factor else "",
        nodata=_nodata(product),
    )


def _offsets(product: list[XmlElement], name: str) -> Mapping[str, float]:
    """Return the offset of each band in digital numbers; older baselines state none."""
    offsets = {}
    for element in product:
        number, band_id = parse_number(element.text), element.attributes.get("band_id", "")
        if element.name == name and number is not None and band_id in _BAND_IDS:
            offsets[_BAND_IDS[band_id]] = number
    return offsets


def _nodata(product: list[XmlElement]) -> float | None:
    texts = [one.text for one in product if one.name.startswith("SPECIAL_VALUE")]
    values = dict(zip(texts[::2], texts[1::2], strict=False))
    return parse_number(values.get("NODATA", ""))


def _product_id(product: list[XmlElement], folder: str) -> str:
    name = _text(product, "PRODUCT_URI") or folder.rpartition("/")[2]
    return shown(re.sub(r"\.SAFE$", "", name, flags=re.IGNORECASE))


def _acquisition(product: list[XmlElement], tile: list[XmlElement], gsd: int) -> Acquisition:
    sun, views = _angles(tile, "Mean_Sun_Angle"), _angles(tile, "Mean_Viewing_Incidence_Angle")
    zenith = sun[0][0] if sun else None
    platform = _text(product, "SPACECRAFT_NAME")
    return Acquisition(
        # The product's own time is that of the whole pass, minutes before the tile.
        acquired_at=parse_time(_text(tile, "SENSING_TIME") or _text(product, "PRODUCT_START_TIME")),
        platform=shown(platform.lower()) or None,
        gsd=float(gsd),
        cloud_cover=_number(product, "Cloud_Coverage_Assessment"),
        sun_azimuth=sun[0][1] if sun else None,
        sun_elevation=90 - zenith if zenith is not None else None,
        view_azimuth=_mean_direction([azimuth for _, azimuth in views]),
        view_incidence=sum(one for one, _ in views) / len(views) if views else None,
    )


def _angles(tile: list[XmlElement], parent: str) -> list[tuple[float, float]]:
    """Return the zenith and azimuth angles in degrees below elements of a name."""
    within = [one for one in tile if one.name in _ANGLE_NAMES and one.parents[-1:] == (parent,)]
    zeniths = [parse_number(one.text) for one in within if one.name == "ZENITH_ANGLE"]
    azimuths = [parse_number(one.text) for one in within if one.name == "AZIMUTH_ANGLE"]
    pairs = zip(zeniths, azimuths, strict=False)
    return [(one, other) for one, other in pairs if one is not None and other is not None]


def _mean_direction(azimuths: list[float]) -> float | None:
    """Return the mean of directions in degrees, 0 to 360: that of their unit vectors."""
    if not azimuths:
        return None
    east = sum(sin(radians(one)) for one in azimuths)
    north = sum(cos(radians(one)) for one in azimuths)
    return degrees(atan2(east, north)) % 360


def _text(elements: list[XmlElement], name: str) -> str:
    return next((one.text for one in elements if one.name == name), "")


def _number(elements: list[XmlElement], name: str) -> float | None:
    return parse_number(_text(elements, name))


_FINEST_GSD = 10
"""Resolution in m of an image whose path states none; Level-2A states it for all."""
