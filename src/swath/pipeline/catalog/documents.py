"""Build the documents of the catalog, STAC 1.1, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from swath import storage
from swath.pipeline.catalog.addresses import ITEM_TO_STAC
from swath.pipeline.catalog.entries import CatalogEntry

STAC_VERSION = "1.1.0"
JSON_TYPE = "application/json"
GEOJSON_TYPE = "application/geo+json"
PARQUET_TYPE = "application/vnd.apache.parquet"
_UNSTATED_LICENSE = "other"
"""License of a collection whose model states none."""

Document = dict[str, Any]
Link = dict[str, str]


def item_links(collection: str, day: str) -> list[tuple[str, str, str]]:
    """Return the relation, address and type of the links of a run's Item to the catalog.

    The root is not among them: pystac would read it with each Item, also before the first update.
    """
    return [
        ("collection", f"{ITEM_TO_STAC}/{collection}/collection.json", JSON_TYPE),
        ("parent", f"{ITEM_TO_STAC}/{collection}/{day}/catalog.json", JSON_TYPE),
    ]


def update_root(document: Document | None, collections: Iterable[str]) -> Document:
    """Return the root of the catalog with links to collections."""
    base: Document = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "swath",
        "title": "swath",
        "description": "Detections by model, then by day of acquisition.",
        "links": [_link("root", "./catalog.json")],
    }
    links = [_link("child", f"./{name}/collection.json", title=name) for name in collections]
    return _with_links(document or base, links)


def update_collection(
    document: Document | None,
    entries: Sequence[CatalogEntry],
    days: Iterable[str],
    models: Iterable[str],
) -> Document:
    """Return the collection of a model with further runs.

    Args:
        document: Collection so far; None if there is none.
        entries: Runs of the model, at least one.
        days: Days of the runs.
        models: Digests of the packages whose Items exist.
    """
    first = entries[0]
    described = (first.mlm or {}).get("properties", {})
    base: Document = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": first.collection,
        "title": first.model,
        "description": described.get("description") or f"Detections by the model {first.model}.",
        "license": described.get("license") or _UNSTATED_LICENSE,
        "extent": {"spatial": {"bbox": []}, "temporal": {"interval": [[None, None]]}},
        "links": [_link("root", "../catalog.json"), _link("parent", "../catalog.json")],
    }
    links = [_link("child", f"./{day}/catalog.json", title=day) for day in days]
    links += [_link("item", f"./models/{digest}.json", GEOJSON_TYPE) for digest in models]
    updated = _with_links(document or base, links)
    items = [entry.item for entry in entries]
    return updated | {"extent": _extend(updated["extent"], items)}


def update_day(
    document: Document | None, collection: str, day: str, items: Iterable[str]
) -> Document:
    """Return the catalog of a day with links to the Items of further runs, by run id."""
    base: Document = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{collection}-{day}",
        "title": day,
        "description": f"Detections by {collection} in scenes acquired on {day}.",
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../collection.json"),
            _link("items", "./items.parquet", PARQUET_TYPE),
        ],
    }
    links = [_link("item", f"../../../runs/{run_id}/item.json", GEOJSON_TYPE) for run_id in items]
    return _with_links(document or base, links)


def model_item(entry: CatalogEntry) -> Document:
    """Return the Item of a version of a model, whose files are those of its package.

    Args:
        entry: Run of the model, with the package's Item.
    """
    mlm = entry.mlm or {}
    assets: Mapping[str, Document] = mlm.get("assets", {})
    properties: Document = {**mlm.get("properties", {})}
    # STAC 1.1 allows bands in assets only.
    bands = {"bands": properties.pop("bands")} if "bands" in properties else {}
    # The files are in one archive, so that each of them has its address.
    located = {
        name: bands | asset | {"href": entry.model_uri if _is_relative(asset) else asset["href"]}
        for name, asset in assets.items()
    }
    kept = [link for link in mlm.get("links", []) if not _is_relative(link)]
    return mlm | {
        "id": f"{mlm.get('id', entry.model)}-{entry.model_digest[:12]}",
        "collection": entry.collection,
        "properties": properties,
        "assets": located,
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../collection.json"),
            _link("collection", "../collection.json"),
            *kept,
        ],
    }


def _is_relative(linked: Document) -> bool:
    href = str(linked.get("href", ""))
    return not storage.is_remote(href)


def _link(rel: str, href: str, media_type: str = JSON_TYPE, *, title: str = "") -> Link:
    link = {"rel": rel, "href": href, "type": media_type}
    return link | {"title": title} if title else link


def _with_links(document: Document, links: Iterable[Link]) -> Document:
    """Return a document with further links, each address once, in the order of the addresses."""
    present: list[Link] = document["links"]
    known = {(link["rel"], link["href"]): link for link in present}
    for link in links:
        known.setdefault((link["rel"], link["href"]), link)
    structural = {"root", "parent", "items"}
    fixed = [link for link in known.values() if link["rel"] in structural]
    others = [link for link in known.values() if link["rel"] not in structural]
    return document | {"links": [*fixed, *sorted(others, key=lambda link: link["href"])]}


def _extend(extent: Document, items: Sequence[Document]) -> Document:
    """Return an extent that includes further Items; Items of an unknown time have no period."""
    boxes = [*extent["spatial"]["bbox"], *(item["bbox"] for item in items)]
    ((start, end),) = extent["temporal"]["interval"]
    times = [item["properties"]["datetime"] for item in items if item["properties"]["datetime"]]
    known = sorted((time for time in (start, end, *times) if time), key=datetime.fromisoformat)
    interval = [known[0], known[-1]] if known else [None, None]
    return {
        "spatial": {"bbox": [_unite(boxes)]},
        "temporal": {"interval": [interval]},
    }


def _unite(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box around boxes; around the Earth if one of them crosses the antimeridian."""
    crosses = any(west > east for west, _, east, _ in boxes)
    return [
        -180.0 if crosses else min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        180.0 if crosses else max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    ]
