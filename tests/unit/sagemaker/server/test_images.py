import io
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from swath.errors import SceneError
from swath.sagemaker.server.errors import TooLargeError
from swath.sagemaker.server.images import ImageSize, open_image
from tests.helpers.serving import PLACED, decoded, encoded

KINDS = {"tiff": "GTiff", "png": "PNG", "jpeg": "JPEG", "npy": "NPY"}


def admit_all(size):
    return nullcontext()


@pytest.fixture
def put(tmp_path):
    """Return a function that writes bytes into a file, as a server does with a request's body."""

    def write(body):
        path = tmp_path / "body"
        path.write_bytes(body)
        return path

    return write


def noise(bands=3, height=300, width=270, dtype=np.uint8):
    return np.random.default_rng(1).integers(0, 255, (bands, height, width)).astype(dtype)


def read(path, kind):
    with open_image(path, kind, admit_all) as scene:
        info = scene.info
        pixels, valid = scene.read((0, 0, info.width, info.height), list(range(1, info.count + 1)))
    return info, pixels, valid


@pytest.mark.parametrize("kind", ["tiff", "png", "npy"])
@pytest.mark.parametrize("bands", [1, 3])
def test_an_image_is_a_scene_of_the_same_pixels(put, kind, bands):
    pixels = noise(bands)

    info, got, valid = read(put(encoded(pixels, KINDS[kind])), kind)

    np.testing.assert_array_equal(got, pixels)
    assert valid.all()
    assert (info.count, info.height, info.width) == pixels.shape
    assert info.transform is None


def test_a_jpeg_has_the_pixels_that_gdal_decodes(put):
    path = put(encoded(noise(), "JPEG"))

    info, got, _ = read(path, "jpeg")

    np.testing.assert_array_equal(got, decoded(path.read_bytes()))
    assert info.colors == ("red", "green", "blue")


def test_a_geotiff_is_where_it_says(put):
    info, _, _ = read(put(encoded(noise(), "GTiff", **PLACED)), "tiff")

    assert info.transform == PLACED["transform"]
    assert info.crs.to_string() == PLACED["crs"]


def test_what_is_transparent_is_not_valid(put):
    pixels = noise(4)
    pixels[3] = 255
    pixels[3, :10] = 0

    info, _, _ = read(put(encoded(pixels, "PNG")), "png")
    with open_image(put(encoded(pixels, "PNG")), "png", admit_all) as scene:
        _, valid = scene.read((0, 0, 270, 300), [1, 2, 3])

    assert info.colors == ("red", "green", "blue", "alpha")
    assert not valid[:10].any()
    assert valid[10:].all()


def test_sixteen_bits(put):
    pixels = noise(1, dtype=np.uint16) * 200

    np.testing.assert_array_equal(read(put(encoded(pixels, "PNG")), "png")[1], pixels)


@settings(max_examples=25)
@given(data=st.data())
def test_any_array_of_numbers(tmp_path_factory, data):
    dtype = data.draw(st.sampled_from(["u1", "i1", ">u2", "<i2", "<u4", ">i4", ">f4", "<f8"]))
    shape = data.draw(array_shapes(min_dims=2, max_dims=3, max_side=20))
    pixels = data.draw(arrays(dtype, shape))
    if data.draw(st.booleans()):
        pixels = np.asfortranarray(pixels)
    path = tmp_path_factory.mktemp("image") / "body"
    path.write_bytes(encoded(pixels, "NPY"))

    _, got, _ = read(path, "npy")

    np.testing.assert_array_equal(got, pixels if pixels.ndim == 3 else pixels[None])
    assert not list(path.parent.glob("*.tif"))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((3, 4, 5), np.int64), "type int64; use one of uint8"),
        (np.zeros((3, 4, 5), np.float16), "type float16"),
        (np.zeros((3, 4, 5), np.bool_), "type bool"),
        (np.zeros((3, 4, 5), np.complex64), "type complex64"),
        (np.zeros(3, np.uint8), r"shape \(3,\); it must be \(bands, rows, cols\)"),
        (np.zeros((1, 3, 4, 5), np.uint8), "must be"),
        (np.zeros((1, 0, 5), np.uint8), "must be|cannot mmap|no NPY"),
    ],
)
def test_other_arrays_are_refused(put, array, told):
    with pytest.raises(SceneError, match=told):
        read(put(encoded(array, "NPY")), "npy")


