"""Tests of a run's objects: each is read as written; damaged or foreign objects are ignored."""

from pathlib import Path

import msgspec
import pytest

from swath import storage
from swath.errors import PayloadError, RunIncompleteError
from swath.messages import PLAN_VERSION, Checkpoint, Receipt, TileCounts
from swath.pipeline.plan import Plan, read_plan
from swath.pipeline.run_store import RunStore

PLAN = read_plan(str(Path(__file__).parent / "plans" / f"v{PLAN_VERSION}.json"))


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    return RunStore.create(str(tmp_path), PLAN)


def receipt(run: RunStore, index: int = 0, failed: int = 0, **changes: object) -> Receipt:
    """Return the receipt of a shard whose detections file holds the shard's number."""
    uri = run.paths.shard(index)
    storage.write_bytes(uri, b"%d" % index)
    made = Receipt(
        run_id=run.plan.run_id,
        index=index,
        plan_fingerprint=run.plan.fingerprint,
        tiles=TileCounts(planned=4, succeeded=4 - failed, failed=failed),
        detections=1,
        seconds=0.5,
        files={storage.file_name(uri): storage.digest(Path(uri))},
    )
    return msgspec.structs.replace(made, **changes)


def checkpoint(run: RunStore, index: int = 0) -> dict[str, str]:
    uri = run.paths.partial(index)
    storage.write_bytes(uri, b"so far")
    files = {storage.file_name(uri): storage.digest(Path(uri))}
    run.write_checkpoint(index, files)
    return files


def with_shards(tmp_path: Path, count: int) -> RunStore:
    return RunStore.create(str(tmp_path), msgspec.structs.replace(PLAN, shards=tuple(range(count))))


def test_a_run_is_opened_as_it_was_created(run: RunStore, tmp_path: Path):
    uri = str(tmp_path / "runs" / PLAN.run_id / "plan.json")

    assert RunStore.open(uri) == run
    assert run.plan == PLAN
    assert storage.read_json(run.paths.shard_list) == list(range(len(PLAN.shards)))


def test_a_plan_where_no_run_keeps_it_is_refused(tmp_path: Path):
    with pytest.raises(PayloadError, match="is not the address of a plan"):
        RunStore.open(str(tmp_path / "plan.json"))


def test_a_receipt_is_found_again(run: RunStore):
    assert run.read_receipt(0) is None

    written = run.write_receipt(receipt(run))

    assert run.read_receipt(0) == written
    assert run.read_receipts() == [written]
    assert run.read_earlier_result(0) == written


@pytest.mark.parametrize(
    "changes", [{"run_id": "another"}, {"index": 1}, {"plan_fingerprint": "another"}], ids=str
)
def test_the_receipt_of_another_shard_is_none(run: RunStore, changes: dict[str, object]):
    run.write_receipt(receipt(run))
    other = receipt(run, **changes)
    storage.copy(run.write_receipt(other) and run.paths.receipt(other.index), run.paths.receipt(0))

    assert run.read_receipt(0) is None
    with pytest.raises(RunIncompleteError, match=r"1 of 1 shards .* wrote no receipt \(first: 0\)"):
        run.read_receipts()


def test_all_receipts_come_in_order_or_the_first_missing_ones_are_named(tmp_path: Path):
    run = with_shards(tmp_path, 9)
    for index in (8, 3):
        run.write_receipt(receipt(run, index))
    with pytest.raises(RunIncompleteError, match=r"7 of 9 shards .*\(first: 0, 1, 2, 4, 5\)"):
        run.read_receipts()
    for index in range(9):
        run.write_receipt(receipt(run, index))

    assert [found.index for found in run.read_receipts()] == list(range(9))


@pytest.mark.parametrize("left", ["nothing", "failures", "no file", "another file"])
def test_a_shard_that_is_not_done_starts_anew(run: RunStore, left: str):
    """Check the start even if an interrupted attempt before it left a checkpoint."""
    if left != "nothing":
        checkpoint(run)
        run.write_receipt(receipt(run, failed=int(left == "failures")))
    if left == "no file":
        Path(run.paths.shard(0)).unlink()
    if left == "another file":
        storage.write_bytes(run.paths.shard(0), b"another")

    assert run.read_earlier_result(0) is None


def test_a_receipt_without_files_does_not_end_a_shard(run: RunStore):
    run.write_receipt(receipt(run, files={}))

    assert run.read_receipt(0) is not None
    assert run.read_earlier_result(0) is None


def test_an_interrupted_shard_is_resumed_from_its_checkpoint(run: RunStore):
    files = checkpoint(run)

    assert run.read_earlier_result(0) == Checkpoint(plan_fingerprint=PLAN.fingerprint, files=files)

    storage.write_bytes(run.paths.partial(0), b"later")
    assert run.read_earlier_result(0) is None


def test_the_checkpoint_of_another_plan_is_none(run: RunStore, tmp_path: Path):
    checkpoint(run)
    other = RunStore.create(str(tmp_path), replaced(PLAN))

    assert other.read_earlier_result(0) is None


def replaced(plan: Plan) -> Plan:
    """Return the plan of the same run with other settings."""
    changed = msgspec.structs.replace(plan, row_cuts=(0, 1, *plan.row_cuts[1:]))
    assert changed.fingerprint != plan.fingerprint
    return changed


@pytest.mark.parametrize("how", ["detections", "reading", "read_each", "fetch_mask_parts"])
def test_a_file_is_read_only_if_its_receipt_has_its_digest(run: RunStore, tmp_path: Path, how: str):
    uri = run.paths.mask_part(0) if how == "fetch_mask_parts" else run.paths.shard(0)
    made = receipt(run)
    storage.write_bytes(uri, b"0")
    with_files = msgspec.structs.replace(
        made, files={storage.file_name(uri): storage.digest(Path(uri))}
    )

    def read() -> list[bytes]:
        match how:
            case "detections":
                return [path.read_bytes() for path in run.iter_detection_files([with_files])]
            case "reading":
                with run.open_file(with_files, uri) as path:
                    return [path.read_bytes()]
            case "read_each":
                return run.read_each([with_files], run.paths.shard, Path.read_bytes)
            case _:
                files = run.fetch_mask_parts([with_files], tmp_path)
                return [path.read_bytes() for path in files]

    assert read() == [b"0"]
    storage.write_bytes(uri, b"another")
    with pytest.raises(RunIncompleteError, match=rf"{uri} does not have the SHA-256"):
        read()
    Path(uri).unlink()
    with pytest.raises(RunIncompleteError, match=rf"{uri} is missing, although"):
        read()


def test_samples_are_those_of_the_receipts(run: RunStore):
    uri = run.paths.samples(0)
    storage.write_bytes(uri, b"samples")
    name, digest = storage.file_name(uri), storage.digest(Path(uri))
    sampled = receipt(run, samples=3, files={name: digest})

    assert run.read_samples([sampled, receipt(run)]) == [b"samples"]
    storage.write_bytes(uri, b"others")
    with pytest.raises(ValueError, match="not the file that its shard wrote"):
        run.read_samples([sampled])
