"""Check the class names that labels and model packages give."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_NAME_LETTERS = 255
"""Maximum length of a name in characters. Longer names do not fit a database index or a map's
legend."""
_CONTROL = {"Cc", "Cs"}
"""Unicode categories of control characters and surrogates, which no name may contain. Databases and
files do not accept all of them."""


def fault_of(classes: Sequence[str]) -> str | None:
    """Return what is wrong with some class names, or None if they are valid.

    Two names that differ in white space or in Unicode normalization only are refused. They look
    the same to a reader, but a comparison of strings treats them as two classes.

    Args:
        classes: Names of the classes.
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
