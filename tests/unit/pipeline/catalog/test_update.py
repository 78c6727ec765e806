"""Tests of the catalog: every published run is in it once, whatever fails and in whatever order."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import geopandas
import pyarrow.parquet as pq
import pystac
import pystac.validation
import pytest
import shapely
from stac_model.schema import MLModelProperties

from swath import storage
from swath.errors import TransientError
from swath.messages import Acquisition
from swath.pipeline import publish
from swath.pipeline.catalog import update as module
from swath.pipeline.catalog.addresses import collection_id
from swath.pipeline.catalog.update import update_catalog
from swath.pipeline.publish import publish_run
from tests.helpers.runs import run_request

ROOT = Path(__file__).resolve().parents[4]
NOON = datetime(2026, 6, 2, 12, tzinfo=UTC)
TIMES = ["2026-05-31T10:00:00Z", "2026-06-01T23:59:59.5Z", None]


@pytest.fixture
def clock(monkeypatch):
    """Return the time of the next publication, in a list."""
    now = [NOON]

    class Clock(datetime):
        @classmethod
        def now(cls, _=None):
            return now[0]

    monkeypatch.setattr(publish, "datetime", Clock)
    return now


@pytest.fixture
def publish_one(merged, tmp_path, clock):
    """Return a function that publishes a run of a scene, and returns the run's id."""
    # As a plan leaves it beside the merged file.
    (tmp_path / "mlm.json").write_bytes((ROOT / "models/ships/mlm.json").read_bytes())

    def one(number, *, model="ships", time=TIMES[0], minutes=0, box=(128, 34, 130, 36)):
        clock[0] = NOON + timedelta(minutes=minutes)
        request = run_request(str(number), uri=f"s3://scenes/{number}.tif", model=model)
        acquisition = Acquisition(acquired_at=time, platform="sentinel-2a")
        footprint = shapely.box(*box)
        merge = merged(3, acquisition=acquisition, footprint=footprint, valid_area_m2=5.0)
        publish_run(request, merge, str(tmp_path / "results"), backend="batch")
        return request.run_id

    return one


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def updated(results, minutes=60):
    return update_catalog(str(results), NOON + timedelta(minutes=minutes))


def items_in(results):
    """Return the Items of runs that a client reaches from the root, by id, after validation."""
    root = pystac.Catalog.from_file(str(results / "stac/catalog.json"))
    for document, _, _ in root.walk():
        validate(document)
    found = [*root.get_items(recursive=True)]
    for item in found:
        validate(item)
        assert item.get_collection().id == item.collection_id
        assert item.get_root().id == "swath"
    runs = [item for item in found if "mlm:name" not in item.properties]
    assert len({item.id for item in runs}) == len(runs)
    return {item.id: item for item in runs}


def validate(document):
    """Check a document by the JSON schemas of STAC's core, which pystac brings."""
    core = document.to_dict(transform_hrefs=False) | {"stac_extensions": []}
    pystac.validation.validate_dict(core)


def content_of(results):
    """Return the catalog as its readers see it; entries and cursor left out."""
    return {
        str(path.relative_to(results)): (
            pq.read_table(path).to_pylist()
            if path.suffix == ".parquet"
            else json.loads(path.read_bytes())
        )
        for path in (results / "stac").rglob("*")
        if path.is_file() and "entries" not in path.parts and path.name != "updated.json"
    }


def test_every_run_is_reached_from_the_root(publish_one, results):
    ids = [
        publish_one(number, model=model, time=time, minutes=number)
        for number, (model, time) in enumerate(itertools.product(("ships", "käfer"), TIMES))
    ]

    summary = updated(results)

    assert (summary.runs, summary.days) == (6, 6)
    found = items_in(results)
    assert found.keys() == set(ids)
    assert {item.collection_id for item in found.values()} == {"ships", collection_id("käfer")}
    parent = found[ids[1]].get_parent()
    assert (parent.id, parent.title) == ("ships-2026-06-01", "2026-06-01")
    assert found[ids[2]].get_parent().title == "unknown"


def test_a_collection_has_the_extent_of_its_runs(publish_one, results):
    publish_one(1, time=TIMES[1])
    publish_one(2, time=TIMES[0], box=(10, -5, 12, 3), minutes=1)
    publish_one(3, time=None, box=(20, 0, 21, 70), minutes=40)
    updated(results, minutes=30)
    updated(results)

    extent = pystac.Collection.from_file(str(results / "stac/ships/collection.json")).extent

    assert extent.spatial.bboxes == [[10, -5, 130, 70]]
    ((start, end),) = extent.temporal.intervals
    assert start == datetime(2026, 5, 31, 10, tzinfo=UTC)
    assert end == datetime(2026, 6, 1, 23, 59, 59, 500_000, UTC)


def test_a_collection_has_the_versions_of_its_model(publish_one, results):
    publish_one(1)
    updated(results)
    collection = pystac.Collection.from_file(str(results / "stac/ships/collection.json"))
    (item,) = collection.get_items()

    validate(item)
    assert item.id == "ships-d1"
    assert item.collection_id == "ships"
    assert {asset.href for asset in item.assets.values()} == {"s3://m/m.tar.gz"}
    assert MLModelProperties.model_validate(item.properties).name
    assert collection.license == "Apache-2.0"


