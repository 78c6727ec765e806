"""Deliveries of many files, made here: a SAFE folder, a Landsat bundle, a Planet order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

Files = dict[str, bytes]
"""Content of each file by its path in the folder of the delivery."""

S2_ID = "S2B_MSIL2A_20240531T101559_N0510_R065_T33UUP_20240531T140520"
GRANULE = "GRANULE/L2A_T33UUP_A037771_20240531T101559"
LANDSAT_ID = "LC09_L2SP_193023_20240531_20240601_02_T1"
PLANET_ID = "20240531_100000_00_2461"


def images(folder: str) -> dict[str, str]:
    """Paths of a Level-2A product's bands, by name: four at 10 m and three at 20 m."""
    return {
        **{band: f"{folder}/R10m/T33UUP_{band}_10m.jp2" for band in ("B02", "B03", "B04", "B08")},
        **{f"{band}@20": f"{folder}/R20m/T33UUP_{band}_20m.jp2" for band in ("B02", "B04")},
        **{band: f"{folder}/R20m/T33UUP_{band}_20m.jp2" for band in ("B05", "B8A", "B11")},
    }


def safe(pixels: Mapping[str, bytes] | None = None, *, offset: int = -1000) -> Files:
    """A SAFE folder of Sentinel-2 Level-2A.

    Args:
        pixels: Content of images by band; other images have a few bytes.
        offset: Offset of all bands but B11, which has none.
    """
    files = {
        path: (pixels or {}).get(band, f"pixels of {band}".encode())
        for band, path in images(f"{GRANULE}/IMG_DATA").items()
    }
    offsets = "".join(
        f'<BOA_ADD_OFFSET band_id="{number}">{offset if number != 11 else 0}</BOA_ADD_OFFSET>'
        for number in range(13)
    )
    files["MTD_MSIL2A.xml"] = (
        '<n1:Level-2A_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/">'
        "<n1:General_Info><Product_Info>"
        "<PRODUCT_START_TIME>2024-05-31T10:15:59.024Z</PRODUCT_START_TIME>"
        f"<PRODUCT_URI>{S2_ID}.SAFE</PRODUCT_URI>"
        "<Datatake><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME></Datatake></Product_Info>"
        "<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>"
        "<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
        "<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>"
        f"<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST></n1:General_Info>"
        "<Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment>"
        "</n1:Level-2A_User_Product>"
    ).encode()
    files[f"{GRANULE}/MTD_TL.xml"] = (
        "<Tile><SENSING_TIME>2024-05-31T10:22:03.5Z</SENSING_TIME>"
        "<Mean_Sun_Angle><ZENITH_ANGLE>30</ZENITH_ANGLE><AZIMUTH_ANGLE>160</AZIMUTH_ANGLE>"
        "</Mean_Sun_Angle>"
        + "".join(
            f"<Mean_Viewing_Incidence_Angle><ZENITH_ANGLE>{zenith}</ZENITH_ANGLE>"
            f"<AZIMUTH_ANGLE>{azimuth}</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>"
            for zenith, azimuth in ((4, 350), (6, 10))
        )
        + "</Tile>"
    ).encode()
    files["INSPIRE.xml"] = b"<inspire/>"
    return files | {"manifest.safe": safe_manifest(files)}


def safe_manifest(files: Files, *, checksum: str = "MD5") -> bytes:
    """`manifest.safe` with the sizes and the MD5 of files."""
    objects = "".join(
        f'<dataObject ID="d{number}"><byteStream mimeType="x" size="{len(content)}">'
        f'<fileLocation locatorType="URL" href="./{path}"/>'
        f'<checksum checksumName="{checksum}">{hashlib.md5(content).hexdigest()}</checksum>'  # noqa: S324
        "</byteStream></dataObject>"
        for number, (path, content) in enumerate(files.items())
    )
    return (
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><dataObjectSection>'
        f"{objects}</dataObjectSection></xfdu:XFDU>"
    ).encode()


