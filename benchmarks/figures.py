"""List the figures and their goals; each has one result file and one row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that is worth a goal."""

    name: str
    what: str
    goal: float
    better: Better
    unit: str = ""
    """Empty for a ratio."""

    def met(self, value: float) -> bool:
        """Tell whether a value reaches the goal."""
        return value >= self.goal if self.better == "higher" else value <= self.goal


_LIMIT = "decode limit / swath, {}, 8192², tiles 640/64, two threads"
_WINDOWS = "rasterio windows / swath, {}, same tiles"
_ASYNC = "async-geotiff windows, 16 at once / swath, {}, same tiles"
_POLYGONS = "label rasters of {} as polygons: rasterio.features.shapes / swath"
_ALONE = "model alone / COG to Parquet, {}"
_DEVICE = "device-bound time / wall, device of 2 ms a tile, {}"
_HTTP = "over 20 ms of latency, RGB deflate 8192²: "
_SERVING = "answers a second to 16 clients, device of 20 ms a call and 1 ms a tile: "

_FIGURES = (
    # Reading
    Figure("reading_rgb8_deflate", _LIMIT.format("RGB deflate"), 0.80, "higher"),
    Figure("reading_rgb8_zstd", _LIMIT.format("RGB zstd"), 0.80, "higher"),
    Figure("reading_ms16_deflate", _LIMIT.format("4 x uint16 deflate"), 0.80, "higher"),
    Figure("reading_ms16_zstd", _LIMIT.format("4 x uint16 zstd"), 0.80, "higher"),
    Figure("windows_rgb8_deflate", _WINDOWS.format("RGB deflate"), 1, "higher"),
    Figure("windows_rgb8_zstd", _WINDOWS.format("RGB zstd"), 1, "higher"),
    Figure("windows_ms16_deflate", _WINDOWS.format("4 x uint16 deflate"), 1, "higher"),
    Figure("windows_ms16_zstd", _WINDOWS.format("4 x uint16 zstd"), 1, "higher"),
    Figure("async_geotiff_rgb8_deflate", _ASYNC.format("RGB deflate"), 1, "higher"),
    Figure("async_geotiff_rgb8_zstd", _ASYNC.format("RGB zstd"), 1, "higher"),
    Figure("async_geotiff_ms16_deflate", _ASYNC.format("4 x uint16 deflate"), 1, "higher"),
    Figure("async_geotiff_ms16_zstd", _ASYNC.format("4 x uint16 zstd"), 1, "higher"),
    Figure(
        "reading_memory",
        "memory that reading adds, scene 4 times as high / the same width once",
        1.1,
        "lower",
    ),
    Figure("http_vsicurl", _HTTP + "GDAL's default /vsicurl windows / swath", 5, "higher"),
    Figure("http_limit", _HTTP + "max(network alone, decoding alone) / swath", 0.60, "higher"),
    Figure("http_gets", _HTTP + "GETs of pixels a row of blocks", 1, "lower"),
    Figure("http_bytes", _HTTP + "bytes read / bytes of the blocks", 1.05, "lower"),
    Figure("http_decodes", _HTTP + "decodes a block", 1.05, "lower"),
    # Merging
    Figure("merge_sahi", "1M boxes: sahi GreedyNMM with its objects / swath", 25, "higher"),
    Figure("merge_lsnms", "1M boxes: lsnms / swath", 1, "higher"),
    Figure("merge_exponent", "growth of swath's merge, 100k to 1M boxes: exponent", 1.08, "lower"),
    Figure("merge_memory", "memory that merging 1M boxes adds", 150, "lower", "MB"),
    # Polygons
    Figure("polygons_fields", _POLYGONS.format("large fields"), 1, "higher"),
    Figure("polygons_objects", _POLYGONS.format("small objects"), 1, "higher"),
    Figure("polygons_speckle", _POLYGONS.format("speckle"), 1, "higher"),
    # From end to end
    Figure("shard_1m_onnx", _ALONE.format("1M parameters, .onnx, 8192²"), 0.92, "higher"),
    Figure("shard_1m_pt2", _ALONE.format("1M parameters, .pt2, 8192²"), 0.92, "higher"),
    Figure("shard_10m_onnx", _ALONE.format("10M parameters, .onnx, 4096²"), 0.97, "higher"),
    Figure("shard_10m_pt2", _ALONE.format("10M parameters, .pt2, 4096²"), 0.97, "higher"),
    Figure(
        "sahi_defaults",
        "sahi get_sliced_prediction with its defaults and the torch model / swath, 1M, 8192²",
        2,
        "higher",
    ),
    Figure(
        "sahi_same_runtime",
        "sahi with the same ONNX runtime and no whole-image pass / swath, 1M, 8192²",
        1.2,
        "higher",
    ),
    Figure("sahi_memory", "sahi's peak memory / swath's, 1M, 16384²", 3, "higher"),
    Figure("device_8192", _DEVICE.format("8192²"), 0.90, "higher"),
    Figure("device_16384", _DEVICE.format("16384²"), 0.90, "higher"),
    # Size
    Figure(
        "shard_memory",
        "a shard's peak memory, the most / the least of scenes 4k, 16k and 64k px wide",
        1.1,
        "lower",
    ),
    Figure(
        "batch_shard_memory",
        "peak memory of a shard of 4096 tiles, scene 64k px wide, device stand-in",
        1000,
        "lower",
        "MB",
    ),
    Figure("plan_time", "planning a scene of 200,000² px", 5, "lower", "s"),
    Figure("plan_memory", "peak memory of planning it", 300, "lower", "MB"),
    Figure(
        "first_tile", "from the start of a shard of it to its first tile inferred", 1, "lower", "s"
    ),
    Figure(
        "geoparquet",
        "1M georeferenced detections as GeoParquet with bbox / the columns as .npy",
        5,
        "lower",
    ),
    # Serving
    Figure("serving_gain", _SERVING + "gathered in batches / each alone", 2, "higher"),
    Figure("serving_tail", "p95 / p50 of those clients' latencies", 2, "lower"),
    Figure(
        "serving_idle",
        "p50 of one client alone, the same device: gathered in batches / not",
        1.05,
        "lower",
    ),
    Figure(
        "serving_overhead",
        "p50 of an image of 512² over HTTP / the model alone, 1M parameters, .onnx, one client",
        1.5,
        "lower",
    ),
    # With a GPU
    Figure("gpu_1m", _ALONE.format("1M parameters on a GPU, 16384²"), 0.85, "higher"),
    Figure("gpu_30m", _ALONE.format("30M parameters on a GPU, 16384²"), 0.85, "higher"),
)

FIGURES = {figure.name: figure for figure in _FIGURES}
