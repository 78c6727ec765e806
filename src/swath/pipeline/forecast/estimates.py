"""Estimate the seconds and the dollars of a run on each backend, as ranges.

Only this machine's speed is measured. The other figures are assumptions, named here and in
docs/run-cost.md; each range is as wide as they are uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Self

from swath.messages import Backend, Payload
from swath.pipeline.forecast import assumptions
from swath.pipeline.forecast.reading_speed import reading_seconds
from swath.settings import has_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swath.messages.deployed_settings import DeployedSettings
    from swath.pipeline.forecast.calibration import Calibration
    from swath.prices import Price
    from swath.raster.reader.read_sizes import ReadSize


class Range(Payload, frozen=True):
    """Range in which a number is expected."""

    low: float
    high: float

    @classmethod
    def multiply(cls, count: float, bounds: tuple[float, float]) -> Self:
        """Return a count times each bound."""
        return cls(count * bounds[0], count * bounds[1])

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def scaled(self, low: float, high: float | None = None) -> Range:
        """Return the range with its ends multiplied by factors; by default, by the same."""
        return Range(self.low * low, self.high * (low if high is None else high))


ZERO = Range(0.0, 0.0)


class Estimate(Payload, frozen=True, kw_only=True):
    """Estimate of a run on one backend."""

    backend: Backend
    is_deployed: bool
    """Whether the deployment has the backend."""
    shards: int
    seconds: Range | None
    """Time from the start of the run to its end; None without a calibration."""
    dollars: Range | None
    """Cost of the run in US dollars; None without a calibration, or if a price is unknown."""
    parts: dict[str, Range] = {}  # noqa: RUF012 (msgspec copies it)
    """Parts of `dollars` by name."""
    notes: list[str] = []  # noqa: RUF012 (msgspec copies it)
    """Limits of the numbers, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Work of a run on one backend."""

    tiles: int
    """Number of tiles to infer."""
    shard_tiles: Sequence[int]
    """Number of tiles to infer of each shard."""
    requests: int
    """Number of requests to S3 that read the scene."""
    plan_seconds: float
    """Time in s that planning takes on this machine."""
    sizes: Sequence[ReadSize] = ()
    """Bytes that the shards read of each file."""

    @property
    def largest(self) -> int:
        """Number of tiles of the largest shard."""
        return max(self.shard_tiles, default=0)


@dataclass(slots=True, kw_only=True)
class Estimator:
    """Estimator of runs of one model in one deployment."""

    settings: DeployedSettings
    calibration: Calibration | None
    prices: Mapping[str, Price]
    """Prices of the deployment's region; empty if they are unknown."""
    used: set[str] = field(default_factory=set)
    """Names of the prices that estimates used."""
    unknown: set[str] = field(default_factory=set)
    """Names of the prices that estimates needed, and the table lacks."""

    def estimate(self, backend: Backend, work: Workload) -> Estimate:
        """Return the estimate of a run on a backend."""
        match backend:
            case Backend.LOCAL:
                return self._local(work)
            case Backend.LAMBDA:
                return self._lambda(work)
            case Backend.BATCH:
                return self._batch(work)
            case Backend.SAGEMAKER_SERVERLESS:
                return self._serverless(work)
            case _:
                return self._endpoint(backend, work)

    def _local(self, work: Workload) -> Estimate:
        seconds = None
        if self.calibration:
            run = self.calibration.run_seconds(work.shard_tiles, work.sizes)
            expected = work.plan_seconds + run
            seconds = Range(expected, expected)
        return Estimate(
            backend=Backend.LOCAL,
            is_deployed=True,
            shards=len(work.shard_tiles),
            seconds=seconds,
            dollars=ZERO,
        )

    def _lambda(self, work: Workload) -> Estimate:
        settings, shards = self.settings, len(work.shard_tiles)
        gib = settings.lambda_memory_mib / 1024
        vcpus = settings.lambda_memory_mib / assumptions.MIB_PER_VCPU
        per_tile = self._seconds_per_tile(work, vcpus)
        notes = [_concurrency_note(min(shards, settings.lambda_concurrency))]
        if per_tile is None:
            return self._unmeasured(Backend.LAMBDA, work, notes)
        waves = ceil(shards / settings.lambda_concurrency)
        seconds = _add(
            assumptions.STEPS_SECONDS,
            _waves(waves, work.largest, per_tile, assumptions.LAMBDA_START_SECONDS),
        )
        # A warm function serves later shards, so at least the first wave starts cold.
        starts = Range(
            assumptions.LAMBDA_START_SECONDS[0] * min(shards, settings.lambda_concurrency),
            assumptions.LAMBDA_START_SECONDS[1] * shards,
        )
        busy = starts + per_tile.scaled(work.tiles)
        parts = self._shared_parts(work) | {
            "shards": self._cost(busy.scaled(gib), "lambda_gb_second"),
            "requests": self._cost(Range(shards, shards), "lambda_request"),
            "transitions": self._transitions(shards),
        }
        return self._sum(Backend.LAMBDA, work, seconds, parts, notes)

    def _batch(self, work: Workload) -> Estimate:
        settings, shards = self.settings, len(work.shard_tiles)
        hosts = max(1, min(shards, settings.gpu_max_vcpus // assumptions.VCPUS_PER_GPU))
        notes = [
            f"{hosts} host(s) with a GPU; the high end of the time is that on their CPUs",
            "Spot costs between a tenth of the on-demand price and all of it",
        ]
        per_tile = self._seconds_per_tile(work, assumptions.VCPUS_PER_GPU, gpu=True)
        if per_tile is None:
            return self._unmeasured(Backend.BATCH, work, notes, is_deployed=settings.batch)
        seconds = _waves(ceil(shards / hosts), work.largest, per_tile, (0.0, 0.0))
        busy = Range(*assumptions.BATCH_START_SECONDS) + seconds
        names = [f"ec2_hour.{name}" for name in settings.gpu_instance_types]
        known = [self.prices[name].usd for name in names if name in self.prices]
        self._record(names)
        host_hours = busy.scaled(hosts / 3600)
        hosts_cost = (
            host_hours.scaled(min(known) * assumptions.MIN_SPOT_SHARE, max(known))
            if known
            else None
        )
        parts = self._shared_parts(work) | {
            "hosts": hosts_cost,
            "transitions": self._cost(
                Range(*assumptions.RUN_TRANSITIONS), "step_functions_transition"
            ),
        }
        total = _add(assumptions.STEPS_SECONDS, busy)
        return self._sum(Backend.BATCH, work, total, parts, notes, is_deployed=settings.batch)

    def _endpoint(self, backend: Backend, work: Workload) -> Estimate:
        settings, shards = self.settings, len(work.shard_tiles)
        kind = backend.endpoint_kind
        is_deployed = kind in settings.endpoints
        is_async = backend is Backend.SAGEMAKER_ASYNC
        name = f"sagemaker_hour.{settings.endpoint_instance_type}"
        gpu = has_gpu(settings.endpoint_instance_type)
        hosts = max(1, min(shards, settings.endpoint_max_instances))
        notes = [f"{hosts} host(s) {settings.endpoint_instance_type}"]
        if not is_async:
            notes.append("a host is paid for whether it works or not, so a run adds nothing")
        per_tile = self._seconds_per_tile(work, assumptions.VCPUS_PER_GPU, gpu=gpu)
        if per_tile is None:
            return self._unmeasured(backend, work, notes, is_deployed=is_deployed)
        busy = _waves(ceil(shards / hosts), work.largest, per_tile, (0.0, 0.0))
        hosts_cost: Range | None = ZERO
        if is_async:
            busy += Range(*assumptions.ASYNC_START_SECONDS)
            paid = busy + Range(assumptions.ASYNC_IDLE_SECONDS, assumptions.ASYNC_IDLE_SECONDS)
            hosts_cost = self._cost(paid.scaled(hosts / 3600), name)
        parts = self._shared_parts(work) | {
            "hosts": hosts_cost,
            "transitions": self._transitions(shards),
        }
        seconds = _add(assumptions.STEPS_SECONDS, busy)
        return self._sum(backend, work, seconds, parts, notes, is_deployed=is_deployed)

    def _serverless(self, work: Workload) -> Estimate:
        settings, shards = self.settings, len(work.shard_tiles)
        backend = Backend.SAGEMAKER_SERVERLESS
        is_deployed = backend.endpoint_kind in settings.endpoints
        gib = settings.serverless_memory_mib / 1024
        concurrency = settings.serverless_max_concurrency
        notes = [_concurrency_note(min(shards, concurrency))]
        per_tile = self._seconds_per_tile(
            work, settings.serverless_memory_mib / assumptions.MIB_PER_VCPU
        )
        if per_tile is None:
            return self._unmeasured(backend, work, notes, is_deployed=is_deployed)
        if work.largest * per_tile.high > assumptions.MAX_RESPONSE_SECONDS:
            notes.append("a shard may take longer than the 60 s that the endpoint allows")
        seconds = _waves(
            ceil(shards / concurrency), work.largest, per_tile, assumptions.SERVERLESS_START_SECONDS
        )
        parts = self._shared_parts(work) | {
            "shards": self._cost(per_tile.scaled(work.tiles * gib), "serverless_gb_second"),
            "transitions": self._transitions(shards),
        }
        total = _add(assumptions.STEPS_SECONDS, seconds)
        return self._sum(backend, work, total, parts, notes, is_deployed=is_deployed)

    def _seconds_per_tile(self, work: Workload, vcpus: float, *, gpu: bool = False) -> Range | None:
        """Return the time for a tile on some vCPUs, from that on this machine; None if unknown.

        With a GPU, the low end is 0: how much faster it is than the vCPUs is not measured.
        """
        measured = self.calibration
        if measured is None:
            return None
        reading = reading_seconds(measured.reading, work.sizes) / max(1, work.tiles)
        if measured.device != "cpu":
            if not gpu:
                return None
            seconds = measured.tile_seconds(measured.seconds_per_tile, reading / vcpus)
            return Range.multiply(seconds, assumptions.CPU_RATIO)
        computing = measured.seconds_per_tile * measured.cpus / vcpus
        seconds = measured.tile_seconds(computing, reading / vcpus)
        return Range(
            0.0 if gpu else seconds * assumptions.CPU_RATIO[0], seconds * assumptions.CPU_RATIO[1]
        )

    def _shared_parts(self, work: Workload) -> dict[str, Range | None]:
        """Return the parts of the cost that all backends have."""
        puts = len(work.shard_tiles) * assumptions.SHARD_PUTS
        return {
            "steps": self._cost(Range(*assumptions.STEPS_GB_SECONDS), "lambda_gb_second"),
            "S3 reads": self._cost(Range(work.requests, work.requests), "s3_get"),
            "S3 writes": self._cost(Range(puts / 2, puts), "s3_put"),
        }

    def _transitions(self, shards: int) -> Range | None:
        counts = Range(*assumptions.RUN_TRANSITIONS) + Range.multiply(
            shards, assumptions.SHARD_TRANSITIONS
        )
        return self._cost(counts, "step_functions_transition")

    def _cost(self, amount: Range, name: str) -> Range | None:
        """Return the price of an amount; None if the price is unknown."""
        self._record([name])
        price = self.prices.get(name)
        return amount.scaled(price.usd) if price else None

    def _record(self, names: Sequence[str]) -> None:
        for name in names:
            (self.used if name in self.prices else self.unknown).add(name)

    def _unmeasured(
        self, backend: Backend, work: Workload, notes: list[str], *, is_deployed: bool = True
    ) -> Estimate:
        return Estimate(
            backend=backend,
            is_deployed=is_deployed,
            shards=len(work.shard_tiles),
            seconds=None,
            dollars=None,
            notes=notes,
        )

    def _sum(
        self,
        backend: Backend,
        work: Workload,
        seconds: Range,
        parts: Mapping[str, Range | None],
        notes: list[str],
        *,
        is_deployed: bool = True,
    ) -> Estimate:
        known = {name: part for name, part in parts.items() if part is not None}
        missing = [name for name, part in parts.items() if part is None]
        if missing and self.prices:
            notes = [*notes, f"the price of {', '.join(missing)} is unknown"]
        return Estimate(
            backend=backend,
            is_deployed=is_deployed,
            shards=len(work.shard_tiles),
            seconds=seconds,
            dollars=None if missing else sum(known.values(), ZERO),
            parts=known,
            notes=notes,
        )


def _concurrency_note(count: int) -> str:
    return f"up to {count} shards at a time" if count > 1 else "one shard at a time"


def _waves(count: int, tiles: int, per_tile: Range, start: tuple[float, float]) -> Range:
    """Return the time of shards that run in waves, each as long as its largest shard."""
    return Range(*start) + per_tile.scaled(count * tiles)


def _add(bounds: tuple[float, float], other: Range) -> Range:
    return Range(*bounds) + other
