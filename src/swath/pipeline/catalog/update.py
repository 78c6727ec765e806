"""Update the catalog with the runs that were published since the last update.

One object is written for each day, model and update, not for each run. So 100,000 runs a day cost
some hundred writes. A document is replaced only if nobody else has changed it, and the cursor is
written last: an update that fails or runs twice is simply repeated.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice, takewhile

from swath import storage
from swath.errors import PayloadError, TransientError
from swath.messages import Payload
from swath.pipeline.catalog import addresses
from swath.pipeline.catalog.documents import (
    GEOJSON_TYPE,
    JSON_TYPE,
    PARQUET_TYPE,
    Document,
    model_item,
    update_collection,
    update_day,
    update_root,
)
from swath.pipeline.catalog.entries import CatalogEntry
from swath.pipeline.catalog.items_table import merge_items
from swath.storage.encoding import parse_json

MAX_ENTRIES = 5000
"""Maximum number of runs of one update; the next one continues with the others."""
ENTRY_DELAY = timedelta(minutes=2)
"""Time after which all entries of a minute are written, whatever the clocks of the writers."""
_READERS = 16


class UpdateSummary(Payload, frozen=True, kw_only=True):
    """Result of an update."""

    runs: int = 0
    """Number of runs that were added or replaced."""
    days: int = 0
    """Number of days whose documents were written."""


class _Cursor(Payload, frozen=True, kw_only=True):
    after: str = ""
    """Path of the last entry that the catalog includes."""


def update_catalog(results_uri: str, now: datetime) -> UpdateSummary:
    """Add the runs that were published since the last update to the catalog.

    Args:
        results_uri: Bucket or folder of results.
        now: Time of the update, UTC.

    Raises:
        TransientError: Another update changed a document meanwhile, or S3 failed; a retry can
            succeed.
    """
    cursor_uri = storage.join(results_uri, addresses.CURSOR_KEY)
    cursor, cursor_etag = _read_cursor(cursor_uri)
    paths = _list_entries(results_uri, cursor, now)
    if not paths:
        return UpdateSummary()
    folder = storage.join(results_uri, addresses.ENTRIES_FOLDER)
    with ThreadPoolExecutor(_READERS) as pool:
        entries = [*pool.map(lambda path: _read_entry(storage.join(folder, path)), paths)]
    by_collection: dict[str, list[CatalogEntry]] = defaultdict(list)
    for entry in entries:
        by_collection[entry.collection].append(entry)
    days = sum(_update_model(results_uri, *one) for one in sorted(by_collection.items()))
    _replace_json(
        storage.join(results_uri, addresses.ROOT_KEY),
        lambda document: update_root(document, sorted(by_collection)),
    )
    content = json.dumps(_Cursor(after=paths[-1]).to_json()).encode()
    _require(cursor_uri, storage.write_if_unchanged(cursor_uri, content, cursor_etag))
    return UpdateSummary(runs=len(entries), days=days)


def _list_entries(results_uri: str, after: str, now: datetime) -> list[str]:
    """Return the paths of the entries after a path, of minutes that are complete."""
    until = addresses.format_minute(now - ENTRY_DELAY)
    listed = storage.iterate_objects(
        storage.join(results_uri, addresses.ENTRIES_FOLDER), after=after
    )
    complete = takewhile(lambda path: path < until, (path for path, _ in listed))
    return [*islice(complete, MAX_ENTRIES)]


def _read_entry(uri: str) -> CatalogEntry:
    return CatalogEntry.from_json(storage.read_json(uri))


def _update_model(results_uri: str, collection: str, entries: Sequence[CatalogEntry]) -> int:
    """Update the documents of a model; return the number of days."""
    by_day: dict[str, dict[str, Document]] = defaultdict(dict)
    for entry in entries:
        day = addresses.acquisition_day(entry.item["properties"]["datetime"])
        by_day[day][entry.item["id"]] = entry.item
    for day, items in sorted(by_day.items()):
        _update_day(results_uri, collection, day, items)
    versions = {entry.model_digest: entry for entry in entries if entry.mlm is not None}
    for digest, entry in versions.items():
        uri = storage.join(results_uri, addresses.model_key(collection, digest))
        storage.write_json(uri, model_item(entry), content_type=GEOJSON_TYPE)
    _replace_json(
        storage.join(results_uri, addresses.collection_key(collection)),
        lambda document: update_collection(document, entries, by_day, versions),
    )
    return len(by_day)


def _update_day(results_uri: str, collection: str, day: str, items: Mapping[str, Document]) -> None:
    table_uri = storage.join(results_uri, addresses.day_key(collection, day, "items.parquet"))
    _replace(table_uri, lambda earlier: merge_items(earlier, items), PARQUET_TYPE)
    _replace_json(
        storage.join(results_uri, addresses.day_key(collection, day, "catalog.json")),
        lambda document: update_day(document, collection, day, items),
    )


def _replace_json(uri: str, change: Callable[[Document | None], Document]) -> None:
    def encode(earlier: bytes | None) -> bytes:
        document = change(None if earlier is None else parse_json(earlier))
        return json.dumps(document, separators=(",", ":")).encode()

    _replace(uri, encode, JSON_TYPE)


def _replace(uri: str, change: Callable[[bytes | None], bytes], media_type: str) -> None:
    """Change an object, unless another process changes it at the same time.

    Raises:
        TransientError: Another process has changed the object.
    """
    try:
        earlier, etag = storage.read_with_etag(uri)
    except FileNotFoundError:
        content = change(None)
        _require(uri, storage.write_if_unchanged(uri, content, None, content_type=media_type))
        return
    content = change(earlier)
    if content != earlier:
        _require(uri, storage.write_if_unchanged(uri, content, etag, content_type=media_type))


def _require(uri: str, etag: str | None) -> None:
    if etag is None:
        raise TransientError(f"{uri} was changed by another update of the catalog; try again")


def _read_cursor(uri: str) -> tuple[str, str | None]:
    """Return the path of the last entry that the catalog includes, and the cursor's ETag."""
    try:
        content, etag = storage.read_with_etag(uri)
    except FileNotFoundError:
        return "", None
    try:
        return _Cursor.from_json(parse_json(content)).after, etag
    except (ValueError, PayloadError):
        # Everything is added again, which changes nothing.
        return "", etag
