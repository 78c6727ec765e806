"""Define when and how the pixels of a scene were acquired, as its metadata state it."""

from __future__ import annotations

from swath.messages.payload import Payload


class Acquisition(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Acquisition of a scene; a field is None if the metadata do not state it.

    The names and units are those of STAC's common metadata and of its extensions EO and View
    Geometry.
    """

    acquired_at: str | None = None
    """Time of the acquisition, ISO 8601 UTC; the middle if the metadata state a period."""
    platform: str | None = None
    """Name of the satellite or aircraft, for example `sentinel-2a`."""
    gsd: float | None = None
    """Ground sampling distance of the finest band in m."""
    cloud_cover: float | None = None
    """Cloud cover in percent."""
    sun_azimuth: float | None = None
    """Azimuth of the sun in degrees, clockwise from north."""
    sun_elevation: float | None = None
    """Elevation of the sun above the horizon in degrees."""
    view_off_nadir: float | None = None
    """Angle between the sensor's line of sight and nadir in degrees, at the sensor."""
    view_azimuth: float | None = None
    """Azimuth of the line from the scene to the sensor in degrees, clockwise from north."""
    view_incidence: float | None = None
    """Angle between the line of sight and the vertical in degrees, at the ground."""


UNKNOWN_ACQUISITION = Acquisition()
"""Acquisition of a scene whose metadata state nothing about it."""
