"""Describe the inputs of a run: bands, files, and transfers between regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from swath import storage
from swath.pipeline.forecast.contents import BandForecast, FileForecast, TransferForecast
from swath.prices import regional_prices
from swath.raster.radiometry.units import conversion

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.pipeline.scene_plan import ScenePlan
    from swath.raster.reader.read_sizes import ReadSize

_GB = 1e9


def describe_bands(plan: ScenePlan, description: ModelDescription) -> list[BandForecast]:
    """Return the bands of the model, and where they come from.

    Args:
        plan: Tiles and bands of the scene.
        description: Description of the model package.
    """
    info = plan.scene
    converted = conversion(info, plan.bands, description.bands, description.units)
    bands = []
    for index, (name, number) in enumerate(zip(description.bands, plan.bands, strict=True)):
        unit = info.units[number - 1]
        bands.append(
            BandForecast(
                name=name,
                uri=info.uri,
                band=number,
                unit=str(unit) if unit else "",
                unit_source="file" if unit else "none",
                conversion=""
                if converted is None
                else _describe_conversion(converted.gains[index], converted.zeros[index]),
            )
        )
    return bands


def _describe_conversion(gain: float, zero: float) -> str:
    if (gain, zero) == (1, 0):
        return ""
    return f"(value - {zero:.10g}) * {gain:.10g}" if zero else f"value * {gain:.10g}"


def describe_files(sizes: Sequence[ReadSize]) -> list[FileForecast]:
    """Return the files of a scene, with what the run reads of each.

    Args:
        sizes: Bytes that the run reads.
    """
    return [
        FileForecast(
            uri=size.uri,
            file_bytes=size.file_bytes,
            read_bytes=size.fetched_bytes if storage.is_s3(size.uri) else size.block_bytes,
            requests=size.requests,
            is_exact=size.is_exact,
            region=_bucket_region(size.uri) if storage.is_s3(size.uri) else "",
        )
        for size in sizes
    ]


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
    """Return the region of an object's bucket; empty if S3 does not state it."""
    bucket, _ = storage.split_s3(uri)
    try:
        headers = storage.s3().head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as error:
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    except BotoCoreError:
        return ""
    return str(headers.get("x-amz-bucket-region", ""))
