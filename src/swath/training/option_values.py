"""Convert values of options from JSON or strings to their types, or refuse them by name."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from swath.errors import InputError


def convert_value(key: str, value: Any, kind: Any) -> Any:
    """Return a value converted to a type.

    Args:
        key: Name of the option.
        value: Value to convert, as JSON has it.
        kind: Type of the option.

    Raises:
        InputError: The value is not of that type. The message has the key, the value and what is
            allowed.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid_value_error(key, value, kind, error) from None


def parse_value(key: str, text: str, kind: Any) -> Any:
    """Return a value of a type from a string.

    The string is read as JSON, as plain text, or, for a list, as comma-separated parts.

    Args:
        key: Name of the option.
        text: String to read.
        kind: Type of the option.

    Raises:
        InputError: As `convert_value` raises it.
    """
    for candidate in _candidates(text, kind):
        try:
            return msgspec.convert(candidate, kind)
        except msgspec.ValidationError as error:
            fault = error
    raise _invalid_value_error(key, text, kind, fault)


def parse_string_list(key: str, text: str) -> tuple[str, ...]:
    """Return a list of strings from a string, which is JSON or comma-separated.

    Args:
        key: Name of the option.
        text: String to read.

    Raises:
        InputError: The string is JSON, but not a list of strings.
    """
    strings: tuple[str, ...] = parse_value(key, text, tuple[str, ...])
    return strings


def _candidates(text: str, kind: Any) -> list[Any]:
    """Return the possible values of a string, most likely first; errors are about the last one."""
    whole = _parse_json_or_text(text)
    if "tuple" not in str(kind):
        return [whole, text, whole]
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    read = [_parse_json_or_text(part) for part in parts]
    return [whole, text, parts, read, read if isinstance(whole, str) and len(parts) > 1 else whole]


def _parse_json_or_text(text: str) -> Any:
    """Return the JSON value of a text, or the text itself; infinity and NaN remain strings."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def _invalid_value_error(
    key: str, value: Any, kind: Any, error: msgspec.ValidationError
) -> InputError:
    """Return the error for a value, with the allowed choices, which msgspec does not list."""
    fault = str(error).replace("`", "")
    names = [str(one) for one in _literal_choices(kind)]
    choices = f"; choose one of {', '.join(names)}" if names else ""
    return InputError(f"{key} is {value!r}: {fault[:1].lower()}{fault[1:]}{choices}")


def _literal_choices(kind: Any) -> list[Any]:
    if getattr(kind, "__origin__", None) is Literal:
        return list(kind.__args__)
    return [one for part in getattr(kind, "__args__", ()) for one in _literal_choices(part)]
