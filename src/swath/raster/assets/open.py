"""Open the scene that a model reads: one file, or the bands of several files on one grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from swath import storage
from swath.errors import SceneError
from swath.items import (
    ItemBand,
    SceneItem,
    SelectedBand,
    select_assets,
    selection_warnings,
    undescribed_asset,
)
from swath.raster.assets.alignment import Alignment, align
from swath.raster.assets.asset import StackedAsset
from swath.raster.assets.grid import choose_grid, finest_band
from swath.raster.assets.resample import Resampler
from swath.raster.assets.scene import StackedScene
from swath.raster.assets.stack import AssetRef, BandSource, BandStack
from swath.raster.band_units import choose_unit, item_unit
from swath.raster.dataset import DTYPES
from swath.raster.interpretation import check_brightness, select_bands
from swath.raster.scene import FileScene, Scene, open_scene
from swath.raster.scene_info import ImageInfo, SceneInfo

if TYPE_CHECKING:
    from swath.raster.assets.stack import BandNeeds

MAX_OPENED_AT_ONCE = 16
"""Largest number of files that are opened at the same time; S3 takes a few requests for each."""


@dataclass(frozen=True, slots=True)
class OpenedScene:
    """An open scene, and the bands that a model reads from it."""

    scene: Scene
    bands: list[int]
    """Numbers of the bands in the scene, from 1, in the model's order."""
    stack: BandStack | None
    """Files and grid of the scene; None for one file on its own grid."""


@contextmanager
def open_model_scene(
    scene: str | SceneItem,
    needs: BandNeeds,
    *,
    etag: str | None = None,
    stack: BandStack | None = None,
) -> Iterator[OpenedScene]:
    """Open the scene that a model reads, and close it on exit.

    This is the one entrance for runs, detection, training and evaluation, so that all of them read
    the same pixels.

    Args:
        scene: S3 URI or local path of a raster file, or a scene of several files.
        needs: Requirements of the model for the bands.
        etag: ETag that the raster file must have; by default, its current ETag.
        stack: Files and grid that a plan stored for this scene, which are opened as they are.

    Raises:
        SceneError: A file is missing or damaged, the scene does not have the model's bands, or its
            files cannot be aligned.
        SceneChangedError: A file has another ETag.
        TransientError: S3 did not answer.
    """
    if stack is not None:
        uri = scene if isinstance(scene, str) else scene.title
        with _open_files(stack.assets) as files:
            yield _restore(uri, files, stack)
    elif isinstance(scene, SceneItem):
        with _open_item(scene, needs) as opened:
            yield opened
    else:
        with open_scene(scene, etag=etag) as file:
            yield _open_file(file, needs)


def _open_file(file: FileScene, needs: BandNeeds) -> OpenedScene:
    """Return the bands of a file; on another grid if the model needs another resolution."""
    numbers = select_bands(file.info, needs.names)
    grid = choose_grid([file.info], needs)
    if grid.scale == (1.0, 1.0):
        return OpenedScene(file, numbers, None)
    bands = [
        BandSource(name=name, asset=0, band=number, unit=file.info.units[number - 1])
        for name, number in zip(needs.names, numbers, strict=True)
    ]
    access = storage.access_to(file.info.uri)
    refs = [AssetRef.with_access(file.info.uri, access, etag=file.etag)]
    return _decide(file.info.uri, [file], refs, bands, needs)


@contextmanager
def _open_item(item: SceneItem, needs: BandNeeds) -> Iterator[OpenedScene]:
    """Open the assets that hold a model's bands, each pinned by its current ETag."""
    selected, etags = _select(item, needs)
    addresses = list(dict.fromkeys(one.href for one in selected))
    access = {one.href: one.access for one in selected}
    unpinned = [
        AssetRef.with_access(uri, access[uri], etag=etags.get(uri, "")) for uri in addresses
    ]
    with _open_files(unpinned) as files:
        refs = [
            msgspec.structs.replace(ref, etag=file.etag)
            for ref, file in zip(unpinned, files, strict=True)
        ]
        warnings = selection_warnings(item, selected)
        bands = [_band_source(one, addresses.index(one.href), files, warnings) for one in selected]
        yield _decide(item.title, files, refs, bands, needs, warnings)


def _select(item: SceneItem, needs: BandNeeds) -> tuple[list[SelectedBand], dict[str, str]]:
    """Return the bands of an Item, and the ETags of files that were opened to select them.

    The header decides if the Item has one data asset and does not describe its bands.
    """
    asset = undescribed_asset(item)
    try:
        return select_assets(item, needs.names), {}
    except SceneError:
        if asset is None:
            raise
    ref = AssetRef.with_access(asset.href, asset.access)
    with _open_files([ref]) as (file,):
        numbers = select_bands(file.info, needs.names)
        described = dict(enumerate(asset.bands, 1))
        bands = [
            SelectedBand(
                name=name,
                key=asset.key,
                href=asset.href,
                access=asset.access,
                number=number,
                expects_one_band=False,
                band=described.get(number, ItemBand()),
            )
            for name, number in zip(needs.names, numbers, strict=True)
        ]
        return bands, {asset.href: file.etag}


@contextmanager
def _open_files(refs: Sequence[AssetRef]) -> Iterator[list[FileScene]]:
    """Open files, several at a time, and close them on exit."""
    with ExitStack() as opened:

        def open_one(ref: AssetRef) -> FileScene:
            storage.configure_access(ref.uri, ref.access)
            return opened.enter_context(open_scene(ref.uri, etag=ref.etag or None))

        with ThreadPoolExecutor(min(MAX_OPENED_AT_ONCE, len(refs))) as pool:
            futures = [pool.submit(open_one, ref) for ref in refs]
        yield [future.result() for future in futures]


