"""Tests of the watch: it reports incomplete deliveries once, and runs complete ones."""

import dataclasses

import pytest

from swath.pipeline.deliveries import watch
from tests.helpers import deliveries


def incomplete(files):
    return dict(list(files.items())[2:])


def test_an_incomplete_delivery_is_reported_once_after_its_time(scenes):
    folder = f"deliveries/ships/{deliveries.S2_ID}.SAFE"
    scenes.drop_all(folder, incomplete(deliveries.safe()))
    for _ in range(5):
        scenes.wait(hours=1)
        assert scenes.watch().reported == 0
    scenes.wait(hours=1.5)
    assert scenes.watch().reported == 1
    (report,) = scenes.reports
    assert report["delivery"] == f"s3://scenes/{folder}/"
    assert report["message"] == (
        "A delivery to swath is incomplete after 6 h: 2 of its 12 parts are missing or have "
        f"another size: {deliveries.GRANULE}/IMG_DATA/R10m/T33UUP_B02_10m.jp2, {deliveries.GRANULE}"
        "/IMG_DATA/R10m/T33UUP_B03_10m.jp2. Upload the rest, or an empty object "
        f"{deliveries.S2_ID}.SAFE.done beside the folder to run what is there."
    )
    for _ in range(30):
        scenes.wait(hours=1)
        scenes.watch()
    assert len(scenes.reports) == 1
    # The rest still starts the run.
    assert scenes.drop_all(folder, deliveries.safe())[:2] == ["waiting", "started"]
    assert len(scenes.requests) == 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.tif": b""}, "it has no manifest (manifest.safe, *_MTL.txt or manifest.json)"),
        ({"x/LC09_y_MTL.txt": b""}, "its manifest x/LC09_y_MTL.txt does not lie directly in"),
    ],
)
def test_the_report_says_what_is_missing(scenes, files, reason):
    scenes.drop_all("deliveries/x", files)
    scenes.wait(hours=7)
    scenes.watch()
    assert reason in scenes.reports[0]["reason"]


def test_a_folder_of_too_many_files_is_reported(scenes, monkeypatch):
    monkeypatch.setattr("swath.pipeline.deliveries.contents.MAX_PARTS", 2)
    scenes.drop_all("deliveries/x", {f"{n}.tif": b"" for n in range(3)})
    scenes.drop("deliveries/x.done")
    scenes.wait(hours=7)
    scenes.watch()
    assert "has more than 2 objects" in scenes.reports[0]["reason"]


def test_a_delivery_of_which_events_were_lost_is_run_by_the_watch(scenes):
    files = deliveries.safe()
    folder = f"deliveries/{deliveries.S2_ID}.SAFE"
    for number, (path, content) in enumerate(files.items()):
        drop = scenes.put(f"{folder}/{path}", content)
        if number == 0:
            scenes.handle(drop)
    scenes.wait(hours=7)
    assert scenes.watch().started == 1
    assert scenes.reports == []
    assert len(scenes.requests) == 1


def test_the_time_is_a_setting(scenes):
    scenes.settings = dataclasses.replace(scenes.settings, delivery_hours=48)
    scenes.drop("deliveries/x/a.tif", b"")
    scenes.wait(hours=47)
    assert scenes.watch().reported == 0
    scenes.wait(hours=1.5)
    assert scenes.watch().reported == 1
    assert "after 48 h" in scenes.reports[0]["message"]


def test_a_call_checks_a_limited_number_and_the_next_call_goes_on(scenes, monkeypatch):
    monkeypatch.setattr(watch, "MAX_CHECKS", 3)
    monkeypatch.setattr(watch, "_CHECKS_PER_CURSOR", 2)
    for number in range(7):
        scenes.drop(f"deliveries/{number}/a.tif", b"")
    scenes.wait(hours=7)
    assert [scenes.watch().reported for _ in range(4)] == [3, 3, 1, 0]
    assert len({report["delivery"] for report in scenes.reports}) == 7


def test_a_check_that_fails_is_repeated_by_the_next_call(scenes):
    scenes.drop("deliveries/x/a.tif", b"")
    scenes.wait(hours=7)
    reports, scenes.reports = scenes.reports, None
    with pytest.raises(AttributeError):
        scenes.watch()
    scenes.reports = reports
    assert scenes.watch().reported == 1


def test_nothing_due_costs_a_list_and_a_read(scenes):
    scenes.drop("deliveries/x/a.tif", b"")
    scenes.s3.calls.clear()
    assert scenes.watch().checked == 0
    assert sorted(scenes.s3.calls) == ["get", "list"]
