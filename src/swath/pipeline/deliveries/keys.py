"""Determine the delivery, and its model, that an object belongs to, by its key."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from swath.items.deliveries import is_marker

_SAFE_FOLDER = re.compile(r"[^/]+\.SAFE(\.done)?", re.IGNORECASE)
_DONE = ".done"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryKey:
    """Key of an object of a delivery, in parts."""

    folder: str
    """S3 URI of the delivery's folder, without a slash at its end."""
    model: str
    """Name of the model; empty for the default model."""
    path: str
    """Path of the object in the folder; empty for a marker beside the folder."""
    is_marker: bool
    """Whether the object is a marker, in the folder or beside it."""

    @property
    def is_at_top(self) -> bool:
        """Whether the object lies directly in the folder."""
        return "/" not in self.path


def parse_delivery_key(
    bucket: str, key: str, *, prefix: str, models: Collection[str]
) -> DeliveryKey | None:
    """Return the parts of a key `<prefix>[<model>/]<delivery>/<path>`; None for other keys.

    The first folder is the model's if a model with its name is deployed, or if a SAFE folder lies
    in it. In any other case it is the delivery's, and the default model is used.

    Args:
        bucket: Bucket of the object.
        key: Key of the object.
        prefix: Prefix of the keys of all deliveries.
        models: Names of the deployed models.
    """
    parts = key.removeprefix(prefix).split("/")
    is_below_model = len(parts) > 1 and (
        parts[0] in models
        or (_SAFE_FOLDER.fullmatch(parts[1]) and not _SAFE_FOLDER.fullmatch(parts[0]))
    )
    model, names = (parts[0], parts[1:]) if is_below_model else ("", parts)
    base = f"s3://{bucket}/{prefix}" + (f"{model}/" if model else "")
    if not names[-1] or not names[0]:
        return None
    if len(names) == 1:
        name = names[0]
        if not name.lower().endswith(_DONE) or len(name) == len(_DONE):
            return None
        folder = name[: -len(_DONE)]
        return DeliveryKey(folder=base + folder, model=model, path="", is_marker=True)
    path = "/".join(names[1:])
    return DeliveryKey(
        folder=base + names[0],
        model=model,
        path=path,
        is_marker=len(names) == _MARKER_DEPTH and is_marker(path),
    )


_MARKER_DEPTH = 2
"""Number of names, of the folder and the file, of a marker directly in the folder."""
