"""The words of a page's own text layer, packed from rendering until somebody needs them.

Nearly always that is assembly, once. Finding them again would take PDFium several milliseconds a page,
and unpacked they take a hundred times as much memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from isal import isal_zlib
from isal.igzip_lib import IsalError

#: What the words of one page may unpack to, in bytes; the densest page has a hundredth of it.
_MOST_BYTES = 64 << 20


class Word(NamedTuple):
    """One word of a PDF's own text layer; the box is in fractions of the displayed page, y down."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class TextLayer:
    """All words of a page, in the order of its content."""

    #: How many there are.
    count: int = 0
    packed: bytes = b""

    @classmethod
    def of(cls, words: Sequence[Sequence[Any]]) -> TextLayer:
        """Pack ``words``: each a text and the four numbers of its box."""
        plain = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        return cls(len(words), isal_zlib.compress(plain, 1)) if words else cls()

    def words(self) -> tuple[Word, ...]:
        """Unpack the words.

        Raises:
            ValueError: the packed data are damaged.
        """
        if not self.count:
            return ()
        inflating = isal_zlib.decompressobj()
        try:
            plain: bytes = inflating.decompress(self.packed, _MOST_BYTES)
            words = json.loads(plain.decode("utf-8", "surrogatepass"))
            return tuple(Word(str(text), float(x0), float(y0), float(x1), float(y1)) for text, x0, y0, x1, y1 in words)
        except (IsalError, TypeError, RecursionError) as error:  # type: ignore[misc] # its stubs declare an instance
            raise ValueError(f"packed words are damaged: {error}") from error
