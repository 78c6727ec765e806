"""Write and read the entries of published runs, from which the catalog is updated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from swath import storage
from swath.messages import Payload, RunRequest
from swath.pipeline.catalog.addresses import collection_id, entry_key


class CatalogEntry(Payload, frozen=True, kw_only=True):
    """Published run."""

    item: dict[str, Any]
    """STAC Item of the run."""
    model: str
    """Name of the model."""
    model_uri: str
    """Address of the model package."""
    model_digest: str
    """Digest of the model package."""
    mlm: dict[str, Any] | None = None
    """STAC MLM Item of the package; None if the plan did not keep it."""

    @property
    def collection(self) -> str:
        """Id of the model's collection."""
        return collection_id(self.model)


def write_entry(
    results_uri: str,
    request: RunRequest,
    item: dict[str, Any],
    mlm: dict[str, Any] | None,
    published_at: datetime,
) -> None:
    """Write the entry of a run.

    Args:
        results_uri: Bucket or folder of results.
        request: Request of the run.
        item: STAC Item of the run.
        mlm: STAC MLM Item of the model package, if it is known.
        published_at: Time of the publication.
    """
    entry = CatalogEntry(
        item=item,
        model=request.model.name,
        model_uri=request.model.uri,
        model_digest=request.model.digest,
        mlm=mlm,
    )
    uri = storage.join(results_uri, entry_key(request.run_id, published_at))
    storage.write_json(uri, entry.to_json())
