"""Tests of metadata about a file's own numbers: each item is obeyed, or refused in a sentence."""

import itertools
import struct
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swath.errors import SceneError
from swath.raster.assets.stack import BandNeeds
from swath.raster.interpretation import COLOR_BAND_NAMES, select_bands
from swath.raster.scene import open_scene
from swath.sagemaker.server.images import open_image
from swath.training.data.statistics import compute_band_statistics
from swath.training.inputs import default_bands
from tests.helpers.fuzzing import draws
from tests.helpers.label_files import collection, labeled
from tests.helpers.tiffs import (
    COLOR_TABLE,
    EXTRA,
    INK_SET,
    NODATA,
    ORIENTATION,
    PHOTOMETRIC,
    PLACED,
    SUBFILE,
    colored,
    described,
    metadata,
    write_tiff,
)

RED, GREEN, BLUE = COLOR_BAND_NAMES["red"], COLOR_BAND_NAMES["green"], COLOR_BAND_NAMES["blue"]
RAMP = np.arange(4 * 6 * 8, dtype="uint8").reshape(4, 6, 8)


def select(tmp_path, wanted, *, bands=3, colors=(), names=(), tags=()):
    """Return the numbers of the bands that a model with the given band names takes."""
    items = [*colored(colors), *described(names)]
    path = write_tiff(
        tmp_path / "scene.tif",
        (RAMP[:bands], PLACED | (metadata(*items) if items else {}) | dict(tags)),
    )
    with open_scene(path) as scene:
        return select_bands(scene.info, wanted)


class TestColors:
    @pytest.mark.parametrize("wanted", list(zip(RED, GREEN, BLUE, strict=True)))
    def test_bands_that_say_their_colors_are_taken_by_them(self, tmp_path, wanted):
        for order in itertools.permutations(["Red", "Green", "Blue"]):
            found = select(tmp_path, wanted, colors=order)
            assert [order[number - 1] for number in found] == ["Red", "Green", "Blue"]

    @pytest.mark.fuzz
    @settings(max_examples=draws(150, fuzz=5000), deadline=None)
    @given(data=st.data())
    def test_no_band_is_taken_for_another_color(self, tmp_path_factory, data):
        """Check that a model never gets a band that declares another color, under any name."""
        kinds = ["Red", "Green", "Blue", "NIR", "Gray", "Undefined", "Alpha", "Cyan", "Hue"]
        colors = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
        labels = ["red", "B04", "b3", "green", "blue", "B02", "nir", "B08", "x", "y"]
        wanted = data.draw(st.lists(st.sampled_from(labels), min_size=1, max_size=4, unique=True))
        named = data.draw(st.booleans())
        names = data.draw(st.permutations(labels))[: len(colors)] if named else []
        extra = [2 if color == "Alpha" else 0 for color in colors[1:]]
        tags = {EXTRA: extra} if extra else {}
        folder = tmp_path_factory.mktemp("drawn")
        try:
            found = select(folder, wanted, bands=len(colors), colors=colors, names=names, tags=tags)
        except SceneError as error:
            assert "scene.tif" in str(error)  # noqa: PT017 (one of two right answers)
            return
        known = {name: color for color, alike in COLOR_BAND_NAMES.items() for name in alike}
        assert len(set(found)) == len(wanted)
        for name, number in zip(wanted, found, strict=True):
            said = colors[number - 1].casefold()
            assert said not in {"alpha", "cyan", "hue"}
            meant = known.get(name.casefold())
            by_name = bool(names) and names[number - 1].casefold() == name.casefold()
            assert said not in COLOR_BAND_NAMES or meant in {None, said} or by_name
            if by_name and tuple(c.casefold() for c in colors[:3]) != ("red", "green", "blue"):
                assert said not in COLOR_BAND_NAMES or meant in {None, said}

    def test_an_alpha_band_is_no_band_of_a_model(self, tmp_path):
        names = ["red", "green", "blue", "nir"]

        with pytest.raises(SceneError, match=r"band 4, which the model expects as nir, is .*alpha"):
            select(tmp_path, ["nir"], bands=4, names=names, tags={EXTRA: [0, 0, 2]})

    def test_a_scene_that_contradicts_itself_is_refused(self, tmp_path):
        with pytest.raises(SceneError, match="names its band 1 red and gives it the color blue"):
            select(
                tmp_path,
                ["red", "green", "blue"],
                colors=["Blue", "Green", "Red"],
                names=["red", "green", "blue"],
            )

    def test_a_position_that_the_file_contradicts_is_refused(self, tmp_path):
        with pytest.raises(SceneError, match="its band 1 is blue, but the model expects B04"):
            select(
                tmp_path,
                ["B04", "B03", "B02", "B99"],
                bands=4,
                colors=["Blue", "Green", "Red", "Undefined"],
            )

    def test_several_alpha_bands_are_refused(self, tmp_path):
        with pytest.raises(SceneError, match="several alpha bands"):
            select(tmp_path, ["x"], bands=3, tags={EXTRA: [2, 2]})

    def test_training_takes_bands_by_the_same_rule(self, tmp_path):
        tags = PLACED | metadata(*colored(["Blue", "Green", "Red"]))
        pixels = np.stack([np.full((6, 8), value, "uint8") for value in (1, 2, 3)])
        found = collection(labeled(write_tiff(tmp_path / "s.tif", (pixels, tags)), 8, 6))
        needs = BandNeeds(("B04", "B03", "B02"))

        means = [band.mean for band in compute_band_statistics(found, needs)]

        assert means == [3, 2, 1]
        assert default_bands(found) == ("blue", "green", "red")