def _band_source(
    one: SelectedBand, asset: int, files: Sequence[FileScene], warnings: list[str]
) -> BandSource:
    """Return the source of a band; its Item states what its file does not.

    Args:
        one: Band of the Item.
        asset: Index of its file.
        files: Open files.
        warnings: Warnings about the scene; a contradiction of file and Item is appended.
    """
    info = files[asset].info
    if one.expects_one_band and len([color for color in info.colors if color != "alpha"]) > 1:
        raise SceneError(
            f"{info.uri} has {info.count} bands, and nothing states which of them is {one.name}; "
            f'name it: {{"bands": {{"{one.name}": {{"uri": "URI", "band": 1}}}}}}'
        )
    if one.number > info.count:
        raise SceneError(
            f"{info.uri} has {info.count} bands and its Item describes band {one.number} as "
            f"{one.name}; correct the Item"
        )
    unit, contradiction = choose_unit(info.units[one.number - 1], item_unit(one.band))
    if contradiction:
        warnings.append(f"{info.uri} {contradiction}")
    # NaN and infinity are never valid.
    has_nodata = info.nodata[one.number - 1] is not None
    nodata = one.band.nodata
    if has_nodata or nodata is None or not isfinite(nodata):
        nodata = None
    return BandSource(name=one.name, asset=asset, band=one.number, unit=unit, nodata=nodata)


def _decide(
    uri: str,
    files: Sequence[FileScene],
    refs: list[AssetRef],
    bands: list[BandSource],
    needs: BandNeeds,
    warnings: Sequence[str] = (),
) -> OpenedScene:
    """Choose the grid of bands of several files, and return them on it."""
    grid = choose_grid([files[band.asset].info for band in bands], needs)
    stack = BandStack(
        assets=refs,
        bands=bands,
        resampling=needs.resampling,
        width=grid.image.width,
        height=grid.image.height,
        georeference=grid.image.georeference,
        scale=grid.scale,
        warnings=list(warnings),
    )
    return _restore(uri, files, stack)


def _restore(uri: str, files: Sequence[FileScene], stack: BandStack) -> OpenedScene:
    """Return the bands of a stack on its grid.

    Args:
        uri: Address of the scene.
        files: Open files of the stack's assets.
        stack: Files and grid.
    """
    reference = files[_reference(files, stack)].info
    assets, names = [], [band.name for band in stack.bands]
    for index, file in enumerate(files):
        numbers = tuple(band.band if band.asset == index else None for band in stack.bands)
        alignment = align(file.info, reference).scaled(*stack.scale)
        taken = [(n, name) for n, name in zip(numbers, names, strict=True) if n is not None]
        check_brightness(file.info, [name for _, name in taken], [n for n, _ in taken])
        _override_nodata(file, index, stack)
        assets.append(
            StackedAsset(file, Resampler.from_method(alignment, stack.resampling), numbers)
        )
    info = _describe(uri, assets, reference, stack)
    return OpenedScene(StackedScene(info, assets, stack), list(range(1, info.count + 1)), stack)


def _reference(files: Sequence[FileScene], stack: BandStack) -> int:
    """Return the index of the file whose pixels are the scene's own."""
    band = finest_band([files[band.asset].info for band in stack.bands])
    return stack.bands[band].asset


def _override_nodata(file: FileScene, asset: int, stack: BandStack) -> None:
    """Set the nodata values that only the Item states."""
    nodata = list(file.info.nodata)
    for band in stack.bands:
        if band.asset == asset and band.nodata is not None:
            nodata[band.band - 1] = band.nodata
    if tuple(nodata) != file.info.nodata:
        file.info = replace(file.info, nodata=tuple(nodata), masked=True)


def _describe(
    uri: str, assets: Sequence[StackedAsset], reference: SceneInfo, stack: BandStack
) -> SceneInfo:
    """Return the header of a stack: its bands on its grid."""
    by_band = [assets[band.asset].scene.info for band in stack.bands]
    grid = ImageInfo.from_georeference(
        stack.georeference, uri=uri, width=stack.width, height=stack.height
    )
    covers = all(_covers(asset.resampler.alignment, stack.width, stack.height) for asset in assets)
    return SceneInfo(
        uri=uri,
        width=stack.width,
        height=stack.height,
        crs=grid.crs,
        transform=grid.transform,
        gcps=grid.gcps,
        rpcs=reference.rpcs,
        count=len(stack.bands),
        dtype=_common_dtype(assets),
        band_names=tuple(band.name for band in stack.bands),
        colors=(None,) * len(stack.bands),
        nodata=tuple(
            info.nodata[band.band - 1] for info, band in zip(by_band, stack.bands, strict=True)
        ),
        masked=not covers or any(info.masked for info in by_band),
        block_shape=reference.block_shape,
        units=tuple(band.unit for band in stack.bands),
        warnings=tuple(stack.warnings),
    )


def _covers(alignment: Alignment, width: int, height: int) -> bool:
    """Return whether an asset has data for every px of a grid."""
    return all(
        axis.offset >= 0 and size * axis.scale + axis.offset <= axis.size
        for axis, size in ((alignment.x, width), (alignment.y, height))
    )


def _common_dtype(assets: Sequence[StackedAsset]) -> str:
    """Return the type of a stack's pixels; see `StackedScene`."""
    dtypes = [np.dtype(asset.scene.info.dtype) for asset in assets]
    if any(asset.resampler.interpolates for asset in assets):
        dtypes.append(np.dtype(np.float32))
    common = np.result_type(*dtypes).name
    return common if common in DTYPES else "float64"
