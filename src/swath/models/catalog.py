"""The models that are deployed, and which of them a dropped scene asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swath import storage
from swath.errors import SettingsError
from swath.messages import ModelRef

Catalogue = Mapping[str, ModelRef]
MAX_NAMED = 20
"""How many models a refusal names."""


class _Entry(msgspec.Struct, frozen=True):
    uri: str
    digest: str


def load_catalogue(uri: str) -> dict[str, ModelRef]:
    """Read the catalogue: a JSON object of model name → `{"uri": …, "digest": …}`.

    An entry's `uri` without a scheme is a key in the catalogue's own bucket (or a path beside a
    local catalogue): the two are deployed together.

    Raises:
        SettingsError: there is no catalogue at the address, or it is not one.
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
    """The model that a key asks for: `<prefix><model>/…` by its name, `<prefix>…` the default.

    A name that the catalogue lacks gives a reference without address or digest, which names the
    models that there are. The run then fails where failures are recorded, instead of here where
    nobody would see it.
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