class TestNumbersThatAreNoBrightness:
    @pytest.mark.parametrize(
        ("pages", "told"),
        [
            ([(RAMP[:1], {PHOTOMETRIC: [3], COLOR_TABLE: [7] * 768})], "has a color table"),
            ([(RAMP[:1] > 9, {})], "has a color table"),
            ([(RAMP[:1], {PHOTOMETRIC: [0]})], "0 is white"),
            ([(RAMP[:1] > 9, {PHOTOMETRIC: [0]})], "0 is white"),
            ([(RAMP[:1].astype("uint16"), {PHOTOMETRIC: [0]})], "0 is white"),
            ([(RAMP[:3], {PHOTOMETRIC: [8]})], "CIELab"),
            ([(RAMP[:1], {PHOTOMETRIC: [32803]})], "color filter array"),
            ([(RAMP[:1], {}), (RAMP[:1], {})], "has 2 pages"),
            ([(RAMP[:1], {ORIENTATION: [6]})], "orientation 6"),
            ([(RAMP[:1], {ORIENTATION: [3]})], "orientation 3"),
        ],
    )
    def test_is_refused_as_a_scene_and_in_a_request(self, tmp_path, pages, told):
        path = write_tiff(tmp_path / "scene.tif", *pages)
        wanted = ["a", "b", "c"][: len(pages[0][0])]

        for opened in (open_scene(path), open_image(tmp_path / "scene.tif", "tiff", _admit)):
            with pytest.raises(SceneError, match=told), opened as scene:
                select_bands(scene.info, wanted)

    def test_cyan_is_not_taken_for_red(self, tmp_path):
        tags = {PHOTOMETRIC: [5], INK_SET: [1]}
        with open_scene(write_tiff(tmp_path / "cmyk.tif", (RAMP[:4], tags))) as scene:
            # GDAL converts the colors
            assert scene.info.colors == ("red", "green", "blue", "alpha")
            assert select_bands(scene.info, ["red", "green", "blue"]) == [1, 2, 3]

    def test_overviews_and_masks_are_no_pages(self, tmp_path):
        pages = [(RAMP[:1], {}), (RAMP[:1, ::2, ::2], {SUBFILE: [1]})]
        pages.append((np.ones((1, 6, 8), bool), {SUBFILE: [4], PHOTOMETRIC: [4]}))

        with open_scene(write_tiff(tmp_path / "scene.tif", *pages)) as scene:
            assert scene.info.masked

    def test_a_georeferenced_scene_lies_where_its_rows_are(self, tmp_path):
        path = write_tiff(tmp_path / "scene.tif", (RAMP[:1], PLACED | {ORIENTATION: [3]}))

        with open_scene(path) as scene:
            np.testing.assert_array_equal(scene.read((0, 0, 8, 6), [1])[0], RAMP[:1])

    def test_a_nodata_value_of_all_bands_together_is_obeyed(self, tmp_path):
        tags = metadata(("NODATA_VALUES", "0 48 96", None, None))
        with open_scene(write_tiff(tmp_path / "scene.tif", (RAMP[:3], tags))) as scene:
            _, valid = scene.read((0, 0, 8, 6), [1, 2, 3])

        assert (~valid).sum() == 1
        assert not valid[0, 0]

    def test_a_nodata_value_that_no_pixel_can_have_is_none(self, tmp_path):
        with open_scene(write_tiff(tmp_path / "s.tif", (RAMP[:1], {NODATA: "-9999"}))) as scene:
            assert scene.read((0, 0, 8, 6), [1])[1].all()


