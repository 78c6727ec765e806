"""Describe the inputs of a run: bands, files, and transfers between regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from swath import storage
from swath.pipeline.forecast.contents import BandForecast, FileForecast, TransferForecast
from swath.prices import regional_prices
from swath.raster.assets.scene import StackedScene
from swath.raster.band_units import Unit
from swath.raster.radiometry.units import conversion

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.pipeline.scene_plan import ScenePlan
    from swath.raster.assets.open import OpenedScene
    from swath.raster.assets.stack import BandStack
    from swath.raster.reader.read_sizes import ReadSize

_GB = 1e9


def describe_bands(
    opened: OpenedScene, plan: ScenePlan, description: ModelDescription
) -> list[BandForecast]:
    """Return the bands of the model, and where they come from.

    Args:
        opened: Open scene.
        plan: Tiles and bands of the scene.
        description: Description of the model package.
    """
    info = plan.scene
    converted = conversion(info, plan.bands, description.bands, description.units)
    bands = []
    for index, (name, number) in enumerate(zip(description.bands, plan.bands, strict=True)):
        unit = info.units[number - 1]
        origin = _origin(opened, number)
        bands.append(
            BandForecast(
                name=name,
                uri=origin.uri,
                band=origin.band,
                resampling=origin.resampling,
                unit=str(unit) if unit else "",
                unit_source="none" if unit is None else "file" if origin.unit else "Item",
                conversion=""
                if converted is None
                else _describe_conversion(converted.gains[index], converted.zeros[index]),
            )
        )
    return bands


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """File that a band of a scene comes from."""

    uri: str
    band: int
    """Number of the band in the file, from 1."""
    resampling: str
    """Method of resampling; empty if the file has the pixels of the grid."""
    unit: Unit | None
    """Unit that the file states."""


def _origin(opened: OpenedScene, number: int) -> _Origin:
    scene, stack = opened.scene, opened.stack
    if stack is None or not isinstance(scene, StackedScene):
        info = scene.info
        return _Origin(uri=info.uri, band=number, resampling="", unit=info.units[number - 1])
    source = stack.bands[number - 1]
    asset = scene.assets[source.asset]
    return _Origin(
        uri=stack.assets[source.asset].uri,
        band=source.band,
        resampling="" if asset.resampler.alignment.coincides else stack.resampling,
        unit=asset.scene.info.units[source.band - 1],
    )


def _describe_conversion(gain: float, zero: float) -> str:
    if (gain, zero) == (1, 0):
        return ""
    return f"(value - {zero:.10g}) * {gain:.10g}" if zero else f"value * {gain:.10g}"


def describe_files(sizes: Sequence[ReadSize], stack: BandStack | None) -> list[FileForecast]:
    """Return the files of a scene, with what the run reads of each.

    Args:
        sizes: Bytes that the run reads.
        stack: Files of the scene; None for a scene of one file.
    """
    refs = {ref.uri: ref for ref in stack.assets} if stack else {}
    files = []
    for size in sizes:
        ref = refs.get(size.uri)
        is_local = "://" not in size.uri
        files.append(
            FileForecast(
                uri=size.uri,
                file_bytes=size.file_bytes,
                read_bytes=size.block_bytes if is_local else size.fetched_bytes,
                requests=size.requests,
                is_exact=size.is_exact,
                region=(ref.region if ref else "") or _bucket_region(size.uri),
                requester_pays=ref.requester_pays if ref else False,
            )
        )
    return files


def describe_transfers(files: Sequence[FileForecast], region: str) -> list[TransferForecast]:
    """Return the transfers from the regions of the files to that of the deployment.

    Args:
        files: Files of the scene.
        region: Region of the deployment; empty if it is unknown.
    """
    pairs = {(file.region, file.requester_pays) for file in files if file.region}
    transfers = []
    for source, requester_pays in sorted(pairs):
        if not region or source == region:
            continue
        count = sum(
            file.read_bytes
            for file in files
            if (file.region, file.requester_pays) == (source, requester_pays)
        )
        price = regional_prices(source).get(f"transfer_gb.{region}")
        transfers.append(
            TransferForecast(
                source=source,
                target=region,
                bytes=count,
                dollars=price.usd * count / _GB if price else None,
                requester_pays=requester_pays,
            )
        )
    return transfers


def _bucket_region(uri: str) -> str:
    """Return the region of an object's bucket; empty if it has none, or S3 does not state it."""
    if not storage.is_s3(uri):
        return ""
    bucket, _ = storage.split_s3(uri)
    try:
        headers = storage.s3().head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as error:
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    except BotoCoreError:
        return ""
    return str(headers.get("x-amz-bucket-region", ""))