def landsat(
    pixels: Mapping[str, bytes] | None = None, suffixes: Mapping[int, str] | None = None
) -> Files:
    """A Landsat bundle of Collection 2, Level-2, with six bands and QA_PIXEL.

    Args:
        pixels: Content of images by number of the band; other images have a few bytes.
        suffixes: Ends of images' names by number of the band, if not as the USGS name them.
    """
    ends = {n: f"SR_B{n}" for n in range(2, 7)} | dict(suffixes or {})
    names = {f"BAND_{n}": f"{LANDSAT_ID}_{end}.TIF" for n, end in ends.items()}
    names |= {"BAND_ST_B10": f"{LANDSAT_ID}_ST_B10.TIF"}
    names |= {"QUALITY_L1_PIXEL": f"{LANDSAT_ID}_QA_PIXEL.TIF"}
    files = {
        name: (pixels or {}).get(key.removeprefix("BAND_"), f"pixels of {key}".encode())
        for key, name in names.items()
    }
    lines = [
        "GROUP = LANDSAT_METADATA_FILE",
        "  GROUP = PRODUCT_CONTENTS",
        f'    LANDSAT_PRODUCT_ID = "{LANDSAT_ID}"',
        '    PROCESSING_LEVEL = "L2SP"',
        "    COLLECTION_NUMBER = 02",
        *(f'    FILE_NAME_{key} = "{name}"' for key, name in names.items()),
        f'    FILE_NAME_METADATA_ODL = "{LANDSAT_ID}_MTL.txt"',
        "  END_GROUP = PRODUCT_CONTENTS",
        "  GROUP = IMAGE_ATTRIBUTES",
        '    SPACECRAFT_ID = "LANDSAT_9"',
        '    SENSOR_ID = "OLI_TIRS"',
        '    NADIR_OFFNADIR = "NADIR"',
        "    DATE_ACQUIRED = 2024-05-31",
        '    SCENE_CENTER_TIME = "10:00:00.1234567Z"',
        "    CLOUD_COVER = -1.00",
        "    SUN_AZIMUTH = -150.5",
        "    SUN_ELEVATION = 57.5",
        "  END_GROUP = IMAGE_ATTRIBUTES",
        "  GROUP = PROJECTION_ATTRIBUTES",
        "    GRID_CELL_SIZE_REFLECTIVE = 30.00",
        "    GRID_CELL_SIZE_THERMAL = 30.00",
        "  END_GROUP = PROJECTION_ATTRIBUTES",
        "  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",
        *(f"    REFLECTANCE_MULT_BAND_{n} = 2.75e-05" for n in range(2, 7)),
        *(f"    REFLECTANCE_ADD_BAND_{n} = -0.2" for n in range(2, 7)),
        "  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",
        "  GROUP = LEVEL1_RADIOMETRIC_RESCALING",
        *(f"    REFLECTANCE_MULT_BAND_{n} = 2.0000E-05" for n in range(2, 7)),
        *(f"    REFLECTANCE_ADD_BAND_{n} = -0.1" for n in range(2, 7)),
        "  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING",
        "END_GROUP = LANDSAT_METADATA_FILE",
        "END",
    ]
    return files | {f"{LANDSAT_ID}_MTL.txt": "\n".join(lines).encode()}


def planet(*item_ids: str, pixels: bytes = b"pixels") -> Files:
    """A Planet order of some Items, each with an image, a mask and metadata."""
    files: Files = {}
    entries = []
    for item_id in item_ids or (PLANET_ID,):
        metadata = {
            "id": item_id,
            "type": "Feature",
            "properties": {
                "item_type": "PSScene",
                "acquired": "2024-05-31T10:00:00.25Z",
                "satellite_id": "2461",
                "cloud_cover": 0.25,
                "gsd": 3.9,
                "pixel_resolution": 3,
                "sun_elevation": 57.8,
                "sun_azimuth": 148,
                "view_angle": -1.1,
                "satellite_azimuth": 273.8,
            },
        }
        contents = {
            f"PSScene/{item_id}_3B_AnalyticMS_SR.tif": (pixels, "ortho_analytic_4b_sr"),
            f"PSScene/{item_id}_3B_udm2.tif": (b"mask", "ortho_udm2"),
            f"PSScene/{item_id}_metadata.json": (json.dumps(metadata).encode(), ""),
        }
        for path, (content, asset_type) in contents.items():
            files[path] = content
            kind = {"planet/asset_type": asset_type} if asset_type else {}
            entries.append(
                {
                    "path": path,
                    "media_type": "image/tiff" if asset_type else "application/json",
                    "size": len(content),
                    "digests": {"md5": hashlib.md5(content).hexdigest()},  # noqa: S324
                    "annotations": {
                        "planet/item_id": item_id,
                        "planet/item_type": "PSScene",
                        **kind,
                    },
                }
            )
    return files | {"manifest.json": json.dumps({"name": "", "files": entries}).encode()}


def write(files: Files, folder: Path) -> Path:
    """Write a delivery to a folder, and return the folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder
