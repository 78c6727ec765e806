"""Read the catalog of deployed models, and choose the model of an uploaded scene by its key."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swath import storage
from swath.errors import SettingsError
from swath.messages import ModelRef

Catalogue = Mapping[str, ModelRef]
MAX_NAMED = 20
"""Maximum number of model names that a `ModelRef` without an address lists."""


class _Entry(msgspec.Struct, frozen=True):
    uri: str
    digest: str


def load_catalogue(uri: str) -> dict[str, ModelRef]:
    """Read the catalog: a JSON object of model name → `{"uri": …, "digest": …}`.

    An entry's `uri` without a scheme is a key in the catalog's own bucket, or a path relative to
    a local catalog's folder. The catalog and its packages are deployed together.

    Args:
        uri: Path or S3 URI of the catalog.

    Raises:
        SettingsError: There is no file at `uri`, or the file is not a model catalog.
    """
    try:
        entries = msgspec.json.decode(storage.read_bytes(uri), type=dict[str, _Entry])
    except FileNotFoundError:
        raise SettingsError(
            f"there is no model catalogue at {uri}; deploy the stack anew"
        ) from None
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"{uri} is not a model catalogue: {error}; deploy the stack anew"
        ) from None
    return {
        name: ModelRef(name=name, uri=_absolute(entry.uri, uri), digest=entry.digest)
        for name, entry in entries.items()
    }


def choose_model(key: str, catalogue: Catalogue, *, prefix: str, default: str) -> ModelRef:
    """Return the model for an object key.

    A key `<prefix><model>/…` selects the model of that name; a key `<prefix>…` selects the
    default. If the catalog lacks the name, the reference has no address and no digest, and it
    lists the deployed models. The run then fails later, where failures are recorded. An error
    raised here would not be recorded.

    Args:
        key: Object key of the scene.
        catalogue: Deployed models by name.
        prefix: Prefix of the keys of all scenes.
        default: Name of the default model.
    """
    folder, slash, _ = key.removeprefix(prefix).partition("/")
    name = folder if slash else default
    return catalogue.get(name) or ModelRef(
        name=name, uri="", digest="", deployed=sorted(catalogue)[:MAX_NAMED]
    )


def _absolute(uri: str, catalogue_uri: str) -> str:
    if "://" in uri or uri.startswith("/"):
        return uri
    if storage.is_s3(catalogue_uri):
        bucket, _ = storage.split_s3(catalogue_uri)
        return storage.join(f"s3://{bucket}", uri)
    return storage.join(catalogue_uri.rpartition("/")[0] or ".", uri)
