"""Tests of headers that cost GDAL much time or memory: each is refused before GDAL opens it."""

import struct
from contextlib import nullcontext

import numpy as np
import pytest
import rasterio

from swath import storage
from swath.errors import SceneError
from swath.raster import dataset
from swath.raster.files import header_check
from swath.raster.files.byte_ranges import LocalFile, S3File
from swath.raster.scene import open_scene
from swath.sagemaker.server.images import open_image
from tests.helpers.tiffs import METADATA, PLACED, UTM, metadata, write_tiff

PIXELS = np.ones((1, 8, 8), "uint8")
COLOR_PROFILE, XMP, PHOTOSHOP, UNKNOWN, MODEL_TIE_POINTS = 34675, 700, 34377, 50_999, 33922


def chain(path, count, *, subfile=1, last=0):
    """Write a TIFF of 8 x 8 px whose pages are chained; the last one points to `last`."""
    tags = {254: 0, 256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    body = bytearray(b"II*\0" + struct.pack("<I", 72) + bytes(range(64)))
    for number in range(count):
        fields = tags | ({254: subfile} if number else {})
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in fields.items())
        following = len(body) + 2 + len(entries) + 4 if number < count - 1 else last
        body += struct.pack("<H", len(fields)) + entries + struct.pack("<I", following)
    path.write_bytes(body)
    return path


def large_tiff(path, tags, placed=UTM):
    write_tiff(path, (PIXELS, placed | tags))
    return path


def count_boxes(path):
    content, at, count = path.read_bytes(), 0, 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        at, count = at + length if length else len(content), count + 1
    return count


def boxes(path, *contents):
    """Write a JPEG 2000 file of 64 x 64 px with more boxes before its pixels."""
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", width=64, height=64, count=1, dtype="uint8"
    ) as out:
        out.write(np.arange(4096, dtype="uint8").reshape(1, 64, 64))
    content = path.read_bytes()
    at = content.index(b"jp2c") - 4
    more = b"".join(struct.pack(">I", 8 + len(c)) + b"xml " + c for c in contents)
    path.write_bytes(content[:at] + more + content[at:])
    return path


def items(count, **options):
    return metadata(*[(f"K{i}", "v", options.get("band"), None) for i in range(count)])


def refusal(path):
    with pytest.raises(SceneError) as caught, open_scene(str(path)):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def asked(monkeypatch):
    """Return the list of lengths in bytes that header reads requested."""
    lengths, read = [], LocalFile.read

    def counted(file, offset, length):
        lengths.append(length)
        return read(file, offset, length)

    monkeypatch.setattr(LocalFile, "read", counted)
    return lengths


@pytest.fixture
def gdal_opens(monkeypatch):
    """Return the list of files that GDAL was asked to open."""
    opened, original = [], dataset.DatasetReader

    def open_(path, **options):
        opened.append(path)
        return original(path, **options)

    monkeypatch.setattr(dataset, "DatasetReader", open_)
    return opened


@pytest.mark.parametrize("subfile", [0, 1, 4], ids=["images", "overviews", "masks"])
def test_200000_pages_are_refused_by_the_first_few(tmp_path, asked, gdal_opens, subfile):
    path = chain(tmp_path / "a.tif", 200_000, subfile=subfile)

    assert "more than 512 pages" in refusal(path)
    assert not gdal_opens
    assert sum(asked) < 200_000


def test_as_many_pages_as_may_be_are_opened(tmp_path):
    with open_scene(str(chain(tmp_path / "a.tif", header_check.MAX_PAGES))) as scene:
        assert scene.dataset.reader.overviews(1)

    assert "more than 512 pages" in refusal(chain(tmp_path / "b.tif", header_check.MAX_PAGES + 1))


@pytest.mark.parametrize("last", [72, 72 + 126], ids=["to the first", "to itself"])
def test_pages_in_a_circle_are_read_once(tmp_path, asked, last):
    with open_scene(str(chain(tmp_path / "a.tif", 2, last=last))) as scene:
        assert scene.info.width == 8
    assert len(asked) < 10


