"""Pixels of a page that waits for its layout: packed, and unpacked into memory that is used again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from mineru_pipeline.parsing.pictures import COLOUR_CHANNELS, Pixels, pack, unpack


@dataclass(frozen=True, slots=True)
class PackedPixels:
    """A picture that takes little memory; ``channels`` is 1 where all colours are grey, else 3 (RGB)."""

    width: int
    height: int
    channels: int
    #: See :func:`pack`: ``height * width * channels`` bytes, rows from the top.
    packed: bytes

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or self.channels not in {1, COLOUR_CHANNELS}:
            raise ValueError(f"no picture has {self.width} x {self.height} pixels of {self.channels} channels")

    @classmethod
    def of(cls, pixels: Pixels) -> PackedPixels:
        """Pack contiguous ``pixels``."""
        height, width = pixels.shape[:2]
        return cls(width, height, COLOUR_CHANNELS if pixels.ndim == COLOUR_CHANNELS else 1, pack(pixels))

    @property
    def unpacked_size(self) -> int:
        """Bytes of the pixels themselves."""
        return self.width * self.height * self.channels

    @contextmanager
    def unpacked(self) -> Iterator[Pixels]:
        """Lend the pixels, in memory that somebody else uses afterwards.

        Raises:
            ValueError: the packed data are damaged, or not as long as announced.
        """
        with _SCRATCH.lent(self.unpacked_size) as memory:
            unpack(self.packed, memory)
            shape = (self.height, self.width, self.channels)
            yield np.frombuffer(memory, np.uint8).reshape(shape[: 2 if self.channels == 1 else 3])


class Scratch:
    """Large buffers that are lent again and again, one for each of the threads that are allowed at once.

    Memory that is fresh from the system has to be mapped and cleared page by page, which costs more
    than what is done in it here.
    """

    #: A buffer larger than an A3 page in colour is an exception, and not kept.
    _KEPT_BYTES: Final = 24 << 20

    def __init__(self, buffers: int) -> None:
        self._slots = threading.BoundedSemaphore(buffers)
        self._free: list[bytearray] = []

    @contextmanager
    def lent(self, size: int) -> Iterator[memoryview]:
        """Lend ``size`` bytes with anything in them; waits for another borrower where too many are lent."""
        with self._slots:
            buffer = self._free.pop() if self._free else bytearray()
            if len(buffer) < size:
                buffer = bytearray(size)
            yield memoryview(buffer)[:size]
            if len(buffer) <= self._KEPT_BYTES:
                self._free.append(buffer)


_SCRATCH = Scratch(buffers=2)
