"""Turn a list of files, or a small JSON of names and URIs, into a scene."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from swath.errors import SceneError
from swath.items.acquisitions import read_acquisition
from swath.items.addresses import shown
from swath.items.scene_item import ItemAsset, ItemBand, SceneItem
from swath.items.sources import SceneSources
from swath.items.stac_bands import MAX_BANDS, MAX_NAME_CHARACTERS, read_nodata
from swath.items.stac_items import MAX_ASSETS, allowed_address
from swath.items.stac_types import FileList, NamedBand
from swath.storage import DEFAULT_ACCESS, BucketAccess, file_name

_DIGEST_CHARACTERS = 16
_DOCUMENT_ENDINGS = (".json", ".geojson", ".xml", ".vrt", ".txt")


def scene_from_files(uris: Sequence[str], sources: SceneSources) -> SceneItem:
    """Return the scene of a list of files.

    Its address is that of a document beside the first file which does not exist. The same files, in
    any order, give the same address.

    Raises:
        SceneError: There is no file, an address is not allowed, or two are equal.
    """
    assets = _read_files(uris, "", sources, "the list of files")
    for asset in assets:
        if asset.refusal:
            raise SceneError(asset.refusal)
    known = "\n".join(sorted(asset.href for asset in assets))
    digest = hashlib.sha256(known.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    folder = assets[0].href.rpartition("/")[0]
    return SceneItem(uri=f"{folder}/files-{digest}.json", assets=assets, named_by_files=True)


def scene_from_list(document: FileList, uri: str, sources: SceneSources, etag: str) -> SceneItem:
    """Return the scene that a small JSON of names and URIs describes.

    Args:
        document: `files`, whose names name the bands, or `bands`, from name to URI.
        uri: Address of the document.
        sources: Allowed sources, beside the folder of the document.
        etag: ETag of the document.

    Raises:
        SceneError: The document has neither or both lists, or one is empty or too long.
    """
    name = shown(uri)
    if (document.files is None) == (document.bands is None):
        raise SceneError(f'{name} has to have either "files" or "bands"; give one of them')
    allowed = sources.with_folder(uri)
    if document.files is not None:
        assets = _read_files(document.files, uri, allowed, name)
    else:
        assets = _read_named(document.bands or {}, uri, allowed, name)
    acquisition, warnings = read_acquisition(document.properties)
    return SceneItem(
        uri=uri,
        etag=etag,
        acquisition=acquisition,
        assets=assets,
        named_by_files=document.files is not None,
        warnings=tuple(f"{name}: {warning}" for warning in warnings),
    )


def _read_files(
    hrefs: Sequence[str], base: str, sources: SceneSources, name: str
) -> tuple[ItemAsset, ...]:
    _check_count(len(hrefs), name)
    assets = []
    for href in hrefs:
        address, access, refusal = _check_file(href, base, sources)
        key = shown(file_name(href))
        assets.append(ItemAsset(key=key, href=address, access=access, refusal=refusal))
    known = [asset.href for asset in assets if asset.href]
    double = next((href for href in known if known.count(href) > 1), None)
    if double:
        raise SceneError(f"{name} names {shown(double)} twice; name each file once")
    return tuple(assets)


def _read_named(
    bands: Mapping[str, str | NamedBand], base: str, sources: SceneSources, name: str
) -> tuple[ItemAsset, ...]:
    """Return one asset for each named band; several bands of one file have assets of their own."""
    _check_count(len(bands), name)
    assets = []
    for band_name, value in bands.items():
        if not band_name.strip() or len(band_name) > MAX_NAME_CHARACTERS:
            raise SceneError(f"{name} has a band named {shown(band_name)!r}; give it a name")
        named = NamedBand(value) if isinstance(value, str) else value
        if not 1 <= named.band <= MAX_BANDS:
            raise SceneError(
                f"{name}: {shown(band_name)} is band {named.band}; bands count from 1 to "
                f"{MAX_BANDS}"
            )
        address, access, refusal = _check_file(named.uri, base, sources)
        bands_before = (ItemBand(),) * (named.band - 1)
        assets.append(
            ItemAsset(
                key=shown(band_name),
                href=address,
                access=access,
                bands=(*bands_before, _named_band(band_name, named, name)),
                refusal=refusal,
            )
        )
    return tuple(assets)


def _check_file(href: str, base: str, sources: SceneSources) -> tuple[str, BucketAccess, str]:
    """Return address, access and refusal of a file; documents that lead on are no rasters."""
    if href.lower().endswith(_DOCUMENT_ENDINGS):
        refusal = f"{shown(href)} is no raster; a list names raster files, not other documents"
        return "", DEFAULT_ACCESS, refusal
    return allowed_address([href], base, sources)


def _named_band(band_name: str, named: NamedBand, name: str) -> ItemBand:
    scale, offset = named.scale, named.offset
    if scale is not None or offset is not None:
        scale, offset = 1.0 if scale is None else scale, offset or 0.0
    try:
        nodata = read_nodata(named.nodata)
    except SceneError as error:
        raise SceneError(f"{name}: {shown(band_name)}: {error}; correct it") from None
    return ItemBand(
        name=band_name, scale=scale, offset=offset, unit=(named.unit or "").strip(), nodata=nodata
    )


def _check_count(count: int, name: str) -> None:
    if not 1 <= count <= MAX_ASSETS:
        raise SceneError(f"{name} has {count:,} files; give from 1 to {MAX_ASSETS:,}")
