"""Make assets of the raster files of a delivery."""

from __future__ import annotations

from swath.items.scene_item import ItemAsset, ItemBand
from swath.items.sources import SceneSources
from swath.storage import join


def make_asset(
    folder: str,
    path: str,
    sources: SceneSources,
    *,
    key: str,
    role: str = "data",
    gsd: float | None = None,
    bands: tuple[ItemBand, ...],
) -> ItemAsset:
    """Return the asset of a file of a delivery.

    Args:
        folder: Address of the folder of the manifest.
        path: Path of the file in it.
        sources: Allowed sources, with the folder.
        key: Key of the asset.
        role: Role of the asset, in STAC's terms.
        gsd: Ground sampling distance in m; None if it is not stated.
        bands: Bands in the order of the file; empty if the delivery describes none.

    Raises:
        SceneError: The path leads outside of the sources, for example by a symbolic link.
    """
    href, access = sources.resolve(join(folder, path))
    return ItemAsset(
        key=key,
        href=href,
        access=access,
        media_type="image/jp2" if path.lower().endswith(".jp2") else "image/tiff",
        roles=(role,),
        gsd=gsd,
        bands=bands,
    )
