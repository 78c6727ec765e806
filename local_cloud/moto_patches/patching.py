"""Patch attributes of moto by name, and raise an error if a new version of moto lacks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local_cloud.errors import MotoChangedError

_MISSING = object()


@dataclass
class Patcher:
    """Patcher that replaces attributes of moto's modules and classes, and can restore them."""

    _undo: list[tuple[Any, str, Any]] = field(default_factory=list)

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute with `value`; return the original.

        Raises:
            MotoChangedError: There is no such attribute.
        """
        original = vars(owner).get(name, _MISSING)
        if original is _MISSING:
            raise MotoChangedError(f"moto's {_name(owner)} no longer has {name}")
        self._set(owner, name, value, original)
        return getattr(original, "__func__", original)

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Add an attribute that moto lacks.

        Raises:
            MotoChangedError: Moto has such an attribute now, which the new one would replace.
        """
        if name in vars(owner):
            raise MotoChangedError(f"moto's {_name(owner)} now has its own {name}")
        self._set(owner, name, value, _MISSING)

    def undo(self) -> None:
        """Restore moto's original attributes."""
        while self._undo:
            owner, name, original = self._undo.pop()
            if original is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    def _set(self, owner: Any, name: str, value: Any, original: Any) -> None:
        self._undo.append((owner, name, original))
        setattr(owner, name, value)


@contextmanager
def patched(*patches: Callable[[Patcher], None]) -> Iterator[None]:
    """Apply some patches to moto for the duration of the block."""
    patcher = Patcher()
    try:
        for patch in patches:
            patch(patcher)
        yield
    finally:
        patcher.undo()


def _name(owner: Any) -> str:
    module = getattr(owner, "__module__", "")
    return f"{module}.{owner.__name__}" if module else str(owner.__name__)
