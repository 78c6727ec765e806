"""Define the summary of a plan for the state machine, and the georeference in a plan."""

from __future__ import annotations

from typing import Any

from swath.messages.payload import Payload
from swath.messages.requests import Backend

PLAN_VERSION = 6
"""Version of the format of `swath.pipeline.plan.Plan`; each incompatible change adds 1."""


def is_readable_plan(data: Any) -> bool:
    """Return whether this version of swath can read a plan, given as parsed JSON."""
    return isinstance(data, dict) and data.get("version") == PLAN_VERSION


class Georeference(Payload, frozen=True, kw_only=True):
    """Georeference of a scene, from its header; JSON keeps every float exactly."""

    crs: str
    """CRS as WKT; empty if the header has none."""
    transform: tuple[float, float, float, float, float, float] | None
    """Affine transform a, b, c, d, e, f from scene px to the CRS; None if the header has none."""
    gcps: list[tuple[float, float, float, float, float]] = []
    """Ground control points (column, row, x, y, z): column and row in scene px, others in CRS."""


class PlanSummary(Payload, frozen=True, kw_only=True):
    """Fields of a plan that the state machine needs."""

    uri: str
    """Address of the plan."""
    backend: Backend
    shards: int
    """Number of shards."""
    tiles: int
    """Number of tiles in the scene's grid, empty ones included."""
