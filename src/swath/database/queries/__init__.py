"""Query detections, runs and scenes: lists, tiles, sums and streams.

The package reads the tables of `swath.database` and writes nothing. Each function reads in one
transaction, so a role with the right to SELECT suffices. No function depends on a web framework.
"""

from swath.database.queries.filters import DetectionFilter
from swath.database.queries.lists import (
    get_detection,
    get_run,
    list_detections,
    list_runs,
    list_scenes,
)
from swath.database.queries.records import Cursor, Detection, Page, Run, Scene
from swath.database.queries.streams import STREAM_SCHEMA, stream_detections
from swath.database.queries.summaries import Summary, summarize
from swath.database.queries.tiles import Tile, draw_tile
from swath.database.queries.version import read_version

__all__ = [
    "STREAM_SCHEMA",
    "Cursor",
    "Detection",
    "DetectionFilter",
    "Page",
    "Run",
    "Scene",
    "Summary",
    "Tile",
    "draw_tile",
    "get_detection",
    "get_run",
    "list_detections",
    "list_runs",
    "list_scenes",
    "read_version",
    "stream_detections",
    "summarize",
]
