import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from swath import storage
from swath.errors import LabelsError, SceneError
from swath.labels.read import read_collection
from swath.raster.assets.stack import BandNeeds
from swath.training.data import window_cache
from swath.training.data.crop import NO_CLASS
from swath.training.data.sampler import CropSampler, HardNegative, crop_rng
from tests.helpers.label_files import collection, labeled

WIDTH, HEIGHT = 90, 70
BOXES = [[10, 12, 18, 20], [40.5, 30, 44, 33.25], [80, 60, 90, 70]]


def pixels(seed=0, width=WIDTH, height=HEIGHT):
    return np.random.default_rng(seed).integers(1, 60000, (2, height, width), np.uint16)


@pytest.fixture
def ports(make_scene):
    """Return two scenes of two bands, the first with objects, and their pixels by URI."""
    first = make_scene(
        pixels(0), name="first.tif", names=("red", "nir"), tiled=True, blockxsize=16, blockysize=32
    )
    second = make_scene(pixels(1, 50, 40), name="second.tif", names=("red", "nir"))
    found = collection(
        labeled(first, WIDTH, HEIGHT, BOXES, classes=[0, 1, 0], outlines="boxes"),
        labeled(second, 50, 40, outlines=[]),
        classes=("ship", "buoy"),
    )
    return found, {first: pixels(0), second: pixels(1, 50, 40)}


def sampler(found, size=24, *, bands=("red", "nir"), seed=5, **options):
    return CropSampler(found, BandNeeds(tuple(bands)), size, seed=seed, **options)


def assert_same(one, other):
    assert (one.uri, one.x, one.y) == (other.uri, other.x, other.y)
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.valid, other.valid)
    assert np.array_equal(one.boxes, other.boxes)
    assert np.array_equal(one.classes, other.classes)
    if one.labels is not None:
        assert np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("size", [1, 24, 64, 100])
@pytest.mark.parametrize("margin", [0, 7])
def test_a_crop_shows_its_window_of_the_scene(ports, size, margin):
    found, shown = ports
    cut = sampler(found, size, bands=("nir", "red"), margin=margin)

    for index in range(20):
        crop = cut.crop(0, index)
        side = size + 2 * margin
        bands, rows, cols = shown[crop.uri].shape
        framed = np.zeros((bands, rows + 2 * side, cols + 2 * side), np.uint16)
        framed[:, side:-side, side:-side] = shown[crop.uri]
        expected = framed[::-1, crop.y + side :, crop.x + side :][:, :side, :side]
        assert crop.pixels.dtype == np.uint16
        assert np.array_equal(crop.pixels, expected)
        assert np.array_equal(crop.valid, expected[0] > 0)


def test_crops_do_not_depend_on_order_threads_or_process(ports):
    found, _ = ports
    cut = sampler(found, class_maps=True)
    asked = [(epoch, index) for epoch in range(2) for index in range(20)]
    crops = {key: cut.crop(*key) for key in asked}

    again = sampler(found, class_maps=True, cache_bytes=1)
    for key in reversed(asked):
        assert_same(crops[key], again.crop(*key))
    elsewhere = pickle.loads(pickle.dumps(cut))  # noqa: S301
    with ThreadPoolExecutor(4) as pool:
        for key, crop in zip(asked, pool.map(lambda key: elsewhere.crop(*key), asked), strict=True):
            assert_same(crops[key], crop)


def test_another_seed_epoch_or_index_is_another_crop(ports):
    found, _ = ports

    def place(seed, epoch, index):
        crop = sampler(found, seed=seed, positives=0).crop(epoch, index)
        return crop.uri, crop.x, crop.y

    places = {place(seed, epoch, index) for seed in (0, 1) for epoch in (0, 1) for index in (0, 1)}
    assert len(places) == 8
    assert place(0, 1, 0) == place(0, 1, 0)


def test_random_numbers_of_other_purposes_are_others():
    assert crop_rng(1, 2, 3).random() != crop_rng(1, 2, 3, stream=1).random()
    assert crop_rng(1, 2, 3).random() == crop_rng(1, 2, 3).random()


@pytest.mark.parametrize("margin", [0, 30])
def test_positives_show_an_object_whole_within_the_margin(ports, margin):
    found, _ = ports
    cut = sampler(found, positives=1, margin=margin)
    seen = set()

    for index in range(60):
        crop = cut.crop(0, index)
        inner = (crop.boxes >= margin).all(axis=1) & (crop.boxes <= 24 + margin).all(axis=1)
        whole = (crop.boxes[inner] + (crop.x, crop.y) * 2).tolist()
        assert any(box in BOXES for box in whole)
        seen |= {tuple(box) for box in whole}

    assert seen == set(map(tuple, BOXES))


