"""Publish a run's results in the results bucket, with a STAC Item that describes them.

Detections are GeoParquet. If the model package asks for a mask, the mask is a COG.

The files are stored under the run's id, so a later run of the scene never overwrites an earlier
run's files. The database records which run is current.

A second copy of the detections is in the table of all runs, whose folders are partitions for Athena
and DuckDB. The copies are independent: files of the table may be combined or removed, and the
folder of a run stays complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import antimeridian
import pystac
import shapely
from msgspec import UNSET

from swath import storage
from swath.detection.detections import NO_LABEL
from swath.detection.geoparquet import MEDIA_TYPE, read_classes, read_footer
from swath.detection.scene_facts import read_footprint, read_valid_footprint
from swath.detection.segmentation import mask_raster
from swath.messages import Acquisition, MergeSummary, PublishSummary, RunRequest
from swath.messages.acquisition_time import EARLIEST
from swath.observability.version import __version__
from swath.pipeline.catalog.addresses import acquisition_day, collection_id
from swath.pipeline.catalog.documents import item_links
from swath.pipeline.catalog.entries import write_entry
from swath.pipeline.paths import MODEL_ITEM_FILE, table_key
from swath.pipeline.run_report import ITEM_FILE, RunReport, results_folder
from swath.storage.output_folder import SUMMARY

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_STAC_EXTENSIONS = [
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/table/v1.2.0/schema.json",
]
_EXTENSIONS = {
    "eo": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}
"""Schemas of extensions by the prefix of their properties."""
_PROPERTY_NAMES = {
    "platform": "platform",
    "gsd": "gsd",
    "cloud_cover": "eo:cloud_cover",
    "sun_azimuth": "view:sun_azimuth",
    "sun_elevation": "view:sun_elevation",
    "view_off_nadir": "view:off_nadir",
    "view_azimuth": "view:azimuth",
    "view_incidence": "view:incidence_angle",
}
"""Properties of STAC by the fields of `Acquisition`."""
_CLASSIFICATION_EXTENSION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
_INVALID_IN_NAMES = re.compile("[^0-9A-Za-z_-]+")


def publish_run(
    request: RunRequest, merge: MergeSummary, results_uri: str, *, backend: str
) -> PublishSummary:
    """Copy a run's results into the results bucket and describe them in a STAC Item.

    The function is idempotent. S3 copies the files server-side; swath reads only the footer of the
    GeoParquet file.

    The item is written last, so if it exists, all results exist. The scene is not read: by now it
    may have been replaced, and the new scene has a run of its own.

    Args:
        request: Request of the run.
        merge: Summary of the run's merge.
        results_uri: Bucket or folder of results.
        backend: Name of the backend that ran the shards.

    Returns:
        The addresses of the published files.

    Raises:
        RunIncompleteError: A file is missing, or is not the one that the merge wrote.
    """
    folder = results_folder(results_uri, request.run_id)
    summary = PublishSummary(
        detections_uri=storage.join(folder, "detections.parquet"),
        item_uri=storage.join(folder, ITEM_FILE),
        mask_uri=storage.join(folder, "mask.tif") if merge.mask_uri else "",
    )
    storage.require_etag(merge.uri, merge.etag)
    footer = read_footer(merge.uri)
    item = build_stac_item(request, merge, footer)
    if merge.mask_uri:
        storage.require_etag(merge.mask_uri, merge.mask_etag)
        item.add_asset("mask", _mask_asset(read_classes(footer)))
        item.stac_extensions.append(_CLASSIFICATION_EXTENSION)
        storage.copy(merge.mask_uri, summary.mask_uri, content_type=mask_raster.MEDIA_TYPE)
    item.properties["swath:backend"] = backend
    _add_sizes(item, {"detections": merge.uri, "mask": merge.mask_uri})
    item.set_self_href(summary.item_uri)
    storage.copy(merge.uri, summary.detections_uri, content_type=MEDIA_TYPE)
    key = table_key(request.run_id, request.model.name, merge.acquisition.acquired_at)
    storage.copy(merge.uri, storage.join(results_uri, key), content_type=MEDIA_TYPE)
    report = RunReport.from_merge(request, merge).to_text()
    uri = storage.join(folder, SUMMARY)
    storage.write_bytes(uri, report.encode(), content_type="application/json")
    document = item.to_dict(include_self_link=True, transform_hrefs=False)
    storage.write_json(summary.item_uri, document, content_type="application/geo+json")
    write_entry(results_uri, request, document, _read_mlm(merge), datetime.now(UTC))
    return summary


def _read_mlm(merge: MergeSummary) -> dict[str, Any] | None:
    """Return the Item of the model package; None if an earlier version of swath planned the run."""
    try:
        folder = merge.uri.rpartition("/")[0]
        mlm: dict[str, Any] = storage.read_json(f"{folder}/{MODEL_ITEM_FILE}")
    except FileNotFoundError:
        return None
    return mlm


def build_stac_item(
    request: RunRequest, merge: MergeSummary, footer: pq.FileMetaData
) -> pystac.Item:
    """Create the STAC Item of a run's detections.

    The item's `datetime` is the time of the scene's acquisition. If that is unknown, it is null, as
    the drop says nothing about it; STAC then requires a period, which ends with the drop. The
    item's geometry is the footprint of the scene's valid pixels, or its outline if there are none.

    Args:
        request: Request of the run.
        merge: Summary of the run's merge.
        footer: Footer of the GeoParquet file.
    """
    geometry = read_valid_footprint(footer)
    if shapely.geometry.shape(geometry).is_empty:
        geometry = read_footprint(footer)
    acquisition = merge.acquisition
    known = acquisition.acquired_at
    item = pystac.Item(
        id=request.run_id,
        geometry=geometry,
        bbox=list(antimeridian.bbox(geometry)),
        datetime=None if known is None else datetime.fromisoformat(known),
        start_datetime=EARLIEST if known is None else None,
        end_datetime=datetime.fromisoformat(request.scene.dropped_at) if known is None else None,
        properties=_item_properties(request, merge, footer),
        stac_extensions=[*_STAC_EXTENSIONS, *_acquisition_extensions(acquisition)],
    )
    item.add_asset("detections", _detections_asset(footer))
    item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, request.scene.uri, title="scene"))
    item.collection_id = collection_id(request.model.name)
    for rel, href, media_type in item_links(item.collection_id, acquisition_day(known)):
        item.add_link(pystac.Link(rel, href, media_type=media_type))
    return item


def _item_properties(
    request: RunRequest, merge: MergeSummary, footer: pq.FileMetaData
) -> dict[str, Any]:
    counts = read_classes(footer)
    threshold = request.options.score_threshold
    return {
        **_acquisition_properties(merge.acquisition),
        "processing:software": {"swath": __version__},
        "swath:dropped_at": request.scene.dropped_at,
        "swath:valid_area_m2": merge.valid_area_m2,
        "swath:scene": request.scene.uri,
        "swath:scene_etag": request.scene.etag,
        "swath:model": request.model.name,
        "swath:model_digest": request.model.digest,
        **({} if threshold is UNSET else {"swath:score_threshold": threshold}),
        "swath:tiles": merge.tiles.to_json(),
        "swath:detections": merge.detections,
        "swath:warnings": merge.warnings,
        "swath:classes": {name: counts[name] for name in sorted(counts) if counts[name]},
    }


def _acquisition_properties(acquisition: Acquisition) -> dict[str, Any]:
    """Return the properties of STAC for what is known of an acquisition, except its time."""
    stated = acquisition.to_json()
    return {name: stated[field] for field, name in _PROPERTY_NAMES.items() if field in stated}


def _acquisition_extensions(acquisition: Acquisition) -> list[str]:
    """Return the extensions of STAC whose properties an acquisition has."""
    prefixes = {name.partition(":")[0] for name in _acquisition_properties(acquisition)}
    return [schema for prefix, schema in _EXTENSIONS.items() if prefix in prefixes]


def _detections_asset(footer: pq.FileMetaData) -> pystac.Asset:
    schema = footer.schema.to_arrow_schema()
    columns = [{"name": field.name, "type": str(field.type)} for field in schema]
    return pystac.Asset(
        "./detections.parquet",
        title="Detections",
        media_type=MEDIA_TYPE,
        roles=["data"],
        extra_fields={
            "table:row_count": footer.num_rows,
            "table:primary_geometry": "geometry",
            "table:columns": columns,
        },
    )


def _add_sizes(item: pystac.Item, uris: Mapping[str, str]) -> None:
    """Add the size of each file in bytes to its asset."""
    for name, asset in item.assets.items():
        if status := storage.status(uris[name]):
            asset.extra_fields["file:size"] = status.size


def _mask_asset(names: Iterable[str]) -> pystac.Asset:
    classes = [
        {"value": label, "name": _INVALID_IN_NAMES.sub("_", name), "title": name}
        for label, name in enumerate(names)
    ]
    return pystac.Asset(
        "./mask.tif",
        title="Mask",
        description="The class of each pixel",
        media_type=mask_raster.MEDIA_TYPE,
        roles=["data", "labels"],
        extra_fields={
            "data_type": "uint8",
            "nodata": NO_LABEL,
            "classification:classes": classes,
        },
    )
