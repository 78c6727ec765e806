"""Addresses of a run's objects in the work bucket or folder.

Only addresses: `infra` and the functions that merely pass a shard on import this module, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from swath.errors import PayloadError
from swath.storage import join

_RUNS = "runs"
SHARDS = "shards"
"""Name of the folder of the shards' files."""
SHARD_LIST = "shards.json"
"""Name of the JSON array of a run's shards: the items of the state machine's Map."""


def run_key(run_id: str, *parts: str) -> str:
    """Return the key of an object of a run, below the work bucket or folder."""
    return "/".join([_RUNS, run_id, *parts])


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The addresses of the objects that the steps of a run hand to each other."""

    work_uri: str
    run_id: str

    @classmethod
    def of_plan(cls, plan_uri: str) -> RunPaths:
        """Return the paths of the run whose plan lies at `plan_uri`.

        Raises:
            PayloadError: no run keeps its plan there.
        """
        work, runs, run_id = plan_uri.removesuffix("/plan.json").rpartition(f"/{_RUNS}/")
        if not runs or not run_id or "/" in run_id:
            raise PayloadError(
                f"{plan_uri} is not where a run keeps its plan: that is WORK/runs/RUN/plan.json"
            )
        return cls(work, run_id)

    @property
    def root(self) -> str:
        """The folder of the run."""
        return join(self.work_uri, run_key(self.run_id))

    @property
    def plan(self) -> str:
        """The plan."""
        return join(self.root, "plan.json")

    @property
    def shard_list(self) -> str:
        """A JSON array of the shards' indices: the items of the state machine's Map."""
        return join(self.root, SHARD_LIST)

    @property
    def detections(self) -> str:
        """The merged detections, GeoParquet."""
        return join(self.root, "detections.parquet")

    @property
    def mask(self) -> str:
        """The merged mask, GeoTIFF; if the model package asks for one."""
        return join(self.root, "mask.tif")

    def job_failure(self, job: str) -> str:
        """Return where the Batch job of an id leaves why it failed, JSON."""
        return join(self.root, "failures", f"{job.replace(':', '-')}.json")

    def shard_file(self, name: str) -> str:
        """A file of any shard, by its name."""
        return join(self.root, SHARDS, name)

    def shard(self, index: int) -> str:
        """One shard's detections before merging, Parquet."""
        return self.shard_file(f"{index}.parquet")

    def seams(self, index: int) -> str:
        """Those of one shard's detections that other shards have a say in, Parquet; if any."""
        return self.shard_file(f"{index}.seams.parquet")

    def samples(self, index: int) -> str:
        """One shard's samples of the scene's pixels, NPY; if the package states statistics."""
        return self.shard_file(f"{index}.samples.npy")

    def partial(self, index: int) -> str:
        """What an interrupted shard had found, Parquet; its metadata says how far it came."""
        return self.shard_file(f"{index}.partial.parquet")

    def checkpoint(self, index: int) -> str:
        """What the files of an interrupted shard are, JSON; only with it are they of use."""
        return self.shard_file(f"{index}.partial.json")

    def mask_part(self, index: int) -> str:
        """The labels of one shard's cores, GeoTIFF; if the model package asks for a mask."""
        return self.shard_file(f"{index}.mask.tif")

    def partial_mask(self, index: int) -> str:
        """Those that an interrupted shard had found."""
        return self.shard_file(f"{index}.partial.mask.tif")

    def request(self, index: int) -> str:
        """What an asynchronous endpoint is asked for one shard with, JSON."""
        return join(self.root, "requests", f"{index}.json")

    def receipt(self, index: int) -> str:
        """One shard's receipt, JSON; it exists only if the shard's Parquet file does."""
        return self.shard_file(f"{index}.json")