def test_an_object_larger_than_a_crop_has_its_center_in_it(ports):
    found, _ = ports
    large = collection(labeled(found.scenes[0].uri, WIDTH, HEIGHT, [[5, 10, 75, 20]]))
    cut = sampler(large, positives=1)

    for index in range(20):
        crop = cut.crop(0, index)
        assert crop.x <= 40 <= crop.x + 24
        assert crop.y <= 10
        assert crop.y + 24 >= 20


def test_shares_of_crops_are_as_asked(ports):
    found, _ = ports
    tiny = sampler(found, 12, positives=0.5)
    places = [HardNegative(uri=found.scenes[1].uri, box=(20, 20, 24, 24))]
    hard = tiny.with_hard_negatives(places, 0.25)
    crops = [hard.crop(0, index) for index in range(400)]

    def around(crop, box):
        x, y = crop.x, crop.y
        return x <= box[0] and y <= box[1] and x + 12 >= box[2] and y + 12 >= box[3]

    positive = np.mean([any(around(c, b) for b in BOXES) and "first" in c.uri for c in crops])
    negative = np.mean([around(c, places[0].box) and "second" in c.uri for c in crops])
    assert positive == pytest.approx(0.5, abs=0.1)
    assert negative == pytest.approx(0.25, abs=0.08)
    assert_same(tiny.with_hard_negatives([], 0.25).crop(3, 4), tiny.crop(3, 4))


def test_weights_say_how_often_a_class_is_cut_around(ports):
    found, _ = ports
    cut = sampler(found, 12, positives=1, weights=[0, 1])

    for index in range(20):
        assert 1 in cut.crop(0, index).classes


def test_hard_negatives_come_by_their_weights(ports):
    found, _ = ports
    uri = found.scenes[1].uri
    places = [
        HardNegative(uri=uri, box=(5, 5, 6, 6), weight=0),
        HardNegative(uri=uri, box=(40, 30, 41, 31), weight=2),
    ]
    cut = sampler(found, 12).with_hard_negatives(places, 1)

    assert all(cut.crop(0, index).x > 20 for index in range(20))


def test_boxes_are_cut_off_and_mostly_hidden_objects_count_neither_way(ports):
    found, _ = ports
    boxes = [[0, 0, 10, 10], [18, 0, 28, 10], [22, 0, 32, 10], [23.5, 0, 33, 9], [30, 1, 40, 9]]
    scene = labeled(found.scenes[0].uri, WIDTH, HEIGHT, boxes)
    crop = sampler(collection(scene), positives=0).crop_at(0, 0, 0)

    assert crop.boxes.tolist() == [[0, 0, 10, 10], [18, 0, 24, 10], [22, 0, 24, 10]]
    assert crop.crowd.tolist() == [False, False, True]


def test_outlines_are_cut_off_and_their_boxes_tight(ports):
    found, _ = ports
    triangle = shapely.Polygon([(20, 0), (40, 20), (20, 20)])
    scene = labeled(found.scenes[0].uri, WIDTH, HEIGHT, [triangle.bounds], outlines=[triangle])
    crop = sampler(collection(scene), positives=0, outlines=True).crop_at(0, 10, 0)

    assert crop.outlines[0].equals(shapely.Polygon([(10, 0), (24, 14), (24, 20), (10, 20)]))
    assert crop.boxes.tolist() == [[10, 0, 24, 20]]
    assert sampler(collection(scene), positives=0).crop_at(0, 10, 0).outlines is None


def test_class_maps_have_the_class_of_each_pixel(ports):
    found, _ = ports
    cut = sampler(found, 100, class_maps=True)
    crop = cut.crop_at(0, -2, -3)

    expected = np.full((100, 100), NO_CLASS)
    expected[15:23, 12:20] = 0
    expected[33:36, 43:46] = 1  # pixels whose center lies in 40.5 … 44, 30 … 33.25
    expected[63:73, 82:92] = 0
    shown = crop.labels.astype(int)
    shown[33:36, 42] = NO_CLASS  # the centers of these pixels lie on the edge
    assert np.array_equal(shown, expected)


def test_pixels_of_a_crowd_are_not_valid_where_classes_are_learnt(ports):
    found, _ = ports
    scene = labeled(
        found.scenes[0].uri,
        WIDTH,
        HEIGHT,
        [[2, 2, 10, 10], [4, 4, 6, 6]],
        crowd=[True, False],
        outlines="boxes",
    )
    crop = sampler(collection(scene), positives=0, class_maps=True).crop_at(0, 0, 0)

    unknown = np.zeros((24, 24), np.bool_)
    unknown[2:10, 2:10] = True
    unknown[4:6, 4:6] = False
    assert np.array_equal(crop.valid, ~unknown)
    assert (crop.labels[4:6, 4:6] == 0).all()
    assert (crop.labels[unknown] == NO_CLASS).all()
    assert sampler(collection(scene), positives=0).crop_at(0, 0, 0).valid.all()


