"""Ways to damage an input: bytes anywhere, numbers of a binary header, values of JSON."""

import copy
import json
import random
import struct
from collections.abc import Callable

Damage = Callable[[bytes, random.Random], bytes]

_HEADER = 2048
"""Bytes at each end of a file, where headers are: half of all changes are there."""
_SPANS = {"flips": 8, "zeros": 256, "noise": 64}
_NUMBERS = (0, 1, 2, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 65536, 1 << 30)
_HOSTILE = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 2**31, 2**63, 2**64, 10**400),
    *("", "\0", "x", "\n", "\ud800", "é", "../../etc/passwd", "NaN", "1", "y" * 100_000),
    *([], {}, [[]], [None], {"a": {}}, [0] * 10_000, float("nan"), float("inf")),
)


def unchanged(content: bytes, _: random.Random) -> bytes:
    """Leave a file as it is."""
    return content


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut a file, or change some of its bytes, one to three times."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if changed:
            _damage_once(changed, rng)
    return bytes(changed)


def _damage_once(changed: bytearray, rng: random.Random) -> None:
    at = _place(len(changed), rng)
    match rng.choice(["cut", "flip", "flips", "zeros", "noise", "number", "insert", "move"]):
        case "cut":
            del changed[at:]
        case "flip":
            changed[at] ^= 1 << rng.randrange(8)
        case "flips":
            for place in range(at, min(len(changed), at + _SPANS["flips"])):
                changed[place] ^= rng.randrange(1, 256)
        case "zeros":
            end = min(len(changed), at + _SPANS["zeros"])
            changed[at:end] = bytes(end - at)
        case "noise":
            end = min(len(changed), at + _SPANS["noise"])
            changed[at:end] = rng.randbytes(end - at)
        case "number":
            form = rng.choice(["<H", "<I", "<Q", ">H", ">I"])
            at -= at % 2
            number = struct.pack(form, rng.choice(_NUMBERS) % (1 << 8 * struct.calcsize(form)))
            changed[at : at + len(number)] = number
        case "insert":
            changed[at:at] = rng.randbytes(rng.randrange(1, 64))
        case "move":
            source = _place(len(changed), rng)
            part = changed[source : source + rng.randrange(1, 256)]
            changed[at : at + len(part)] = part


def _place(length: int, rng: random.Random) -> int:
    if length > 2 * _HEADER and rng.random() < 0.5:
        near = rng.randrange(_HEADER)
        return near if rng.random() < 0.7 else length - 1 - near
    return rng.randrange(length)


def damage_json(text: bytes, rng: random.Random) -> bytes:
    """Change, drop, rename or double values anywhere in JSON; or nest it; or damage its bytes."""
    how = rng.choice(["value"] * 8 + ["drop"] * 3 + ["rename", "double", "deep", "bytes", "bom"])
    if how == "bytes":
        return damage_bytes(text, rng)
    if how == "bom":
        return b"\xef\xbb\xbf" + text
    data = copy.deepcopy(json.loads(text))
    for _ in range(rng.choice([1, 1, 2])):
        parent, key = _pick(data, rng)
        if parent is None:
            break
        match how:
            case "value":
                parent[key] = copy.deepcopy(rng.choice(_HOSTILE))
            case "drop":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[rng.choice(["x", "", "é", "\0", key.upper()])] = parent.pop(key)
            case "double" if isinstance(parent, list):
                parent.extend([parent[key]] * rng.choice([1, 2, 1000]))
            case "deep":
                deep = "[" * 20_000 + "]" * 20_000
                parent[key] = "@deep@"
                return json.dumps(data).replace('"@deep@"', deep).encode()
    # Surrogates and NaN as a careless program writes them.
    return json.dumps(data, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def _pick(data, rng):
    """A container anywhere within data, and a key of it; None where there is none."""
    places = list(_places(data))
    return rng.choice(places) if places else (None, None)


def _places(data):
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    if isinstance(data, dict | list):
        for key, value in list(pairs):
            yield data, key
            if isinstance(value, dict | list):
                yield from _places(value)


def damage_text(content: bytes, rng: random.Random) -> bytes:
    """Damage the bytes of a text, or exchange, drop or double its lines."""
    if rng.random() < 0.5:
        return damage_bytes(content, rng)
    lines = content.splitlines(keepends=True)
    line = rng.randrange(len(lines))
    match rng.choice(["drop", "double", "cut", "quote"]):
        case "drop":
            del lines[line]
        case "double":
            lines[line:line] = [lines[line]] * rng.choice([1, 1000])
        case "cut":
            lines[line] = lines[line][: rng.randrange(len(lines[line]) + 1)]
        case "quote":
            lines[line] = lines[line].replace(b",", rng.choice([b'"', b",,", b"\0", b";"]))
    return b"".join(lines)