@pytest.mark.parametrize("header", [b"{'descr': (((", b"{'descr': '|u1', ", b"\xff", b"", b"1" * 9])
@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_an_npy_whose_header_makes_no_sense_is_refused(put, header, version):
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    body = b"\x93NUMPY" + bytes([version, 0]) + length + header

    with pytest.raises(SceneError, match="not a readable NPY file"):
        read(put(body), "npy")


def test_no_pickle_is_opened(put):
    body = encoded(np.array([{"a": 1}], object), "NPY")

    with pytest.raises(SceneError, match=r"Array can't be memory-mapped: Python objects"):
        read(put(body), "npy")


def test_a_palette_is_no_brightness(put, tmp_path):
    path = tmp_path / "palette.png"
    shape = {"width": 8, "height": 8, "count": 1, "dtype": "uint8", **PLACED}
    with rasterio.open(path, "w", driver="PNG", **shape) as out:
        out.write(np.zeros((1, 8, 8), np.uint8))
        out.write_colormap(1, {0: (9, 9, 9, 255)})

    with pytest.raises(SceneError, match="the image has a palette"):
        read(put(path.read_bytes()), "png")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("height", [100, 300])  # less than one row of blocks, and more
def test_a_truncated_image_is_not_taken_for_a_whole_one(put, kind, share, height):
    body = encoded(
        noise(height=height), KINDS[kind], **({"compress": "deflate"} if kind == "tiff" else {})
    )
    path = put(body[: int(len(body) * share)])

    with pytest.raises(SceneError) as caught:
        read(path, kind)

    assert "the image" in str(caught.value)
    assert str(path) not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_decoded_before_it_is_admitted(put, kind, tmp_path):
    claimed = []

    @contextmanager
    def refuse(size):
        claimed.append(size)
        raise TooLargeError("no")
        yield

    path = put(encoded(noise(2 if kind in {"npy", "tiff"} else 1), KINDS[kind]))

    with pytest.raises(TooLargeError, match="no"), open_image(path, kind, refuse):
        pass

    (size,) = claimed
    assert (size.width, size.height, size.dtype) == (270, 300, np.uint8)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_admitted_is_held_until_the_image_is_closed(put):
    held = []

    @contextmanager
    def admit(size):
        held.append(size)
        yield
        held.clear()

    with open_image(put(encoded(noise(), "PNG")), "png", admit):
        assert len(held) == 1
    assert not held


def test_sizes():
    size = ImageSize(100, 50, 3, np.dtype(np.uint16), (10, 10))

    assert size.bytes == 100 * 50 * 3 * 2
    assert ImageSize(10, 10, 3, np.dtype(np.uint8), (512, 512)).bytes == 512 * 512 * 3
    size.check(5000, ["gray"])
    with pytest.raises(TooLargeError, match="100 x 50 px; this endpoint takes 4999 px at most"):
        size.check(4999, ["gray"])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_of_any_version_and_order_is_read(put, version, order):
    pixels = np.asarray(noise().astype(">u2"), order=order)
    file = io.BytesIO()
    np.lib.format.write_array(file, pixels, version=version)

    _, got, _ = read(put(file.getvalue()), "npy")

    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize(
    "header",
    ["{'descr': '|u1', 'shape': (1, 4,", "(" * 5000, "{}", "{'descr': '|O'}" + "\0" * 9, "é"],
)
def test_an_npy_header_that_nobody_can_read_is_refused(put, header):
    text = header.encode("latin-1")
    body = b"\x93NUMPY\x02\0" + len(text).to_bytes(4, "little") + text

    with pytest.raises(SceneError, match="not a readable NPY file"):
        read(put(body), "npy")


def test_an_npy_header_is_not_read_that_is_as_long_as_the_file(put, monkeypatch):
    monkeypatch.setattr(np.lib.format, "open_memmap", pytest.fail)
    body = b"\x93NUMPY\x02\0" + (10_001).to_bytes(4, "little") + b" " * 10_001

    with pytest.raises(SceneError, match="its header has 10001 bytes; the maximum is 10000"):
        read(put(body), "npy")


def test_bands_that_nobody_can_choose_from_are_refused_before_they_are_decoded(put):
    def admit(size):
        size.check(10**9, ["red", "green"])
        pytest.fail("admitted")

    with (
        pytest.raises(
            SceneError, match="the image has 3 bands without names; the model expects red"
        ),
        open_image(put(encoded(noise(), "NPY")), "npy", admit),
    ):
        pytest.fail("opened")
