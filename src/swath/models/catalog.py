"""Read the catalog of deployed models, and choose the model of an uploaded scene by its key."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swath import storage
from swath.errors import SettingsError
from swath.messages import ModelRef

Catalog = Mapping[str, ModelRef]
MAX_LISTED_MODELS = 20
"""Maximum number of model names that a `ModelRef` without an address lists."""


class _CatalogEntry(msgspec.Struct, frozen=True):
    uri: str
    digest: str


def load_catalog(uri: str) -> dict[str, ModelRef]:
    """Read the catalog: a JSON object of model name → `{"uri": …, "digest": …}`.

    An entry's `uri` without a scheme is a key in the catalog's own bucket, or a path relative to
    a local catalog's folder. The catalog and its packages are deployed together.

    Args:
        uri: Path or S3 URI of the catalog.

    Raises:
        SettingsError: There is no file at `uri`, or the file is not a model catalog.
    """
    try:
        entries = msgspec.json.decode(storage.read_bytes(uri), type=dict[str, _CatalogEntry])
    except FileNotFoundError:
        raise SettingsError(
            f"the model catalog {uri} does not exist; deploy the stack again"
        ) from None
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"{uri} is not a model catalog: {error}; deploy the stack again"
        ) from None
    return {
        name: ModelRef(name=name, uri=_absolute_uri(entry.uri, uri), digest=entry.digest)
        for name, entry in entries.items()
    }


def choose_model(key: str, catalog: Catalog, *, prefix: str, default: str) -> ModelRef:
    """Return the model for an object key.

    A key `<prefix><model>/…` selects the model of that name; a key `<prefix>…` selects the
    default. If the catalog lacks the name, the reference has no address and no digest, and it
    lists the deployed models. The run then fails later, where failures are recorded. An error
    raised here would not be recorded.

    Args:
        key: Object key of the scene.
        catalog: Deployed models by name.
        prefix: Prefix of the keys of all scenes.
        default: Name of the default model.
    """
    folder, slash, _ = key.removeprefix(prefix).partition("/")
    name = folder if slash else default
    return catalog.get(name) or ModelRef(
        name=name, uri="", digest="", deployed=sorted(catalog)[:MAX_LISTED_MODELS]
    )


def _absolute_uri(uri: str, catalog_uri: str) -> str:
    if "://" in uri or uri.startswith("/"):
        return uri
    if storage.is_s3(catalog_uri):
        bucket, _ = storage.split_s3(catalog_uri)
        return storage.join(f"s3://{bucket}", uri)
    return storage.join(catalog_uri.rpartition("/")[0] or ".", uri)
