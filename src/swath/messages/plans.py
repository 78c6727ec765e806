"""What the state machine is given of a plan, and what a plan says of its scene."""

from __future__ import annotations

from typing import Any

from swath.messages.payload import Payload
from swath.messages.requests import Backend

PLAN_VERSION = 4
"""The form of `swath.pipeline.plan.Plan`; each change that other versions cannot read adds one."""


def is_readable_plan(data: Any) -> bool:
    """Tell whether this version of swath can read a plan, given as parsed JSON."""
    return isinstance(data, dict) and data.get("version") == PLAN_VERSION


class Georeference(Payload, frozen=True, kw_only=True):
    """A scene's place on Earth, from its header; every float survives JSON unchanged."""

    crs: str
    """WKT; empty where the header names none."""
    transform: tuple[float, float, float, float, float, float] | None
    """The affine transform a, b, c, d, e, f from scene px to the CRS; None where there is none."""
    gcps: list[tuple[float, float, float, float, float]] = []
    """Ground control points: column and row in scene px; x, y and z in the CRS."""


class PlanSummary(Payload, frozen=True, kw_only=True):
    """What the state machine needs of a plan."""

    uri: str
    backend: Backend
    shards: int
    tiles: int
