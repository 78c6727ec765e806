"""Read and write the objects of a run, and verify them by checksums.

Plans, receipts and checkpoints contain their own checksum. A receipt or a checkpoint also has the
SHA-256 of each file of its shard, and is written after these files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from swath import storage
from swath.errors import PayloadError, RunIncompleteError
from swath.messages import Checkpoint, Payload, Receipt
from swath.pipeline.paths import RunPaths
from swath.pipeline.plan import Plan, read_plan
from swath.storage.checked_json import read_checked, write_checked

_MAX_READER_THREADS = 16
"""Maximum number of threads that read objects."""
_MAX_PREFETCHED_FILES = 8
"""Maximum number of files to prefetch, one for each shard."""
_MAX_NAMED_SHARDS = 5
"""Maximum number of shards that a message names."""

Message = TypeVar("Message", bound=Payload)
Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunStore:
    """Objects of one run.

    Attributes:
        paths: Addresses of the objects.
        plan: Plan of the run, as it was when the store was opened.
    """

    paths: RunPaths
    plan: Plan

    @classmethod
    def open(cls, plan_uri: str) -> Self:
        """Open the run of a plan.

        Raises:
            PayloadError: The plan is missing or damaged, or another version of swath wrote it.
        """
        return cls(RunPaths.from_plan_uri(plan_uri), read_plan(plan_uri))

    @classmethod
    def create(cls, work_uri: str, plan: Plan) -> Self:
        """Write a plan and the list of its shards into the work bucket or folder."""
        paths = RunPaths(work_uri, plan.run_id)
        write_checked(paths.plan, plan.to_json())
        storage.write_json(paths.shard_list, list(range(len(plan.shards))))
        return cls(paths, plan)

    def read_receipt(self, index: int) -> Receipt | None:
        """Return the receipt of a shard; None if there is no valid one.

        A receipt is invalid if it is damaged, or belongs to another shard, run or plan.
        """
        return self._read_receipt(index, self.plan.fingerprint)

    def read_receipts(self) -> list[Receipt]:
        """Return the receipts of all shards, in order.

        Raises:
            RunIncompleteError: A shard has no valid receipt. The error names the first such shards.
        """
        fingerprint = self.plan.fingerprint
        receipts = _map_in_threads(
            lambda index: self._read_receipt(index, fingerprint), range(len(self.plan.shards))
        )
        if missing := [index for index, receipt in enumerate(receipts) if receipt is None]:
            named = ", ".join(map(str, missing[:_MAX_NAMED_SHARDS]))
            raise RunIncompleteError(
                f"{len(missing)} of {len(receipts)} shards of run {self.plan.run_id} wrote no "
                f"receipt (first: {named}): {self.paths.receipt(missing[0])} is missing or "
                "damaged; drop the scene again to run them again"
            )
        return [receipt for receipt in receipts if receipt is not None]

    def write_receipt(self, receipt: Receipt) -> Receipt:
        """Write and return the receipt of a shard; all files that it lists must exist by then."""
        write_checked(self.paths.receipt(receipt.index), receipt.to_json())
        return receipt

    def write_checkpoint(self, index: int, files: Mapping[str, str]) -> None:
        """Write the checkpoint of a shard, whose files must exist by then.

        Args:
            index: Number of the shard.
            files: SHA-256 of each file, by the file's name.
        """
        checkpoint = Checkpoint(plan_fingerprint=self.plan.fingerprint, files=dict(files))
        write_checked(self.paths.checkpoint(index), checkpoint.to_json())

    def read_earlier_result(self, index: int) -> Receipt | Checkpoint | None:
        """Return the valid receipt or checkpoint of an earlier attempt at a shard.

        Returns:
            The receipt of a finished shard; the checkpoint of an interrupted shard; None for a
            shard that must start at its first tile. That includes a shard whose receipt reports
            failed tiles, since the network may have caused the failures.
        """
        receipt = self.read_receipt(index)
        if receipt is None:
            checkpoint = _read_or_none(Checkpoint, self.paths.checkpoint(index))
            if checkpoint and checkpoint.plan_fingerprint == self.plan.fingerprint:
                return checkpoint if self._has_files(checkpoint.files) else None
            return None
        return receipt if not receipt.tiles.failed and self._has_files(receipt.files) else None

    @contextmanager
    def open_file(self, receipt: Receipt, uri: str) -> Iterator[Path]:
        """Open a file of a shard as a local file, after a check against the shard's receipt.

        Raises:
            RunIncompleteError: The file is missing, or its SHA-256 is not that of the receipt.
        """
        with _translate_missing_file(receipt, uri), storage.reading(uri) as path:
            _check_digest(receipt, uri, path)
            yield path

    def read_each(
        self, receipts: Iterable[Receipt], uri: Callable[[int], str], read: Callable[[Path], Result]
    ) -> list[Result]:
        """Read one file of each of the given shards, in parallel.

        Args:
            receipts: Receipts of the shards.
            uri: Function from the number of a shard to the address of its file.
            read: Function from the local copy of a file to its content; runs in a thread.

        Returns:
            The results of `read`, in the order of the receipts.

        Raises:
            RunIncompleteError: A file is missing, or its SHA-256 is not that of its receipt.
        """

        def read_one(receipt: Receipt) -> Result:
            with self.open_file(receipt, uri(receipt.index)) as path:
                return read(path)

        return _map_in_threads(read_one, receipts)

    def iter_detection_files(self, receipts: Iterable[Receipt]) -> Iterator[Path]:
        """Yield a local file of detections for each given shard.

        Each file exists until the next one is requested.

        Raises:
            RunIncompleteError: A file is missing, or its SHA-256 is not that of its receipt.
        """
        files_to_read = [(receipt, self.paths.shard(receipt.index)) for receipt in receipts]
        files = storage.reading_each(
            [uri for _, uri in files_to_read], max_prefetched=_MAX_PREFETCHED_FILES
        )
        for receipt, uri in files_to_read:
            with _translate_missing_file(receipt, uri):
                file = next(files)
                _check_digest(receipt, uri, file)
            yield file

    def fetch_mask_parts(self, receipts: Iterable[Receipt], folder: Path) -> list[Path]:
        """Copy the mask parts of the given shards into a folder, in parallel; return their paths.

        Raises:
            RunIncompleteError: A part is missing, or its SHA-256 is not that of its receipt.
        """

        def fetch(receipt: Receipt) -> Path:
            uri, file = self.paths.mask_part(receipt.index), folder / f"{receipt.index}.tif"
            with _translate_missing_file(receipt, uri):
                storage.copy(uri, str(file))
                _check_digest(receipt, uri, file)
            return file

        return _map_in_threads(fetch, receipts)

    def read_samples(self, receipts: Iterable[Receipt]) -> list[bytes]:
        """Read the pixel samples of all given shards that have some.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: The SHA-256 of a file is not that of its receipt.
        """

        def read(receipt: Receipt) -> bytes:
            uri = self.paths.samples(receipt.index)
            data = storage.read_bytes(uri)
            if receipt.files.get(storage.file_name(uri)) != hashlib.sha256(data).hexdigest():
                raise ValueError(f"{uri} is not the file that its shard wrote")
            return data

        return _map_in_threads(read, [receipt for receipt in receipts if receipt.samples])

    def _read_receipt(self, index: int, fingerprint: str) -> Receipt | None:
        receipt = _read_or_none(Receipt, self.paths.receipt(index))
        if receipt is None:
            return None
        identity = (receipt.run_id, receipt.index, receipt.plan_fingerprint)
        return receipt if identity == (self.paths.run_id, index, fingerprint) else None

    def _has_files(self, files: Mapping[str, str]) -> bool:
        """Return whether all files of a receipt or checkpoint exist with the right SHA-256.

        An empty mapping gives False.
        """

        def is_intact(name: str) -> bool:
            try:
                with storage.reading(self.paths.shard_file(name)) as path:
                    return storage.digest(path) == files[name]
            except FileNotFoundError:
                return False

        return bool(files) and all(map(is_intact, files))


def _map_in_threads(
    function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> list[Result]:
    with ThreadPoolExecutor(_MAX_READER_THREADS) as pool:
        return list(pool.map(function, arguments))


def _read_or_none(kind: type[Message], uri: str) -> Message | None:
    """Return the message at an address; None if it is missing or damaged."""
    try:
        return kind.from_json(read_checked(uri))
    except (FileNotFoundError, ValueError, PayloadError):
        return None


@contextmanager
def _translate_missing_file(receipt: Receipt, uri: str) -> Iterator[None]:
    """Translate a FileNotFoundError within the block into an error that names the shard."""
    try:
        yield
    except FileNotFoundError:
        raise RunIncompleteError(
            f"{uri} is missing, although the receipt of shard {receipt.index} lists it; "
            "drop the scene again to run the shard again"
        ) from None


def _check_digest(receipt: Receipt, uri: str, path: Path) -> None:
    """Check that the SHA-256 of a file is that of its receipt.

    Raises:
        RunIncompleteError: The file is damaged, or another attempt wrote it.
    """
    # Receipts of earlier versions of swath list no files. Such a version may have begun the run.
    if receipt.files and receipt.files.get(storage.file_name(uri)) != storage.digest(path):
        raise RunIncompleteError(
            f"{uri} does not have the SHA-256 in the receipt of shard {receipt.index}; "
            "drop the scene again to run the shard again"
        )
