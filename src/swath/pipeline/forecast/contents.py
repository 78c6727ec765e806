"""Define the forecast of a run: what `swath plan` prints, and writes as JSON."""

from __future__ import annotations

from swath.messages import UNKNOWN_ACQUISITION, Acquisition, Backend, Payload
from swath.pipeline.forecast.calibration import Calibration
from swath.pipeline.forecast.estimates import Estimate


class BandForecast(Payload, frozen=True, kw_only=True):
    """Band of the model, and where it comes from."""

    name: str
    """Name of the band in the model."""
    uri: str
    """Address of the file."""
    band: int
    """Number of the band in the file, from 1."""
    resampling: str = ""
    """Method by which the band is resampled to the run's grid; empty if it is not."""
    unit: str = ""
    """Unit of the band's pixel values; empty if nothing states one."""
    unit_source: str = "none"
    """Origin of the unit: `file`, `Item` or `none`."""
    conversion: str = ""
    """Conversion to the unit of the model package; empty if the values are not converted."""


class FileForecast(Payload, frozen=True, kw_only=True):
    """File of the scene, and what the run reads of it."""

    uri: str
    file_bytes: int
    """Size of the file."""
    read_bytes: int
    """Bytes of blocks that the shards read, without headers."""
    requests: int
    """Number of requests that read them from S3."""
    is_exact: bool
    """Whether `read_bytes` is computed from the tables of blocks; else it is the file's size."""
    region: str = ""
    """AWS region of the bucket; empty for a local file, or if it is unknown."""
    requester_pays: bool = False


class TransferForecast(Payload, frozen=True, kw_only=True):
    """Transfer of a scene's bytes from one AWS region to another."""

    source: str
    """Region of the bucket."""
    target: str
    """Region of the deployment."""
    bytes: int
    dollars: float | None
    """Cost in US dollars; None if the price is unknown."""
    requester_pays: bool
    """Whether the reader pays; else the owner of the bucket does."""


class SceneForecast(Payload, frozen=True, kw_only=True):
    """Scene and grid of a run."""

    uri: str
    identity: str
    """Identity of the scene: the URI, or collection and id of its Item."""
    width: int
    """Width of the run's grid in px."""
    height: int
    """Height of the run's grid in px."""
    crs: str
    """Name of the CRS, such as `EPSG:32633`."""
    ground_distance: tuple[float, float] | None = None
    """Size of a pixel on the ground in m along x and y, at the center; None if it is unknown."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Width and height of a px of the grid in px of the scene's finest band."""
    acquisition: Acquisition = UNKNOWN_ACQUISITION


class PriceNotes(Payload, frozen=True, kw_only=True):
    """Provenance of the prices of a forecast."""

    region: str
    """Region of the prices."""
    is_default: bool
    """Whether the region is a default, as no region is known."""
    read_on: str
    """Date of the price table, YYYY-MM-DD."""
    unverified: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Names of the prices that were not read from AWS itself."""
    unknown: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Names of the prices that the table lacks."""


class Forecast(Payload, frozen=True, kw_only=True):
    """Forecast of a run."""

    scene: SceneForecast
    model: str
    """Name of the model."""
    digest: str
    """Digest of the model package."""
    bands: list[BandForecast]
    files: list[FileForecast]
    tile_size: int
    """Tile size in px."""
    overlap: int
    """Overlap of neighboring tiles in px."""
    tiles: int
    """Number of tiles of the grid."""
    skipped: int
    """Number of tiles that are known to have no valid pixel, which no shard reads."""
    backend: Backend
    """Backend that the run would use."""
    shards: int
    """Number of shards on this backend."""
    estimates: list[Estimate]
    transfers: list[TransferForecast]
    prices: PriceNotes
    calibration: Calibration | None
    """Speed of the model on this machine; None if it was not measured."""
    warnings: list[str]
    """Warnings that the run would give, one sentence each."""

    @property
    def read_bytes(self) -> int:
        """Bytes of blocks that the shards read of all files."""
        return sum(file.read_bytes for file in self.files)

    @property
    def is_exact(self) -> bool:
        """Whether `read_bytes` is computed from the tables of blocks of all files."""
        return all(file.is_exact for file in self.files)
