"""Names of classes, as labels and model packages may give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_NAME_LETTERS = 255
"""Letters of one name: more fit into no index of a database and into no map's legend."""
_CONTROL = {"Cc", "Cs"}
"""Control characters and halves of surrogate pairs: no database and no file takes all of them."""


def fault_of(classes: Sequence[str]) -> str | None:
    """Say what is wrong with names of classes; None where nothing is.

    Two names that look alike are one class to whoever wrote them, and two to whoever compares them.
    """
    seen: dict[str, str] = {}
    for name in classes:
        if any(unicodedata.category(letter) in _CONTROL for letter in name):
            return f"{name!r}, which holds a control character"
        if len(name) > MAX_NAME_LETTERS:
            return f"{name[:40]!r}…, which has {len(name)} letters; it may have {MAX_NAME_LETTERS}"
        plain = " ".join(unicodedata.normalize("NFC", name).split())
        if not plain:
            return f"{name!r}, which has no letter"
        if seen.setdefault(plain, name) != name:
            return f"{seen[plain]!r} and {name!r}, which differ in nothing that can be seen"
    return None