def test_nodata_is_not_valid_and_windows_without_a_pixel_are_avoided(make_scene):
    shown = np.zeros((1, 64, 64), np.uint8)
    shown[:, :, 52:] = 7
    found = collection(labeled(make_scene(shown, nodata=0), 64, 64))
    cut = CropSampler(found, BandNeeds(("any",)), 8, seed=0, positives=0)

    crops = [cut.crop(0, index) for index in range(40)]

    assert all(np.array_equal(crop.valid, crop.pixels[0] == 7) for crop in crops)
    assert np.mean([crop.valid.any() for crop in crops]) > 0.6  # 1 of 5 windows has a valid pixel


def test_large_scenes_are_decoded_in_windows(ports, monkeypatch):
    found, shown = ports
    monkeypatch.setattr(window_cache, "MAX_WHOLE_SCENE_BYTES", 0)
    monkeypatch.setattr(window_cache, "_WINDOW_SIDE", 20)
    cut = sampler(found, 40, class_maps=True, cache_bytes=20_000)

    for index in range(40):
        crop = cut.crop(0, index)
        inside = shown[crop.uri][:, max(crop.y, 0) :, max(crop.x, 0) :]
        assert np.array_equal(crop.pixels[0][crop.valid][:5], inside[0, 0, :5])
    whole = sampler(found, 40, class_maps=True)
    assert_same(whole.crop(0, 3), cut.crop(0, 3))


def test_mixed_types_become_one_that_holds_both(make_scene):
    first = make_scene(np.full((1, 20, 20), 200, np.uint8), name="a.tif")
    second = make_scene(np.full((1, 20, 20), -5, np.int16), name="b.tif")
    cut = CropSampler(
        collection(labeled(first, 20, 20), labeled(second, 20, 20)),
        BandNeeds(("x",)),
        8,
        seed=0,
        positives=0,
    )

    assert cut.crop_at(0, 0, 0).pixels.dtype == cut.crop_at(1, 0, 0).pixels.dtype == np.int16
    assert cut.crop_at(1, 0, 0).pixels.max() == -5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [1.0]}, "1 weights and 2 classes; give one weight for each class"),
        ({"bands": ("swir",)}, r"first\.tif has the bands red, nir; the model expects swir"),
    ],
)
def test_options_that_do_not_fit_are_refused(ports, change, message):
    found, _ = ports

    with pytest.raises((LabelsError, SceneError), match=message):
        sampler(found, **change)


def test_what_cannot_be_cut_is_refused(ports):
    found, _ = ports

    with pytest.raises(LabelsError, match="no scenes"):
        sampler(collection())
    with pytest.raises(
        LabelsError, match=r"positives is 0\.5, but the 1 scenes of the collection have no"
    ):
        sampler(collection(found.scenes[1]))
    boxes = labeled(found.scenes[0].uri, WIDTH, HEIGHT, BOXES)
    with pytest.raises(LabelsError, match="have no outline"):
        sampler(collection(boxes), class_maps=True)
    with pytest.raises(LabelsError, match=r"had 9 x 9 px when .* 90 x 70 px now; give the labeled"):
        sampler(collection(labeled(found.scenes[0].uri, 9, 9, [[1, 1, 2, 2]])))
    many = collection(found.scenes[0], classes=map(str, range(255)))
    with pytest.raises(LabelsError, match="255 classes; the maximum is 254"):
        sampler(many, class_maps=True)


def test_scenes_on_s3_are_cut_like_those_here(ports, http_bucket):
    found, shown = ports
    here = found.scenes[0].uri
    uri = storage.join(http_bucket, "first.tif")
    storage.copy(here, uri)
    there = sampler(collection(labeled(uri, WIDTH, HEIGHT, BOXES)), positives=1)

    crop = there.crop(0, 0)

    assert np.array_equal(crop.pixels, shown[here][:, crop.y : crop.y + 24, crop.x : crop.x + 24])


def test_the_ports_show_their_ships(data):
    folder = str(data / "ships_s2")
    cut = CropSampler(
        read_collection(f"{folder}/val.json", folder),
        BandNeeds(("B02", "B03", "B04", "B08", "B11")),
        256,
        seed=0,
        positives=1,
    )

    assert all(len(cut.crop(0, index).boxes) for index in range(10))
