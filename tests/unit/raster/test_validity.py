"""Property tests of valid pixels, band by band, in every reader.

Files are random, with everything that can mark numbers as invalid. The oracle knows the numbers
that were written.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from swath.cli import app
from swath.errors import LabelsError
from swath.models.runtimes.padding import pad
from swath.raster.assets.stack import BandNeeds
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.interpretation import select_bands
from swath.raster.reader import read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from swath.sagemaker.server.images import open_image
from swath.training.data.sampler import CropSampler
from swath.training.data.statistics import compute_band_statistics
from tests.helpers.fuzzing import draws
from tests.helpers.label_files import collection, labeled
from tests.helpers.packages import write_package
from tests.helpers.rasters import NORTH_UP, UTM
from tests.helpers.tiffs import (
    EXTRA,
    NODATA,
    PHOTOMETRIC,
    PLACED,
    SUBFILE,
    described,
    metadata,
    write_tiff,
)
from tests.unit.sagemaker.server.test_images import admit_all

ROWS, COLS, TILE, FILL = 22, 31, 16, 9
LOWEST = float(np.finfo("float32").min)
NODATA_VALUES = [None, 0.0, 7.0, -9999.0, float("nan"), float("inf"), 300.0, LOWEST, 1e300]


class Drawn:
    """A random file whose valid numbers are known."""

    def __init__(self, data, folder):
        self.path = str(folder / "scene.tif")
        self.rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
        self.dtype = np.dtype(
            data.draw(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]))
        )
        count = data.draw(st.integers(1, 4), label="bands")
        self.nodata = data.draw(st.sampled_from(NODATA_VALUES), label="nodata")
        self.by_gdal = data.draw(st.booleans(), label="written by GDAL") and self.fits
        masks = ["none", "within", "beside", "beside, by band"]
        masks += [] if self.by_gdal else ["within, by band"]
        self.mask_kind = data.draw(st.sampled_from(masks), label="mask")
        self.alpha = data.draw(st.booleans(), label="alpha") and count > 1
        order = self.rng.permutation(count)
        self.taken = order[: data.draw(st.integers(1, count), label="taken")].tolist()
        self.pixels = self.rng.choice(self.values, (count, ROWS, COLS))
        if data.draw(st.booleans(), label="an empty corner"):
            self.pixels[:, :18, :18] = self.values[-1]
        self.mask = self.rng.random((count, ROWS, COLS)) < 0.8
        if "by band" not in self.mask_kind:
            self.mask[:] = self.mask[0]
        self.opaque = self.rng.random((ROWS, COLS)) < 0.8
        self.write(folder)

    @property
    def fits(self):
        if self.nodata is None or self.dtype.kind == "f":
            return self.nodata != 1e300
        limits = np.iinfo(self.dtype)
        return np.isfinite(self.nodata) and limits.min <= self.nodata <= limits.max

    @property
    def values(self):
        """Return the values from which pixels are drawn; the last one marks nodata."""
        known = [1, 2, 3, 0, 7]
        known += [np.nan, np.inf, -np.inf] if self.dtype.kind == "f" else []
        known += [self.nodata] if self.fits and self.nodata is not None else [0]
        return np.array(known, self.dtype)

    @property
    def layers(self):
        """Return the stored layers (layers, rows, cols): the bands, then alpha."""
        alpha = [self.opaque[None].astype(self.dtype) * 3] if self.alpha else []
        return np.concatenate([self.pixels, *alpha])

    @property
    def names(self):
        return [f"b{number}" for number in range(len(self.pixels))]

    def write(self, folder):
        if self.by_gdal:
            self.write_by_gdal()
        else:
            self.write_by_hand()
        if "beside" in self.mask_kind:
            masks = self.mask if "band" in self.mask_kind else self.mask[:1]
            if self.alpha and len(masks) > 1:
                masks = np.concatenate([masks, masks[:1]])
            write_tiff(folder / "scene.tif.msk", (masks.astype("uint8") * 255, PLACED))

    def write_by_gdal(self):
        layers = self.layers
        profile = {"driver": "GTiff", "tiled": True, "blockxsize": 16, "blockysize": 16}
        profile |= {"compress": self.rng.choice(["DEFLATE", "ZSTD"]), "photometric": "MINISBLACK"}
        profile["interleave"] = self.rng.choice(["pixel", "band"])
        colors = ["gray"] + ["undefined"] * (len(layers) - 1)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                self.path,
                "w",
                width=COLS,
                height=ROWS,
                count=len(layers),
                dtype=self.dtype,
                nodata=self.nodata,
                crs=UTM,
                transform=NORTH_UP,
                **profile,
            ) as out,
        ):
            if self.alpha:
                colors[-1] = "alpha"
                out.colorinterp = [rasterio.enums.ColorInterp[color] for color in colors]
            out.descriptions = [*self.names, *(["opaque"] if self.alpha else [])]
            out.write(layers)
            if self.mask_kind == "within":
                out.write_mask(self.mask[0].astype("uint8") * 255)

    def write_by_hand(self):
        layers = self.layers
        tags = PLACED | metadata(*described(self.names))
        if len(layers) > 1:
            tags[EXTRA] = [0] * (len(layers) - 2) + [2 if self.alpha else 0]
        if self.nodata is not None:
            tags[NODATA] = repr(self.nodata)
        pages = [(layers, tags)]
        if self.mask_kind == "within":
            pages.append((self.mask[:1], {SUBFILE: [4], PHOTOMETRIC: [4]}))
        if self.mask_kind == "within, by band":
            masks = np.concatenate([self.mask, self.mask[:1]]) if self.alpha else self.mask
            pages.append((masks, {SUBFILE: [4], PHOTOMETRIC: [4]}))
        write_tiff(self.path, *pages)

    def expected(self):
        """Return the pixels, valid numbers (bands, rows, cols) and valid pixels (rows, cols)."""
        pixels = self.pixels[self.taken]
        hidden = np.zeros(pixels.shape, bool)
        if self.mask_kind != "none":
            hidden |= ~self.mask[self.taken]
        if self.alpha:
            hidden |= ~self.opaque
        unreal = hidden | ~np.isfinite(pixels)
        lacking = np.zeros(pixels.shape, bool)
        if self.nodata is not None and np.isfinite(self.nodata) and self.fits:
            lacking = pixels == self.dtype.type(self.nodata)
        shown = ~unreal & ~lacking
        pixelwise = (~unreal if self.mask_kind != "none" else shown).any(axis=0)
        return pixels, shown, pixelwise


@pytest.mark.fuzz
@settings(max_examples=draws(60, fuzz=3000), deadline=None)
@given(data=st.data())
def test_every_reader_takes_the_same_numbers_for_valid(tmp_path_factory, data):
    drawn = Drawn(data, tmp_path_factory.mktemp("drawn"))
    pixels, shown, pixelwise = drawn.expected()
    names = [drawn.names[place] for place in drawn.taken]
    whole = (0, 0, COLS, ROWS)
    grid = Grid(COLS, ROWS, TILE, 4)

    with open_scene(drawn.path) as scene:
        bands = select_bands(scene.info, names)
        read, valid = scene.read_layers(whole, bands)
        np.testing.assert_array_equal(read, pixels)
        np.testing.assert_array_equal(valid.pixel_mask((ROWS, COLS)), pixelwise)
        for place, layer in enumerate(shown):
            np.testing.assert_array_equal(valid.band_mask(place, layer.shape), layer)
        np.testing.assert_array_equal(scene.read_valid(whole, bands), pixelwise)
        empty = detect_empty_tiles(scene, grid, bands)
        for tile in read_tiles(scene, grid, bands, range(grid.count), threads=2):
            assert tile.error is None
            x, y, width, height = tile.tile.window
            here = np.s_[..., y : y + height, x : x + width]
            np.testing.assert_array_equal(
                np.True_ if tile.valid is None else tile.valid, pixelwise[here]
            )
            given_model = pad(tile.pixels, tile.input_mask, size=TILE, fill_value=FILL)
            wanted = np.full((len(bands), TILE, TILE), FILL, np.float32)
            with np.errstate(over="ignore"):
                wanted[:, :height, :width] = np.where(shown[here], pixels[here], FILL)
            np.testing.assert_array_equal(given_model.astype(np.float32), wanted)
            if empty is not None:
                assert empty[tile.tile.index] == (not pixelwise[here].any())

    check_training(drawn, names, pixels, shown, pixelwise)
    if "beside" not in drawn.mask_kind:
        check_serving(drawn, bands, shown)


def check_training(drawn, names, pixels, shown, pixelwise):
    found = collection(labeled(drawn.path, COLS, ROWS))
    crop = CropSampler(found, BandNeeds(tuple(names)), ROWS, seed=0, positives=0).crop_at(0, 0, 0)
    square = np.s_[..., :ROWS, :ROWS]
    np.testing.assert_array_equal(crop.valid, pixelwise[square])
    np.testing.assert_array_equal(
        np.broadcast_to(crop.input_mask, crop.pixels.shape), shown[square]
    )
    if not shown.any(axis=(1, 2)).all():
        with pytest.raises(LabelsError, match="is valid"):
            compute_band_statistics(found, BandNeeds(tuple(names)))
        return
    for band, values, kept in zip(
        compute_band_statistics(found, BandNeeds(tuple(names))), pixels, shown, strict=True
    ):
        assert (band.minimum, band.maximum) == (values[kept].min(), values[kept].max())
        assert band.valid_percent == pytest.approx(100 * kept.mean())


def check_serving(drawn, bands, shown):
    with open_image(Path(drawn.path), "tiff", admit_all) as image:
        _, valid = image.read_layers((0, 0, COLS, ROWS), bands)
    for place, layer in enumerate(shown):
        np.testing.assert_array_equal(valid.band_mask(place, layer.shape), layer)


def mean_package(folder, bands):
    """Write a package that segments pixels whose band mean is above 0.5; the fill value is 0."""

    def change(item):
        properties = item["properties"]
        properties["mlm:tasks"] = ["semantic-segmentation"]
        source, target = properties["mlm:input"][0], properties["mlm:output"][0]
        source["bands"] = list(bands)
        source["input"]["shape"] = [-1, len(bands), TILE, TILE]
        source["value_scaling"] = None
        target["tasks"] = ["semantic-segmentation"]
        target["result"]["shape"] = [-1, 1, TILE, TILE]
        target["result"]["dim_order"] = ["batch", "channel", "height", "width"]
        properties["mlm:hyperparameters"] = {"overlap": 4, "score_threshold": 0.5}

    weights = np.full((1, len(bands), 1, 1), 1 / len(bands), np.float32)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", len(bands), TILE, TILE])
    pred = helper.make_tensor_value_info("pred", TensorProto.FLOAT, ["b", 1, TILE, TILE])
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["mean"]),
        helper.make_node("Clip", ["mean", "zero", "one"], ["pred"]),
    ]
    numbers = {"w": weights, "zero": np.float32(0), "one": np.float32(1)}
    constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in numbers.items()]
    graph = helper.make_graph(nodes, "mean", [image], [pred], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir()
    return write_package(folder, change, weights=made.SerializeToString())


@pytest.mark.parametrize("nodata", [float("nan"), -9999.0, LOWEST])
def test_a_run_sees_the_fill_value_where_one_band_has_none(tmp_path, make_scene, nodata):
    pixels = np.zeros((2, 40, 40), np.float32)
    pixels[:, 10:20, 10:20] = 1
    pixels[1, 12:18, 12:18] = nodata
    scene = make_scene(pixels, names=("a", "b"), nodata=nodata)
    package, out = mean_package(tmp_path / "package", ("a", "b")), tmp_path / "out"

    result = CliRunner().invoke(app, ["run", scene, "--model", str(package), "--out", str(out)])

    assert result.exit_code == 0, result.output
    rows = pq.read_table(out / "detections.parquet").to_pylist()
    (shape,) = [shapely.from_wkb(row["geometry"]) for row in rows]
    assert not shape.interiors  # the mean of 1 and the fill value, 0, reaches the threshold
    assert json.loads((out / "summary.json").read_text())