@pytest.mark.parametrize("band", [None, 0], ids=["of the file", "of a band"])
def test_items_of_gdal_are_counted_before_gdal_reads_them(tmp_path, gdal_opens, band):
    # The element around the items counts as one.
    most = large_tiff(tmp_path / "a.tif", items(header_check.MAX_ITEMS - 1, band=band))
    more = large_tiff(tmp_path / "b.tif", items(header_check.MAX_ITEMS, band=band))

    with open_scene(str(most)) as scene:
        tags = scene.dataset.reader.tags(0 if band is None else 1)
        assert tags[f"K{header_check.MAX_ITEMS - 2}"] == "v"
    gdal_opens.clear()
    assert "10001 items of GDAL's metadata" in refusal(more)
    assert not gdal_opens


@pytest.mark.parametrize("item", ["<Item/>", "<item name='a'/>", "< Item name='a'>b</Item>"])
def test_items_are_counted_however_they_are_written(tmp_path, item):
    path = large_tiff(
        tmp_path / "a.tif", {METADATA: f"<GDALMetadata>{item * 11_000}</GDALMetadata>"}
    )

    assert "items of GDAL's metadata" in refusal(path)


def test_items_of_many_pages_count_together(tmp_path, monkeypatch):
    monkeypatch.setattr(header_check, "MAX_ITEMS", 100)
    page = (PIXELS, {254: [1]} | items(60))
    write_tiff(tmp_path / "a.tif", (PIXELS, UTM | items(60)), page)

    assert "items of GDAL's metadata" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("tag", [COLOR_PROFILE, XMP, UNKNOWN])
def test_bytes_of_metadata_are_added_up(tmp_path, gdal_opens, tag):
    half = np.zeros(header_check.MAX_METADATA_BYTES // 2 - 1000, "u1")
    most = large_tiff(tmp_path / "a.tif", {PHOTOSHOP: half, tag: half})
    more = large_tiff(tmp_path / "b.tif", {PHOTOSHOP: half, tag: np.zeros(len(half) + 3000, "u1")})

    with open_scene(str(most)) as scene:
        assert scene.info.width == 8
    gdal_opens.clear()
    assert "more than 16 MiB of metadata" in refusal(more)
    assert not gdal_opens


def test_metadata_that_cannot_be_there_is_left_to_gdal(tmp_path):
    """Check a count beyond the end of the file, which GDAL ignores."""
    path = large_tiff(tmp_path / "a.tif", {UNKNOWN: np.zeros(100, "u1")})
    content = path.read_bytes()
    entry = content.index(struct.pack("<HHI", UNKNOWN, 1, 100))
    path.write_bytes(content[: entry + 4] + struct.pack("<I", 1 << 31) + content[entry + 8 :])

    with open_scene(str(path)) as scene:
        assert scene.info.width == 8


def test_tags_of_a_page_are_counted(tmp_path, gdal_opens):
    own = len(UTM) + 11  # `write_tiff` adds these tags
    tags = {40_000 + i: [1] for i in range(header_check.MAX_TAGS - own)}
    with open_scene(str(large_tiff(tmp_path / "a.tif", tags))) as scene:
        assert scene.info.width == 8

    gdal_opens.clear()
    assert "more than 1024 tags" in refusal(large_tiff(tmp_path / "b.tif", tags | {60_000: [1]}))
    assert not gdal_opens


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("order", "<>")
def test_every_kind_of_tiff_is_counted(big, order):
    """Check a first page with too many tags, in both byte orders."""
    count = header_check.MAX_TAGS + 1
    mark, words = {"<": b"II", ">": b"MM"}[order], "QQ" if big else "II"
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8)
    content = (mark + head).ljust(16 if big else 8, b"\0")
    content += struct.pack(f"{order}{'Q' if big else 'H'}", count)
    content += b"".join(struct.pack(f"{order}HH{words}", 40_000 + i, 3, 1, 1) for i in range(count))

    with pytest.raises(SceneError, match="more than 1024 tags"):
        header_check.check_header("a.tif", len(content), lambda at, n: content[at : at + n])


