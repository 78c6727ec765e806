"""A delivery is run once, when it is complete: each kind, each order, and new versions."""

import random
from datetime import timedelta

import pytest

from swath import storage
from tests.helpers import deliveries

SAFE = f"deliveries/{deliveries.S2_ID}.SAFE"


@pytest.mark.parametrize(
    ("folder", "files", "scene_id", "document"),
    [
        (SAFE, deliveries.safe(), f"sentinel-2-l2a/{deliveries.S2_ID}", "manifest.safe"),
        (
            "deliveries/bundle",
            deliveries.landsat(),
            f"landsat-c2-l2/{deliveries.LANDSAT_ID}",
            f"{deliveries.LANDSAT_ID}_MTL.txt",
        ),
        (
            "deliveries/order",
            deliveries.planet(),
            f"PSScene/{deliveries.PLANET_ID}",
            f"PSScene/{deliveries.PLANET_ID}_metadata.json",
        ),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_delivery_is_run_by_its_last_part(scenes, folder, files, scene_id, document, seed):
    shuffled = dict(random.Random(seed).sample(list(files.items()), len(files)))
    outcomes = scenes.drop_all(folder, shuffled)

    assert outcomes == ["waiting"] * (len(files) - 1) + ["started"]
    (request,) = scenes.requests
    assert request.scene.uri == f"s3://scenes/{folder}/{document}"
    assert request.scene.etag == storage.etag(request.scene.uri)
    assert request.scene.scene_id == scene_id
    assert request.scene.assets
    # The time of the last write, and no sequencer: no part's event decides.
    assert request.scene.dropped_at == (scenes.now - timedelta(seconds=1)).isoformat()
    assert request.scene.sequencer == ""
    assert request.model.name == "ships"


def test_the_folder_of_a_model_selects_it(scenes):
    scenes.drop_all("deliveries/trees/x", deliveries.landsat())
    assert scenes.requests[0].model.name == "trees"
    assert scenes.requests[0].scene.uri.startswith("s3://scenes/deliveries/trees/x/")


def test_a_model_that_is_not_deployed_is_named_by_the_run(scenes):
    scenes.drop_all("deliveries/shps/X.SAFE", deliveries.safe())
    model = scenes.requests[0].model
    assert (model.name, model.uri, model.deployed) == ("shps", "", ["ships", "trees"])


def test_an_order_of_several_items_has_a_run_for_each(scenes):
    assert scenes.drop_all("deliveries/order", deliveries.planet("a", "b", "c"))[-1] == "started"
    assert [r.scene.scene_id for r in scenes.requests] == ["PSScene/a", "PSScene/b", "PSScene/c"]


def test_a_part_of_another_size_or_md5_is_not_the_part(scenes):
    files = deliveries.safe()
    path = deliveries.images(f"{deliveries.GRANULE}/IMG_DATA")["B02"]
    assert "started" not in scenes.drop_all(SAFE, files | {path: files[path][::-1]})
    assert scenes.drop(f"{SAFE}/{path}", files[path][:-1]).outcome == "waiting"
    assert scenes.drop(f"{SAFE}/{path}", files[path]).outcome == "started"


def test_events_of_a_complete_delivery_that_come_again_do_nothing(scenes):
    files = deliveries.landsat()
    drops = [scenes.put(f"deliveries/x/{path}", content) for path, content in files.items()]
    outcomes = [scenes.handle(drop).outcome for drop in drops * 3]
    assert outcomes.count("started") == 1
    assert len(scenes.requests) == 1
    assert scenes.handle(drops[0]).outcome == "duplicate"


def test_a_file_that_is_no_part_does_nothing(scenes):
    scenes.drop_all("deliveries/x", deliveries.landsat())
    assert scenes.drop("deliveries/x/readme.txt", b"?").outcome == "ignored"
    # The other spellings of the metadata come with each bundle.
    for suffix in ("xml", "json"):
        name = f"deliveries/x/{deliveries.LANDSAT_ID}_MTL.{suffix}"
        assert scenes.drop(name, b"").outcome == "ignored"
    assert len(scenes.requests) == 1


@pytest.mark.parametrize(
    "key",
    [
        "deliveries/x.tif",
        "deliveries/ships/x.tif",
        "deliveries/x/",
        "deliveries/",
        "deliveries/.done",
    ],
)
def test_an_object_in_no_delivery_is_ignored(scenes, key):
    summary = scenes.drop(key, b"")
    assert (summary.outcome, summary.reason) == ("ignored", "not in the folder of a delivery")
    assert [key for bucket, key in scenes.s3.objects if bucket == "work"] == []


@pytest.mark.parametrize(
    "marker", ["deliveries/x.done", "deliveries/x/_SUCCESS", "deliveries/x/a.done"]
)
def test_a_marker_makes_a_scene_of_what_is_there(scenes, marker):
    assert set(scenes.drop_all("deliveries/x", {"a.tif": b"1", "b/c.tif": b"2"})) == {"waiting"}
    assert scenes.drop(marker).outcome == "started"
    (request,) = scenes.requests
    assert request.scene.uri == f"s3://scenes/{marker}"
    assert request.scene.assets
    assert scenes.drop("deliveries/x/late.tif", b"3").outcome == "ignored"
    scenes.wait(seconds=1)
    assert scenes.drop(marker).outcome == "started"
    assert scenes.requests[0].run_id != scenes.requests[1].run_id


def test_a_marker_runs_an_incomplete_product(scenes):
    files = deliveries.landsat()
    name = f"{deliveries.LANDSAT_ID}_SR_B5.TIF"
    missing = files.pop(name)
    assert set(scenes.drop_all("deliveries/x", files)) == {"waiting"}
    assert scenes.drop("deliveries/x.done").outcome == "started"
    (request,) = scenes.requests
    assert request.scene.scene_id == f"landsat-c2-l2/{deliveries.LANDSAT_ID}"
    assert scenes.drop(f"deliveries/x/{name}", missing).outcome == "ignored"


def test_a_marker_without_a_raster_waits(scenes):
    scenes.drop("deliveries/x/notes.txt", b"1")
    assert scenes.drop("deliveries/x.done").outcome == "waiting"
    scenes.wait(hours=7)
    assert scenes.watch().reported == 1
    assert "has no raster file" in scenes.reports[0]["reason"]


def test_an_item_beside_the_files_is_the_scene(scenes):
    item = (
        b'{"type": "Feature", "stac_version": "1.0.0", "id": "i", "collection": "c", "links": [],'
        b'"geometry": null, "properties": {}, "assets": {"a": {"href": "a.tif"}}}'
    )
    scenes.drop_all("deliveries/x", {"a.tif": b"1", "item.json": item})
    assert scenes.drop("deliveries/x.done").outcome == "started"
    (request,) = scenes.requests
    assert (request.scene.scene_id, request.scene.uri[-9:]) == ("c/i", "item.json")


@pytest.mark.parametrize(
    "manifest",
    [
        b"no xml",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a/>',
        deliveries.safe_manifest({"../../other/x.tif": b""}),
        deliveries.safe_manifest({"s3://other/x.tif": b""}),
        deliveries.safe_manifest({f"{n}.tif": b"" for n in range(10_001)}),
    ],
)
def test_a_manifest_that_is_refused_starts_the_run_that_says_so(scenes, manifest):
    assert scenes.drop(f"{SAFE}/manifest.safe", manifest).outcome == "started"
    (request,) = scenes.requests
    assert request.scene.uri == f"s3://scenes/{SAFE}/manifest.safe"
    assert (request.scene.scene_id, request.scene.assets) == ("", "")
    scenes.wait(hours=1)
    assert scenes.drop_all(SAFE, deliveries.safe())[-1] == "started"
    assert scenes.requests[-1].scene.scene_id


def test_a_failed_run_is_run_again_by_its_manifest(scenes):
    scenes.drop_all("deliveries/x", deliveries.landsat())
    (name,) = scenes.states.executions
    scenes.wait(minutes=1)
    scenes.states.end(name, "FAILED")
    manifest = f"{deliveries.LANDSAT_ID}_MTL.txt"
    again = scenes.drop(f"deliveries/x/{manifest}", deliveries.landsat()[manifest])
    assert again.outcome == "started"
    first, second = scenes.requests
    assert first.run_id == second.run_id


class TestNewVersions:
    """Parts that are replaced after the run."""

    FOLDER = "deliveries/x"

    def deliver_again(self, scenes, files):
        return scenes.drop_all(self.FOLDER, files)

    def test_a_new_version_is_run_once_after_it_settled(self, scenes):
        files = deliveries.landsat()
        scenes.drop_all(self.FOLDER, files)
        scenes.wait(hours=3)
        new = {path: b"new " + content for path, content in files.items() if "TIF" in path}
        assert set(self.deliver_again(scenes, new)) == {"waiting"}
        assert len(scenes.requests) == 1
        scenes.wait(minutes=10)
        assert scenes.watch().started == 0
        scenes.wait(minutes=30)
        assert scenes.watch().started == 1
        first, second = scenes.requests
        assert first.scene.identity == second.scene.identity
        assert first.scene.etag == second.scene.etag
        assert first.run_id != second.run_id
        assert not scenes.note(self.FOLDER).is_open
        scenes.wait(hours=9)
        assert scenes.watch().checked == 0
        assert scenes.reports == []

    def test_a_marker_runs_a_new_version_at_once(self, scenes):
        scenes.drop_all(self.FOLDER, deliveries.landsat())
        scenes.wait(hours=3)
        name = f"{deliveries.LANDSAT_ID}_SR_B5.TIF"
        assert scenes.drop(f"{self.FOLDER}/{name}", b"other").outcome == "waiting"
        scenes.wait(seconds=1)
        assert scenes.drop(f"{self.FOLDER}.done").outcome == "started"
        assert len(scenes.requests) == 2

    def test_an_old_event_of_a_part_is_outdated(self, scenes):
        name = f"{self.FOLDER}/{deliveries.LANDSAT_ID}_SR_B5.TIF"
        old = scenes.put(name, b"first bytes")
        scenes.drop_all(self.FOLDER, deliveries.landsat())
        assert scenes.handle(old).outcome == "outdated"
        assert len(scenes.requests) == 1

    def test_a_part_that_is_deleted_is_missed(self, scenes):
        scenes.drop_all(self.FOLDER, deliveries.landsat())
        name = f"{self.FOLDER}/{deliveries.LANDSAT_ID}_MTL.txt"
        del scenes.s3.objects["scenes", f"{self.FOLDER}/{deliveries.LANDSAT_ID}_SR_B5.TIF"]
        assert scenes.drop(
            name, deliveries.landsat()[f"{deliveries.LANDSAT_ID}_MTL.txt"]
        ).outcome == ("waiting")


def test_an_event_costs_little(scenes):
    """120 parts in random order: one request for most of them, and few listings."""
    files = {f"{number:03}.tif": b"%d" % number for number in range(119)}
    files["manifest.safe"] = deliveries.safe_manifest(files)
    listings = []
    for seed in range(20):
        shuffled = dict(random.Random(seed).sample(list(files.items()), len(files)))
        scenes.s3.calls.clear()
        scenes.drop_all(f"deliveries/{seed}.SAFE", shuffled)
        listings.append(scenes.s3.calls.count("list"))
        assert len(scenes.s3.calls) < 2 * len(files)
        assert scenes.s3.calls.count("put") < 30
    assert len(scenes.requests) == 20
    assert sum(listings) / len(listings) < 12


def test_a_marker_beside_a_complete_product_does_not_run_it_twice(scenes):
    files = deliveries.safe()
    scenes.drop_all(SAFE, files)
    scenes.wait(minutes=5)
    assert scenes.drop(f"{SAFE}/_SUCCESS").outcome == "duplicate"
    assert len(scenes.requests) == 1


def test_a_single_raster_file_is_a_scene_by_itself(scenes):
    scenes.drop_all("deliveries/x", {"a.tif": b"1", "readme.txt": b"?"})
    assert scenes.drop("deliveries/x.done").outcome == "started"
    (request,) = scenes.requests
    assert request.scene.uri == "s3://scenes/deliveries/x/a.tif"
    assert request.scene.etag == storage.etag(request.scene.uri)
    assert request.scene.scene_id == ""
