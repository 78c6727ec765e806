"""Tests of what headers state about the acquisition of a scene."""

import numpy as np
import pytest
import rasterio

from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.messages.acquisition_time import parse_acquired_at
from swath.raster.acquisition import read_acquisition
from swath.raster.scene import open_scene


@pytest.fixture
def acquisition_of(tmp_path):
    """Return a function that writes a file with tags, and reads its acquisition."""

    def read(driver="GTiff", imagery=None, options=None, **tags):
        path = tmp_path / f"scene.{driver}"
        form = {"width": 8, "height": 8, "count": 1, "dtype": "uint8", "driver": driver}
        with rasterio.open(path, "w", **form, **(options or {})) as file:
            file.write(np.ones((1, 8, 8), "uint8"))
            file.update_tags(**tags)
            if imagery:
                file.update_tags(ns="IMAGERY", **imagery)
        with open_scene(str(path)) as scene:
            return read_acquisition(scene.files[0])

    return read


@pytest.mark.parametrize(
    ("name", "acquired_at", "platform"),
    [
        ("rasterio/all-nodata.tif", "2022-01-17T10:43:43Z", None),
        ("rio-cogeo/image_geos.tif", "2022-02-05T00:00:20Z", None),
        # Its time, 06:06 UTC at 77° east, is that of processing: the pass is at 6 or 18 local time.
        ("rio-tiler/cog_gcps.tif", None, "sentinel-1a"),
        ("rasterio/RGB.byte.tif", None, None),
    ],
)
def test_real_scenes(data, name, acquired_at, platform):
    with open_scene(str(data / "scenes" / name)) as scene:
        found, warnings = read_acquisition(scene.files[0])
    assert found == Acquisition(acquired_at=acquired_at, platform=platform)
    assert warnings == []


def test_gdal_s_domain_of_imagery_comes_first(acquisition_of):
    imagery = {
        "ACQUISITIONDATETIME": "2015-09-01 17:00:00",
        "CLOUDCOVER": "26",
        "SATELLITEID": "LANDSAT_8",
    }
    found, warnings = acquisition_of(imagery=imagery, TIFFTAG_DATETIME="2020:01:01 00:00:00")
    assert found == Acquisition(
        acquired_at="2015-09-01T17:00:00Z", platform="landsat-8", cloud_cover=26
    )
    assert not warnings


def test_values_that_stand_for_unknown_are_no_values(acquisition_of):
    imagery = {"ACQUISITIONDATETIME": "1970-01-01 00:00:00", "CLOUDCOVER": "999"}
    assert acquisition_of(imagery=imagery) == (UNKNOWN_ACQUISITION, [])
    assert acquisition_of(TIFFTAG_DATETIME="    :  :     :  :  ")[0] == UNKNOWN_ACQUISITION


def test_the_time_at_which_named_software_wrote_a_file_does_not_count(acquisition_of):
    time = {"TIFFTAG_DATETIME": "2020:07:08 05:05:14"}
    assert acquisition_of(**time)[0].acquired_at == "2020-07-08T05:05:14Z"
    assert acquisition_of(**time, TIFFTAG_SOFTWARE="Editor 5")[0].acquired_at is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0000:00:00 00:00:00", "is no time"),
        ("2020:02:30 00:00:00", "is no time"),
        ("yesterday", "is no time"),
        ("1900:01:01 00:00:00", "is before 1920"),
        ("2999:01:01 00:00:00", "is in the future"),
    ],
)
def test_an_impossible_time_is_unknown_with_a_warning(acquisition_of, text, reason):
    found, (warning,) = acquisition_of(TIFFTAG_DATETIME=text)
    assert found.acquired_at is None
    assert repr(text) in warning
    assert f"which {reason}, so" in warning
    assert "--acquired-at" in warning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20200102030405", "2020-01-02T03:04:05Z"),
        ("202001020304--", "2020-01-02T03:04:30Z"),
        ("2020010203----", "2020-01-02T03:30:00Z"),
        ("20200102------", "2020-01-02T12:00:00Z"),
        ("202001--------", None),
        ("2020----------", None),
        ("--------------", None),
        ("02120000ZJAN20", "2020-01-02T12:00:00Z"),
        ("0212----ZFEB99", "1999-02-02T12:30:00Z"),
        # What GDAL writes if it is given no time.
        ("20021216151629", None),
    ],
)
def test_nitf(acquisition_of, text, expected):
    found, warnings = acquisition_of("NITF", options={"IDATIM": text})
    assert (found.acquired_at, warnings) == (expected, [])


@pytest.mark.parametrize("text", ["20201332030405", "20200102--0405", "02120000ZXXX20", "x"])
def test_a_damaged_time_of_nitf_is_unknown_with_a_warning(acquisition_of, text):
    found, warnings = acquisition_of("NITF", options={"IDATIM": text})
    assert found.acquired_at is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-31T10:00:00Z", "2026-05-31T10:00:00Z"),
        ("2026-05-31T12:00:00.5+02:00", "2026-05-31T10:00:00.500000Z"),
    ],
)
def test_a_given_time_becomes_utc(text, expected):
    assert parse_acquired_at(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-05-31T10:00:00", "has no time zone"),
        ("2026-05-31", "has no time zone"),
        ("noon", "is no time"),
        ("", "is no time"),
        ("1900-01-01T00:00:00Z", "is before 1920"),
        ("2999-01-01T00:00:00Z", "is in the future"),
    ],
)
def test_a_given_time_that_cannot_be_used_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_acquired_at(text)
