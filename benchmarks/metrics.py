"""List the metrics and their goals; each metric has a result file and a row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """Metric with a goal.

    Attributes:
        name: Name, which is also that of the result file.
        description: Description for the table.
        goal: Value to reach.
        better: Direction of better values.
        unit: Unit; empty for a ratio.
    """

    name: str
    description: str
    goal: float
    better: Better
    unit: str = ""

    def is_met(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return value >= self.goal if self.better == "higher" else value <= self.goal


_LIMIT = "decode limit / swath, {}, 8192², tiles 640/64, two threads"
_WRITTEN = "decoding into memory, each pixel written once / swath, {}, same tiles"
_WINDOWS = "rasterio windows / swath, {}, same tiles"
_ASYNC = "async-geotiff windows, 16 at once / swath, {}, same tiles"
_STACK = "bands of 10, 10, 10, 20, 20 and 60 m, 6144², tiles 640/64: "
_POLYGONS = "polygons of label rasters with {}: rasterio.features.shapes / swath"
_ALONE = "model alone / COG to Parquet, {}"
_DEVICE = "device time / wall time, device of 2 ms per tile, {}"
_HTTP = "over 20 ms of latency, RGB deflate 8192²: "
_SERVING = "responses per second to 16 clients, device of 20 ms per call and 1 ms per tile: "

_METRICS = (
    # Reading
    Metric("reading_rgb8_deflate", _LIMIT.format("RGB deflate"), 0.85, "higher"),
    Metric("reading_rgb8_zstd", _LIMIT.format("RGB zstd"), 0.85, "higher"),
    Metric("reading_ms16_deflate", _LIMIT.format("4 x uint16 deflate"), 0.85, "higher"),
    Metric("reading_ms16_zstd", _LIMIT.format("4 x uint16 zstd"), 0.85, "higher"),
    Metric("written_rgb8_deflate", _WRITTEN.format("RGB deflate"), 0.85, "higher"),
    Metric("written_rgb8_zstd", _WRITTEN.format("RGB zstd"), 0.85, "higher"),
    Metric("written_ms16_deflate", _WRITTEN.format("4 x uint16 deflate"), 0.85, "higher"),
    Metric("written_ms16_zstd", _WRITTEN.format("4 x uint16 zstd"), 0.85, "higher"),
    Metric("windows_rgb8_deflate", _WINDOWS.format("RGB deflate"), 1, "higher"),
    Metric("windows_rgb8_zstd", _WINDOWS.format("RGB zstd"), 1, "higher"),
    Metric("windows_ms16_deflate", _WINDOWS.format("4 x uint16 deflate"), 1, "higher"),
    Metric("windows_ms16_zstd", _WINDOWS.format("4 x uint16 zstd"), 1, "higher"),
    Metric("async_geotiff_rgb8_deflate", _ASYNC.format("RGB deflate"), 1, "higher"),
    Metric("async_geotiff_rgb8_zstd", _ASYNC.format("RGB zstd"), 1, "higher"),
    Metric("async_geotiff_ms16_deflate", _ASYNC.format("4 x uint16 deflate"), 1, "higher"),
    Metric("async_geotiff_ms16_zstd", _ASYNC.format("4 x uint16 zstd"), 1, "higher"),
    Metric(
        "reading_memory",
        "memory added by reading: scene 4 times as high / scene of the same width",
        1.1,
        "lower",
    ),
    Metric("http_vsicurl", _HTTP + "GDAL's default /vsicurl windows / swath", 5, "higher"),
    Metric("http_limit", _HTTP + "max(network alone, decoding alone) / swath", 0.70, "higher"),
    Metric(
        "http_cores",
        _HTTP + "CPU time of server, network and decoding, shared by the cores / swath",
        0.70,
        "higher",
    ),
    Metric("http_gets", _HTTP + "GETs per row of blocks", 1, "lower"),
    Metric("http_bytes", _HTTP + "bytes read / bytes of the blocks", 1.05, "lower"),
    Metric("http_decodes", _HTTP + "decodes per block", 1.05, "lower"),
    Metric(
        "stack_limit", _STACK + "(decoding + OpenCV's kernel, in cache) / swath", 0.75, "higher"
    ),
    Metric(
        "stack_written",
        _STACK + "(decoding + OpenCV's kernel, tiles written to memory) / swath",
        0.75,
        "higher",
    ),
    Metric("stack_warped", _STACK + "windows of WarpedVRT / swath", 2, "higher"),
    Metric("stack_odc_stac", _STACK + "odc-stac, a load for each tile / swath", 2, "higher"),
    Metric("stack_decodes", _STACK + "decodes per block", 1, "lower"),
    Metric(
        "stack_http",
        _STACK + "over 20 ms of latency, (decoding + kernel, written to memory) / swath",
        0.75,
        "higher",
    ),
    Metric(
        "stack_memory",
        "memory added by reading bands of 10, 20 and 60 m: files 4 times as high / files",
        1.1,
        "lower",
    ),
    # Merging
    Metric("merge_sahi", "1M boxes: sahi GreedyNMM with its objects / swath", 25, "higher"),
    Metric("merge_lsnms", "1M boxes: lsnms / swath", 1, "higher"),
    Metric("merge_exponent", "exponent of swath's merge time, 100k to 1M boxes", 1.08, "lower"),
    Metric("merge_memory", "memory added by merging 1M boxes", 150, "lower", "MB"),
    # Polygons
    Metric("polygons_fields", _POLYGONS.format("large fields"), 1, "higher"),
    Metric("polygons_objects", _POLYGONS.format("small objects"), 1, "higher"),
    Metric("polygons_speckle", _POLYGONS.format("speckle"), 1, "higher"),
    # From end to end
    Metric("shard_1m_onnx", _ALONE.format("1M parameters, .onnx, 8192²"), 0.92, "higher"),
    Metric("shard_1m_pt2", _ALONE.format("1M parameters, .pt2, 8192²"), 0.92, "higher"),
    Metric("shard_10m_onnx", _ALONE.format("10M parameters, .onnx, 4096²"), 0.97, "higher"),
    Metric("shard_10m_pt2", _ALONE.format("10M parameters, .pt2, 4096²"), 0.97, "higher"),
    Metric(
        "sahi_defaults",
        "sahi get_sliced_prediction with its defaults and the torch model / swath, 1M, 8192²",
        2,
        "higher",
    ),
    Metric(
        "sahi_same_runtime",
        "sahi with the same ONNX runtime and no whole-image pass / swath, 1M, 8192²",
        1.2,
        "higher",
    ),
    Metric("sahi_memory", "sahi's peak memory / swath's, 1M, 16384²", 3, "higher"),
    Metric("device_8192", _DEVICE.format("8192²"), 0.90, "higher"),
    Metric("device_16384", _DEVICE.format("16384²"), 0.90, "higher"),
    # Size
    Metric(
        "shard_memory",
        "peak memory of a shard: maximum / minimum over scenes 4k, 16k and 64k px wide",
        1.1,
        "lower",
    ),
    Metric(
        "batch_shard_memory",
        "peak memory of a shard of 4096 tiles, scene 64k px wide, device stand-in",
        1000,
        "lower",
        "MB",
    ),
    Metric("plan_time", "planning a scene of 200,000² px", 5, "lower", "s"),
    Metric("plan_memory", "peak memory of planning such a scene", 300, "lower", "MB"),
    Metric(
        "first_tile",
        "time from the start of one of its shards to the first inferred tile",
        1,
        "lower",
        "s",
    ),
    Metric(
        "geoparquet",
        "1M detections: pyarrow writing the table of the file / swath making, sorting, writing it",
        0.9,
        "higher",
    ),
    Metric(
        "planning_error",
        "forecast seconds / seconds of the run, 20 scenes: largest distance from 1",
        0.3,
        "lower",
    ),
    Metric("planning_share", "share of those scenes within 30%", 1, "higher"),
    # The database
    Metric("load_limit", "500k detections: COPY of encoded rows / load of the run", 0.85, "higher"),
    Metric(
        "migration_rate",
        "thousand rows of an earlier release moved per second, 5M rows, three restarts",
        20,
        "higher",
        "k/s",
    ),
    Metric("migration_wait", "longest wait of a reader during that migration", 1, "lower", "s"),
    # Serving
    Metric("serving_gain", _SERVING + "batched / one by one", 2, "higher"),
    Metric("serving_tail", "p95 / p50 of those clients' latencies", 2, "lower"),
    Metric(
        "serving_idle",
        "p50 latency of one client, the same device: batched / not batched",
        1.05,
        "lower",
    ),
    Metric(
        "serving_overhead",
        "p50 latency of an image of 512² over HTTP / model alone, 1M parameters, .onnx, one client",
        1.5,
        "lower",
    ),
    # With a GPU
    Metric("gpu_1m", _ALONE.format("1M parameters on a GPU, 16384²"), 0.85, "higher"),
    Metric("gpu_30m", _ALONE.format("30M parameters on a GPU, 16384²"), 0.85, "higher"),
)

METRICS = {metric.name: metric for metric in _METRICS}