def test_stac_geoparquet_has_the_same_items(publish_one, results):
    ids = [publish_one(number, minutes=number) for number in range(3)]
    updated(results, minutes=4)
    ids.append(publish_one(9, minutes=30))
    updated(results)

    path = results / "stac/ships/2026-05-31/items.parquet"
    frame = geopandas.read_parquet(path)
    items = items_in(results)

    assert sorted(frame["id"]) == sorted(ids)
    for _, row in frame.iterrows():
        item = items[row["id"]]
        assert row.geometry.equals(shapely.geometry.shape(item.geometry))
        assert row["datetime"] == item.datetime
        assert row["swath:scene"] == item.properties["swath:scene"]
        assert row["assets"]["detections"]["file:size"] > 0
        assert row["assets"]["mask"] is None
    ((count, area),) = duckdb.execute(
        'SELECT count(*), sum("swath:valid_area_m2") FROM read_parquet(?) WHERE bbox.xmin < 129',
        [str(path)],
    ).fetchall()
    assert (count, area) == (4, 20)
    metadata = pq.read_metadata(path).metadata
    assert json.loads(metadata[b"stac-geoparquet"]) == {"version": "1.0.0"}


def test_a_run_that_is_published_again_is_there_once(publish_one, results):
    ids = {publish_one(1), publish_one(1, minutes=30)}
    updated(results)
    assert items_in(results).keys() == ids
    assert len(ids) == len(pq.read_table(results / "stac/ships/2026-05-31/items.parquet")) == 1


def test_nothing_new_writes_nothing(publish_one, results):
    publish_one(1)
    updated(results)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert updated(results, minutes=90).runs == 0
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert update_catalog(str(results / "elsewhere"), NOON).runs == 0


def test_a_minute_that_may_still_get_entries_is_left_for_the_next_update(publish_one, results):
    publish_one(1)
    assert updated(results, minutes=2).runs == 0
    assert updated(results, minutes=3).runs == 1


def test_an_update_takes_a_limited_number_and_the_next_goes_on(publish_one, results, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    ids = {publish_one(number, minutes=number // 2) for number in range(5)}
    assert [updated(results).runs for _ in range(4)] == [2, 2, 1, 0]
    assert items_in(results).keys() == ids


@pytest.mark.parametrize("stop", range(12))
def test_an_update_that_stops_at_any_write_is_completed_by_the_next(
    publish_one, results, monkeypatch, stop
):
    for number, time in enumerate(TIMES):
        publish_one(number, time=time, minutes=number)
    writes = itertools.count()
    for name in ("write_if_unchanged", "write_json"):
        own = getattr(storage, name)

        def write(*args, own=own, **options):
            if next(writes) == stop:
                raise TransientError("stopped")
            return own(*args, **options)

        monkeypatch.setattr(module.storage, name, write)
    try:
        updated(results)
    except TransientError:
        pass
    else:
        assert stop > 8
    monkeypatch.undo()
    updated(results)
    first = content_of(results)
    (results / "stac/updated.json").unlink()
    updated(results)
    assert content_of(results) == first
    assert len(items_in(results)) == 3


def test_two_updates_at_once_lose_nothing(publish_one, results, monkeypatch):
    """Check an update that another one overtakes before each of its writes."""
    ids = {publish_one(number, minutes=number) for number in range(3)}
    own, is_inside = storage.write_if_unchanged, []

    def write(uri, *args, **options):
        if not is_inside:
            is_inside.append(uri)
            ids.add(publish_one(9, minutes=20))
            updated(results, minutes=30)
        return own(uri, *args, **options)

    monkeypatch.setattr(module.storage, "write_if_unchanged", write)
    with pytest.raises(TransientError, match="was changed by another update"):
        updated(results, minutes=10)
    updated(results)
    assert items_in(results).keys() == ids


def test_an_area_across_the_antimeridian_extends_around_the_earth(publish_one, results):
    publish_one(1, box=(10, 0, 12, 3))
    updated(results)
    path = results / "stac/ships/collection.json"
    extent = module.update_collection(
        json.loads(path.read_text()),
        [
            module.CatalogEntry(
                item={"bbox": [170, -5, -170, 3], "properties": {"datetime": None}},
                model="ships",
                model_uri="",
                model_digest="",
            )
        ],
        [],
        [],
    )["extent"]
    assert extent["spatial"]["bbox"] == [[-180, -5, 180, 3]]


@pytest.mark.parametrize("name", ["a/b", "käfer", "..", "entries", "a b", ".hidden", "x" * 255])
def test_folders_of_models_are_safe_and_differ(name):
    folder = collection_id(name)
    assert "/" not in folder
    assert not folder.startswith(".")
    assert folder not in {"entries", "models", collection_id(name + "2")}
    assert collection_id("ships_2.1-x") == "ships_2.1-x"
