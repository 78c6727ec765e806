"""TIFFs written tag by tag: what GDAL writes to nobody's order, without GDAL.

Odd files written through rasterio have corrupted the memory of the process that did so.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

_KINDS = {"u1": 1, "S1": 2, "u2": 3, "u4": 4, "f8": 12}
_FORMATS = {"u": 1, "i": 2, "f": 3}

SUBFILE, PHOTOMETRIC, ORIENTATION, SAMPLES, EXTRA = 254, 262, 274, 277, 338
COLOR_TABLE, INK_SET, NODATA, METADATA = 320, 332, 42113, 42112
PLACED = {33550: [10.0, 10, 0], 33922: [0.0, 0, 0, 500_000, 5_000_000, 0]}
"""Pixels of 10 m, and where they are."""
UTM = PLACED | {34735: [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]}


def write_tiff(path, *pages):
    """Write pages, each (pixels, tags): (bands, rows, cols), of which booleans take one bit."""
    body, offset_at = b"II*\0" + bytes(4), 4
    for pixels, tags in pages:
        stored, fields = _described(np.asarray(pixels))
        fields |= {tag: _values(value) for tag, value in tags.items()}
        fields[273] = np.array([len(body)], "u4")
        body += stored + bytes(len(stored) % 2)
        place = len(body)
        body = body[:offset_at] + struct.pack("<I", place) + body[offset_at + 4 :]
        page, offset_at = _page(fields, place)
        body += page
    Path(path).write_bytes(body)
    return str(path)


def write_zeros(path, side, block, *, bands=1, dtype="u1", separate=False, tags=()):
    """A square scene of zeros in deflated square blocks, all of which are the same bytes."""
    dtype = np.dtype(dtype)
    planes, depth = (bands, 1) if separate else (1, bands)
    body = b"II*\0" + bytes(4) + _deflated_zeros(block * block * depth * dtype.itemsize)
    body += bytes(len(body) % 2)
    count = (-(-side // block)) ** 2 * planes
    fields = {
        256: [side],
        257: [side],
        258: [dtype.itemsize * 8] * bands,
        259: [8],
        PHOTOMETRIC: [1],
        SAMPLES: [bands],
        284: [2 if separate else 1],
        322: [block],
        323: [block],
        324: np.full(count, 8, "u4"),
        325: np.full(count, len(body) - 8, "u4"),
        EXTRA: [0] * (bands - 1) or [0],
        339: [_FORMATS[dtype.kind]] * bands,
    }
    if bands == 1:
        del fields[EXTRA]
    fields = {tag: _values(value) for tag, value in (fields | UTM | dict(tags)).items()}
    page, _ = _page(fields, len(body))
    Path(path).write_bytes(body[:4] + struct.pack("<I", len(body)) + body[8:] + page)
    return str(path)


def _deflated_zeros(size):
    pack, chunk = zlib.compressobj(1), bytes(1 << 20)
    parts = [pack.compress(chunk[: size - at]) for at in range(0, size, len(chunk))]
    return b"".join([*parts, pack.flush()])


def _page(fields, place):
    """The bytes of a page at a place, and where in the file the place of the next one belongs."""
    entries, more = b"", b""
    start = place + 2 + 12 * len(fields) + 4
    for tag, values in sorted(fields.items()):
        content = values.tobytes()
        entry = struct.pack("<HHI", tag, _KINDS[values.dtype.str[1:]], values.size)
        if len(content) > 4:
            entry += struct.pack("<I", start + len(more))
            more += content + bytes(len(content) % 2)
        else:
            entry += content.ljust(4, b"\0")
        entries += entry
    return struct.pack("<H", len(fields)) + entries + bytes(4) + more, start - 4


def metadata(*items):
    """GDAL's own tag: items (name, value, band from 0 or None, role or None)."""
    text = "".join(
        f'<Item name="{name}"'
        + ("" if band is None else f' sample="{band}"')
        + ("" if role is None else f' role="{role}"')
        + f">{value}</Item>"
        for name, value, band, role in items
    )
    return {METADATA: f"<GDALMetadata>{text}</GDALMetadata>"}


def described(names):
    """The bands' descriptions."""
    return [("DESCRIPTION", name, band, "description") for band, name in enumerate(names)]


def colored(colors):
    """The bands' color interpretations, as GDAL keeps those that no other tag says."""
    return [("COLORINTERP", color, band, "colorinterp") for band, color in enumerate(colors)]


def _described(pixels):
    bands, rows, cols = pixels.shape
    kind = pixels.dtype.kind
    if kind == "b":
        bits, sample_format = 1, 1
        stored = np.packbits(pixels.transpose(1, 2, 0).reshape(rows, -1), axis=1).tobytes()
    else:
        bits, sample_format = pixels.dtype.itemsize * 8, _FORMATS[kind]
        stored = np.ascontiguousarray(pixels.transpose(1, 2, 0)).tobytes()
    fields = {
        256: [cols],
        257: [rows],
        258: [bits] * bands,
        259: [1],
        PHOTOMETRIC: [1],
        SAMPLES: [bands],
        278: [rows],
        279: np.array([len(stored)], "u4"),
        284: [1],
        339: [sample_format] * bands,
    }
    if bands > 1:
        fields[EXTRA] = [0] * (bands - 1)
    return stored, {tag: _values(value) for tag, value in fields.items()}


def _values(value):
    if isinstance(value, str):
        return np.frombuffer(value.encode() + b"\0", "S1")
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, "f8" if isinstance(value[0], float) else "u2")
