"""Define the addresses of the catalog's documents, relative to the results bucket."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

STAC_FOLDER = "stac"
ENTRIES_FOLDER = f"{STAC_FOLDER}/entries"
"""Folder with an object for each published run, by the minute of its publication."""
ROOT_KEY = f"{STAC_FOLDER}/catalog.json"
CURSOR_KEY = f"{STAC_FOLDER}/updated.json"
"""Key of the path of the last entry that the catalog includes."""
UNKNOWN_DAY = "unknown"
"""Day of scenes whose time of acquisition is unknown."""
ITEM_TO_STAC = f"../../{STAC_FOLDER}"
"""Address of the catalog's folder relative to the Item of a run."""
_INVALID = re.compile("[^0-9A-Za-z_.-]+")
_RESERVED = {"entries"}
_HASH_CHARACTERS = 8


def collection_id(model: str) -> str:
    """Return the id of a model's collection, which is also the name of its folder.

    It is the model's name, unless that has characters that are special in addresses.
    """
    name = _INVALID.sub("-", model)
    if name == model and name not in _RESERVED and not name.startswith("."):
        return name
    digest = hashlib.sha256(model.encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{name.lstrip('.')}-{digest}"


def acquisition_day(acquired_at: str | None) -> str:
    """Return the day, YYYY-MM-DD, of a time of acquisition in ISO 8601 UTC."""
    return UNKNOWN_DAY if acquired_at is None else acquired_at[:10]


def format_minute(time: datetime) -> str:
    """Return the name of the folder with the entries of a minute, which sorts by time."""
    return f"{time:%Y-%m-%dT%H:%M}"


def entry_key(run_id: str, published_at: datetime) -> str:
    """Return the key of the entry of a run."""
    return f"{ENTRIES_FOLDER}/{format_minute(published_at)}/{run_id}.json"


def collection_key(collection: str) -> str:
    """Return the key of a model's collection."""
    return f"{STAC_FOLDER}/{collection}/collection.json"


def model_key(collection: str, digest: str) -> str:
    """Return the key of the Item of a version of a model."""
    return f"{STAC_FOLDER}/{collection}/models/{digest}.json"


def day_key(collection: str, day: str, name: str) -> str:
    """Return the key of a document of a day."""
    return f"{STAC_FOLDER}/{collection}/{day}/{name}"
