"""Format numbers with units for people: bytes, times, dollars and ranges of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.pipeline.forecast.estimates import Range

_MINUTE, _DAY = 60, 86400
_DECIMAL = 1000
UNKNOWN = "?"
"""Text of a quantity that is not known."""


def format_bytes(count: float) -> str:
    """Return a number of bytes with a decimal unit and three digits, such as `412 MB`."""
    units = ("B", "kB", "MB", "GB", "TB")
    index = 0
    while index < len(units) - 1 and float(f"{count:.3g}") >= _DECIMAL:
        count, index = count / _DECIMAL, index + 1
    text = f"{count:,.0f}" if count >= 100 or not index else f"{count:.3g}"  # noqa: PLR2004 (digits)
    return f"{text} {units[index]}"


def format_count(count: int, noun: str) -> str:
    """Return a number with a noun, such as `1 tile` and `3,025 tiles`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """Return a time with two units at most, such as `2 min 5 s`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"  # noqa: PLR2004 (digits)
    minutes, rest = divmod(whole, _MINUTE)
    if whole < 10 * _MINUTE:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min"
    if seconds < _DAY:
        hours, rest = divmod(minutes, _MINUTE)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{seconds / _DAY:.1f} days"


def format_dollars(dollars: float) -> str:
    """Return an amount of US dollars, with two significant digits below one cent."""
    if dollars == 0:
        return "$0"
    if dollars < 0.0001:  # noqa: PLR2004 (smallest amount that is shown)
        return "below $0.0001"
    return f"${dollars:,.2f}" if dollars >= 0.1 else f"${dollars:.2g}"  # noqa: PLR2004 (digits)


def format_seconds_range(seconds: Range | None) -> str:
    """Return a range of times; a question mark if it is unknown."""
    return UNKNOWN if seconds is None else _join(*map(format_seconds, _ends(seconds)))


def format_dollar_range(dollars: Range | None) -> str:
    """Return a range of amounts; a question mark if it is unknown."""
    return UNKNOWN if dollars is None else _join(*map(format_dollars, _ends(dollars)))


def _ends(bounds: Range) -> tuple[float, float]:
    return bounds.low, bounds.high


def _join(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