def test_boxes_of_jpeg_2000_are_counted(tmp_path, gdal_opens):
    plain = boxes(tmp_path / "a.jp2")
    own = header_check.MAX_BOXES - count_boxes(plain)
    with open_scene(str(boxes(plain, *[b"<a/>"] * own))) as scene:
        assert scene.info.width == 64

    gdal_opens.clear()
    assert "more than 1000 boxes" in refusal(boxes(plain, *[b"<a/>"] * (own + 1)))
    assert not gdal_opens


def test_bytes_of_boxes_are_added_up(tmp_path, gdal_opens):
    half = bytes(header_check.MAX_METADATA_BYTES // 2 - 1000)
    with open_scene(str(boxes(tmp_path / "a.jp2", half, half))) as scene:
        assert scene.info.width == 64

    gdal_opens.clear()
    assert "more than 16 MiB" in refusal(boxes(tmp_path / "a.jp2", half, half + bytes(3000)))
    assert not gdal_opens


def test_a_box_without_end_or_length_is_left_to_gdal():
    for length in (0, 7, 1):
        content = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I", length) + b"xml " + bytes(50)
        header_check.check_header("a.jp2", len(content), lambda at, n, c=content: c[at : at + n])


@pytest.mark.parametrize("what", ["mask", "endpoint"])
def test_whoever_opens_a_raster_is_held_to_the_limits(tmp_path, what):
    path = chain(tmp_path / "a.tif", header_check.MAX_PAGES + 1)
    if what == "mask":
        write_tiff(tmp_path / "b.tif", (PIXELS, UTM))
        path.rename(tmp_path / "b.tif.msk")
        assert "b.tif.msk has more than 512 pages" in refusal(tmp_path / "b.tif")
        return

    with (
        pytest.raises(SceneError, match=r"^the image has more than 512 pages"),
        open_image(path, "tiff", lambda _: nullcontext()),
    ):
        pass


def test_the_header_of_an_object_is_fetched_once(http_bucket, tmp_path, monkeypatch):
    """Check that readers of the layout reuse the bytes that the limit check fetched."""
    uri = storage.join(http_bucket, "incoming/a.tif")
    storage.copy(str(large_tiff(tmp_path / "a.tif", {})), uri)
    fetched, get = [], S3File.read
    monkeypatch.setattr(S3File, "read", lambda f, at, n: (fetched.append(at), get(f, at, n))[1])

    with open_scene(uri) as scene:
        assert scene.info.width == 8
    assert not fetched


def test_points_that_place_a_scene_are_counted(tmp_path, monkeypatch):
    points = np.zeros((50, 6))
    points[:, 0], points[:, 1] = np.divmod(np.arange(50), 8)
    points[:, 3:5] = points[:, :2] / 100 + (14, 50)
    tags = {k: v for k, v in UTM.items() if k not in PLACED} | {MODEL_TIE_POINTS: points.ravel()}
    path = large_tiff(tmp_path / "a.tif", tags, placed={})
    monkeypatch.setattr("swath.raster.scene.MAX_GCPS", 50)
    with open_scene(str(path)) as scene:
        assert len(scene.info.gcps) == 50

    monkeypatch.setattr("swath.raster.scene.MAX_GCPS", 49)
    assert "50 ground control points" in refusal(path)


def test_no_ordinary_scene_is_refused(data):
    kinds = ("*.tif", "*.tiff", "*.jp2", "*.ntf")
    files = [file for kind in kinds for file in data.rglob(kind) if "corrupt" not in file.parts]
    assert len(files) > 100

    for file in files:
        with file.open("rb") as content:
            header_check.check_header(
                str(file),
                file.stat().st_size,
                lambda at, length, content=content: (content.seek(at), content.read(length))[1],
            )
