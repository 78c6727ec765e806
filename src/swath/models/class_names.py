"""Check the class names that labels and model packages give."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_NAME_CHARACTERS = 255
"""Maximum length of a name in characters. Longer names do not fit a database index or a map's
legend."""
_CONTROL_CATEGORIES = {"Cc", "Cs"}
"""Unicode categories of control characters and surrogates, which no name may contain. Databases and
files do not accept all of them."""


def invalid_name_reason(classes: Sequence[str]) -> str | None:
    """Return what is wrong with some class names, or None if they are valid.

    Two names that differ in white space or in Unicode normalization only are refused. They look
    the same to a reader, but a comparison of strings treats them as two classes.

    Args:
        classes: Names of the classes.
    """
    spellings: dict[str, str] = {}
    for name in classes:
        if any(unicodedata.category(letter) in _CONTROL_CATEGORIES for letter in name):
            return f"{name!r}, which contains a control character"
        if len(name) > MAX_NAME_CHARACTERS:
            return (
                f"{name[:40]!r}…, which has {len(name)} characters; the maximum is "
                f"{MAX_NAME_CHARACTERS}"
            )
        normalized = " ".join(unicodedata.normalize("NFC", name).split())
        if not normalized:
            return f"{name!r}, which is empty"
        if spellings.setdefault(normalized, name) != name:
            return f"{spellings[normalized]!r} and {name!r}, which look the same"
    return None
