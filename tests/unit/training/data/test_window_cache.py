import dataclasses

import numpy as np
import pytest

from swath.errors import SceneError
from swath.raster.assets.stack import BandNeeds
from swath.training.data import window_cache
from swath.training.data.model_scenes import read_model_scenes
from swath.training.data.window_cache import PixelLayers, ScenePool, WindowCache, window_shape
from tests.helpers.rasters import NORTH_UP


@pytest.fixture
def scenes(make_scene):
    """Return three scenes of 100 x 80 px in blocks of 16 px, and their pixels."""
    shown = np.random.default_rng(0).integers(1, 250, (3, 80, 100), np.uint8)
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    uris = [
        make_scene(shown[i : i + 1], name=f"{i}.tif", transform=NORTH_UP, **blocks)
        for i in range(3)
    ]
    return uris, shown


def gray(uris):
    return read_model_scenes(uris, BandNeeds(("gray",)))


def test_an_open_scene_is_used_again_but_never_by_two_at_once(scenes):
    handles = ScenePool(gray(scenes[0]))

    with handles.borrow(0) as first, handles.borrow(0) as second:
        assert second is not first
    with handles.borrow(0) as again:
        assert again in (first, second)


def test_no_more_scenes_stay_open_than_allowed(scenes, monkeypatch):
    monkeypatch.setattr(window_cache, "_MAX_IDLE_SCENES", 2)
    handles = ScenePool(gray(scenes[0]))
    used = []

    for place in range(3):
        with handles.borrow(place) as scene:
            used.append(scene)

    assert [scene.dataset.reader.closed for scene in used] == [True, False, False]


def test_a_scene_whose_reading_fails_is_not_used_again(scenes):
    handles = ScenePool(gray(scenes[0]))

    with pytest.raises(ZeroDivisionError), handles.borrow(0) as failed:
        1 / 0  # noqa: B018
    with handles.borrow(0) as scene:
        assert scene is not failed
    assert failed.dataset.reader.closed


def test_a_forked_process_leaves_its_parents_scenes_alone(scenes, monkeypatch):
    handles = ScenePool(gray(scenes[0]))
    with handles.borrow(0) as before:
        pass

    monkeypatch.setattr(window_cache.os, "getpid", lambda: -1)

    with handles.borrow(0) as after:
        assert after is not before
    assert not before.dataset.reader.closed


@pytest.mark.parametrize("limit", [1, 2000, 10**6])
def test_what_is_kept_is_bounded_and_does_not_change_what_is_read(scenes, monkeypatch, limit):
    uris, shown = scenes
    monkeypatch.setattr(window_cache, "_WINDOW_SIDE", 16)
    found = WindowCache(gray(uris), units=(None,), max_bytes=limit)
    rng = np.random.default_rng(1)

    for _ in range(60):
        place, x, y = (int(rng.integers(high)) for high in (3, 80, 60))
        out = PixelLayers(np.zeros((1, 20, 20), np.uint8), np.zeros((20, 20), np.bool_), None)
        found.read(place, (x, y, 20, 20), out)
        assert np.array_equal(out.pixels[0], shown[place, y : y + 20, x : x + 20])
        assert out.valid.all()

    kept = list(found._windows.values())
    assert found._bytes == sum(layers.nbytes for layers in kept)
    assert found._bytes <= limit or len(kept) == 1


@pytest.mark.parametrize(
    ("width", "height", "block", "expected"),
    [
        (1000, 900, (256, 256), (900, 1000)),
        (100_000, 90_000, (256, 256), (512, 512)),
        (100_000, 90_000, (200, 300), (600, 600)),
        (100_000, 90_000, (1, 100_000), (512, 512)),
        (100_000, 90_000, (4096, 4096), (512, 512)),
        (300, 90_000_000, (16, 300), (512, 300)),
    ],
)
def test_pieces_are_whole_blocks_where_those_are_small(scenes, width, height, block, expected):
    (known, *_) = gray(scenes[0][:1])
    info = dataclasses.replace(known.info, width=width, height=height, block_shape=block)
    scene = dataclasses.replace(known, info=info)

    assert window_shape(scene, 10) == expected


def test_a_scene_that_lacks_a_band_is_refused_before_anything_is_read(scenes):
    with pytest.raises(SceneError, match="the model expects red, nir"):
        read_model_scenes(scenes[0], BandNeeds(("red", "nir")))
