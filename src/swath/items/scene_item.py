"""Hold what a scene consists of: its assets, their bands, and when they were acquired."""

from __future__ import annotations

import msgspec

from swath.messages.acquisition import UNKNOWN_ACQUISITION, Acquisition
from swath.storage import DEFAULT_ACCESS, BucketAccess


class ItemBand(msgspec.Struct, frozen=True, kw_only=True):
    """Band of an asset, as the Item describes it; nothing here is read from the file."""

    name: str = ""
    """Name of the band, such as `B04`; empty if the Item does not name it."""
    common_name: str = ""
    """Common name of the band, such as `red`, as STAC's extension EO defines them."""
    scale: float | None = None
    """Factor from pixel values to the physical quantity; None if neither scale nor offset is
    stated."""
    offset: float | None = None
    """Physical quantity of the pixel value 0; None if neither scale nor offset is stated."""
    unit: str = ""
    """Unit of the physical quantity; empty if the Item states none."""
    nodata: float | None = None
    """Pixel value that means nodata; it may be NaN or infinite."""
    gsd: float | None = None
    """Ground sampling distance of this band in m."""
    doubt: str = ""
    """Why scale and offset differ from the Item's statement, one sentence; usually empty."""

    @property
    def label(self) -> str:
        """Names of the band for a message: `B04 (red)`."""
        if self.name and self.common_name and self.common_name != self.name:
            return f"{self.name} ({self.common_name})"
        return self.name or self.common_name


class ItemAsset(msgspec.Struct, frozen=True, kw_only=True):
    """Raster file of a scene."""

    key: str
    """Key of the asset in its Item; for a list of files, the name of the file."""
    href: str
    """Absolute address from which swath may read the file; empty if there is a `refusal`."""
    access: BucketAccess = DEFAULT_ACCESS
    media_type: str = ""
    roles: tuple[str, ...] = ()
    gsd: float | None = None
    """Ground sampling distance in m, as the Item states it."""
    bands: tuple[ItemBand, ...] = ()
    """Bands in the order of the file; empty if the Item describes none."""
    refusal: str = ""
    """Why swath may not read the file, one sentence."""


class SceneItem(msgspec.Struct, frozen=True, kw_only=True):
    """Scene of several files: a STAC Item, or a list of files."""

    uri: str
    """Address of the document that describes the scene."""
    etag: str = ""
    """ETag of the document; empty if there is no document."""
    item_id: str = ""
    """Id of the STAC Item; empty for a list of files."""
    collection: str = ""
    """Id of the Item's collection; empty if it has none."""
    acquisition: Acquisition = UNKNOWN_ACQUISITION
    assets: tuple[ItemAsset, ...]
    """Raster assets in the order of the document; other assets are left out."""
    left_out: tuple[str, ...] = ()
    """Keys of the assets that are no scene: metadata, previews, other formats."""
    sensor: str = ""
    """Sensor by which the Item's band numbers are defined: `sentinel-2`, `landsat-oli` or empty."""
    named_by_files: bool = False
    """Whether the names of the files name the bands, as in a list of files."""
    warnings: tuple[str, ...] = ()
    """Warnings about the document, one sentence each."""

    @property
    def scene_id(self) -> str:
        """Identity of the scene: `collection/id`, or only the id; empty for a list of files.

        A slash in a part is encoded, so that different Items have different identities, and none
        has that of a file.
        """
        parts = (part for part in (self.collection, self.item_id) if part)
        return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)

    @property
    def title(self) -> str:
        """Address of the scene's document, or the id of the Item, for messages."""
        return self.uri or f"the Item {self.item_id}"


class SelectedBand(msgspec.Struct, frozen=True, kw_only=True):
    """Band of a scene's asset that answers to one of the model's names."""

    name: str
    """Name of the band in the model."""
    key: str
    """Key of the asset."""
    href: str
    """Absolute address of the asset."""
    access: BucketAccess = DEFAULT_ACCESS
    number: int
    """Number of the band in the asset, from 1."""
    expects_one_band: bool
    """Whether the file must have one band, because nothing states which of several is meant."""
    band: ItemBand
    """Statements of the Item about the band."""


def describe_assets(assets: tuple[ItemAsset, ...]) -> str:
    """Return the bands of assets for a message: `B02 (blue), image: red, green, blue`."""
    texts = []
    for asset in assets[:_MAX_SHOWN]:
        labels = [band.label or f"band {number}" for number, band in enumerate(asset.bands, 1)]
        has_names = any(band.label not in {"", asset.key} for band in asset.bands)
        texts.append(f"{asset.key}: {', '.join(labels)}" if has_names else asset.key)
    more = len(assets) - _MAX_SHOWN
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")


_MAX_SHOWN = 20
"""Maximum number of assets that a message lists."""
