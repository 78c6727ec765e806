"""Values of options, from JSON or from strings: each of its type, or refused by name."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from swath.errors import InputError


def typed(key: str, value: Any, kind: Any) -> Any:
    """A value of a type.

    Raises:
        InputError: it is not of that type; the message has the key, the value and what is allowed.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refusal(key, value, kind, error) from None


def parsed(key: str, text: str, kind: Any) -> Any:
    """A value from a string: JSON where it is that, else the text itself, or a list of its parts.

    Raises:
        InputError: as `typed` raises it.
    """
    for candidate in _readings(text, kind):
        try:
            return msgspec.convert(candidate, kind)
        except msgspec.ValidationError as error:
            fault = error
    raise _refusal(key, text, kind, fault)


def string_list(key: str, text: str) -> tuple[str, ...]:
    """A list of strings from a string: JSON, or parts between commas.

    Raises:
        InputError: it is JSON, and another thing.
    """
    found: tuple[str, ...] = parsed(key, text, tuple[str, ...])
    return found


def _readings(text: str, kind: Any) -> list[Any]:
    """What a string may mean, the likelier first; the last one's fault is told."""
    whole = _json(text)
    if "tuple" not in str(kind):
        return [whole, text, whole]
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    read = [_json(part) for part in parts]
    return [whole, text, parts, read, read if isinstance(whole, str) and len(parts) > 1 else whole]


def _json(text: str) -> Any:
    """What JSON makes of a text, or the text itself; no option is infinite or NaN."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def _refusal(key: str, value: Any, kind: Any, error: msgspec.ValidationError) -> InputError:
    """The fault in words, with the choices where there are a few: msgspec does not list them."""
    fault = str(error).replace("`", "")
    names = [str(one) for one in _literals(kind)]
    choices = f"; choose one of {', '.join(names)}" if names else ""
    return InputError(f"{key} is {value!r}: {fault[:1].lower()}{fault[1:]}{choices}")


def _literals(kind: Any) -> list[Any]:
    if getattr(kind, "__origin__", None) is Literal:
        return list(kind.__args__)
    return [one for part in getattr(kind, "__args__", ()) for one in _literals(part)]
