"""Text from strangers, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with control, format and bidirectional characters escaped.

    File names are chosen by whoever sends the files, and a terminal obeys escape sequences.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
