"""Randomness that is the same on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Dice:
    """A stream of numbers that depends on its key alone.

    SplitMix64 (Steele, Lea, Flood 2014). The standard library promises the same floats for the same seed
    across versions, but not the same choices and shuffles.
    """

    def __init__(self, *key: object) -> None:
        text = "/".join(str(part) for part in key)
        self._key = key
        self._state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def fork(self, *key: object) -> Dice:
        """Return dice of their own for a part, so that a change in one part leaves the others alone."""
        return Dice(*self._key, *key)

    def bits(self) -> int:
        """Return 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        value = self._state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def integer(self, low: int, high: int) -> int:
        """Return a number from ``low`` to ``high``, both included."""
        return low + self.bits() % (high - low + 1)

    def fraction(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number from ``low`` up to ``high``."""
        return low + (self.bits() >> 11) / (1 << 53) * (high - low)

    def chance(self, share: float) -> bool:
        """Say yes in ``share`` of all cases."""
        return self.fraction() < share

    def pick(self, values: Sequence[T]) -> T:
        """Return one of ``values``."""
        return values[self.integer(0, len(values) - 1)]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """Return up to ``count`` different ones of ``values`` in random order."""
        left = list(values)
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(min(count, len(left)))]