def _admit(size):
    del size
    return nullcontext()


class TestPictures:
    """Tests of PNG and JPEG as a request's body."""

    def read(self, path, kind):
        with open_image(path, kind, _admit) as image:
            info = image.info
            return info, *image.read((0, 0, info.width, info.height), [1])

    def saved(self, tmp_path, image, form="png", **options):
        path = tmp_path / "body"
        image.save(path, form, **options)
        return path

    @pytest.mark.parametrize("form", ["png", "jpeg"])
    @pytest.mark.parametrize("orientation", [2, 3, 6, 8])
    def test_turned_by_exif(self, tmp_path, form, orientation):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = self.saved(tmp_path, Image.new("RGB", (20, 10)), form, exif=exif)

        with pytest.raises(SceneError, match=f"the image is stored rotated .*n {orientation}"):
            self.read(path, form)

    @pytest.mark.parametrize("form", ["png", "jpeg"])
    def test_upright_by_exif(self, tmp_path, form):
        exif = Image.Exif()
        exif[ORIENTATION] = 1
        path = self.saved(tmp_path, Image.new("RGB", (20, 10)), form, exif=exif)

        assert self.read(path, form)[0].width == 20

    def test_several_frames(self, tmp_path):
        frames = [Image.new("L", (8, 8), shade) for shade in (0, 90)]
        path = self.saved(tmp_path, frames[0], save_all=True, append_images=frames[1:])

        with pytest.raises(SceneError, match="the image has several frames"):
            self.read(path, "png")

    def test_one_bit(self, tmp_path):
        path = self.saved(tmp_path, Image.new("1", (8, 8), 1))

        with pytest.raises(SceneError, match=r"the image has (1 bits|a palette)"):
            self.read(path, "png")

    def test_a_color_that_stands_for_transparent(self, tmp_path):
        for mode, color in (("L", 7), ("RGB", (7, 8, 9))):
            image = Image.new(mode, (6, 5), 0)
            image.putpixel((2, 1), color)
            path = self.saved(tmp_path, image, transparency=color)

            _, _, valid = self.read(path, "png")

            assert (~valid).sum() == 1
            assert not valid[1, 2]

    def test_a_gray_one_is_no_rgb(self, tmp_path):
        path = self.saved(tmp_path, Image.new("LA", (6, 5), (3, 255)))

        with open_image(path, "png", _admit) as image:
            assert select_bands(image.info, ["gray"]) == [1]
            with pytest.raises(SceneError, match="1 band without a name and an alpha"):
                select_bands(image.info, ["red", "green", "blue"])

    def test_a_wrong_checksum_of_pixels(self, tmp_path):
        path = self.saved(tmp_path, Image.effect_noise((40, 40), 50))
        content = bytearray(path.read_bytes())
        start = content.index(b"IDAT")
        (length,) = struct.unpack(">I", content[start - 4 : start])
        assert zlib.crc32(content[start : start + 4 + length])
        content[start + 4 + length // 2] ^= 1
        path.write_bytes(content)

        with pytest.raises(SceneError):
            self.read(path, "png")
