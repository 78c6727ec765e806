"""Define the addresses of a run's objects in the work bucket or folder.

The module has only addresses, and so imports little: `infra` and the small Lambda functions that
forward a shard to an endpoint import it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from swath.errors import PayloadError
from swath.storage import join
from swath.storage.addresses import RUNS_FOLDER, TABLE_FOLDER

SHARDS_FOLDER = "shards"
"""Name of the folder with the shards' files."""
SHARD_LIST_FILE = "shards.json"
"""Name of the JSON file with a run's shard numbers: the items of the state machine's Map."""

MODEL_ITEM_FILE = "mlm.json"
"""Name of the file with the STAC MLM Item of the run's model package, beside the plan."""
UNKNOWN_MONTH = "1900-01"
"""Month of scenes whose time of acquisition is unknown; `EARLIEST` excludes it for others."""


def table_key(run_id: str, model: str, acquired_at: str | None) -> str:
    """Return the key of a run's file in the table of all detections.

    The folders are partitions in the style of Hive: `detections/model=NAME/month=YYYY-MM/`.

    Args:
        run_id: Identifier of the run.
        model: Name of the model; characters that are special in addresses are escaped.
        acquired_at: Time of the acquisition, ISO 8601 UTC; None if it is unknown.
    """
    month = UNKNOWN_MONTH if acquired_at is None else acquired_at[:7]
    return "/".join(
        [TABLE_FOLDER, f"model={quote(model, safe=' ')}", f"month={month}", f"{run_id}.parquet"]
    )


def run_key(run_id: str, *parts: str) -> str:
    """Return the key of a run's object, relative to the work bucket or folder."""
    return "/".join([RUNS_FOLDER, run_id, *parts])


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Addresses of the objects that the steps of a run exchange."""

    work_uri: str
    """Work bucket (`s3://bucket`) or folder."""
    run_id: str

    @classmethod
    def from_plan_uri(cls, plan_uri: str) -> RunPaths:
        """Return the paths of the run whose plan is at `plan_uri`.

        Raises:
            PayloadError: The address is not that of a run's plan.
        """
        work, runs, run_id = plan_uri.removesuffix("/plan.json").rpartition(f"/{RUNS_FOLDER}/")
        if not runs or not run_id or "/" in run_id:
            raise PayloadError(
                f"{plan_uri} is not the address of a plan, which is WORK/runs/RUN/plan.json"
            )
        return cls(work, run_id)

    @property
    def root(self) -> str:
        """Folder of the run."""
        return join(self.work_uri, run_key(self.run_id))

    @property
    def plan(self) -> str:
        """Address of the plan, JSON."""
        return join(self.root, "plan.json")

    @property
    def model_item(self) -> str:
        """Address of the STAC MLM Item of the model package, JSON."""
        return join(self.root, MODEL_ITEM_FILE)

    @property
    def shard_list(self) -> str:
        """Address of the JSON array of shard numbers: the items of the state machine's Map."""
        return join(self.root, SHARD_LIST_FILE)

    @property
    def detections(self) -> str:
        """Address of the merged detections, GeoParquet."""
        return join(self.root, "detections.parquet")

    @property
    def mask(self) -> str:
        """Address of the merged mask, GeoTIFF; it exists only if the model package asks for it."""
        return join(self.root, "mask.tif")

    def job_failure(self, job: str) -> str:
        """Return the address of a failed Batch job's error, JSON; `job` is the job's id."""
        return join(self.root, "failures", f"{job.replace(':', '-')}.json")

    def shard_file(self, name: str) -> str:
        """Return the address of a shard's file by the file's name."""
        return join(self.root, SHARDS_FOLDER, name)

    def shard(self, index: int) -> str:
        """Return the address of a shard's final detections, Parquet: those not in `seams`."""
        return self.shard_file(f"{index}.parquet")

    def seams(self, index: int) -> str:
        """Return the address of a shard's detections that the merge stitches, Parquet.

        The file exists only if there are such detections.
        """
        return self.shard_file(f"{index}.seams.parquet")

    def samples(self, index: int) -> str:
        """Return the address of a shard's pixel samples, NPY.

        The file exists only if the model package has statistics.
        """
        return self.shard_file(f"{index}.samples.npy")

    def invalid_cells(self, index: int) -> str:
        """Return the address of a shard's counts of invalid pixels.

        The file exists only if there are such pixels.
        """
        return self.shard_file(f"{index}.invalid")

    def partial(self, index: int) -> str:
        """Return the address of an interrupted shard's detections, Parquet.

        The file's metadata has the shard's progress.
        """
        return self.shard_file(f"{index}.partial.parquet")

    def checkpoint(self, index: int) -> str:
        """Return the address of an interrupted shard's checkpoint, JSON.

        The shard's partial files are valid only with the checkpoint.
        """
        return self.shard_file(f"{index}.partial.json")

    def mask_part(self, index: int) -> str:
        """Return the address of a shard's part of the mask, GeoTIFF.

        The part has the labels of the tiles' cores. It exists only if the model package asks for a
        mask.
        """
        return self.shard_file(f"{index}.mask.tif")

    def partial_mask(self, index: int) -> str:
        """Return the address of an interrupted shard's part of the mask, GeoTIFF."""
        return self.shard_file(f"{index}.partial.mask.tif")

    def request(self, index: int) -> str:
        """Return the address of a shard's request to an asynchronous endpoint, JSON."""
        return join(self.root, "requests", f"{index}.json")

    def receipt(self, index: int) -> str:
        """Return the address of a shard's receipt, JSON; it is written after all other files."""
        return self.shard_file(f"{index}.json")
