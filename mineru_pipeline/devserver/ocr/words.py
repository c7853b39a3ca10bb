"""Splits a line that was read into words with boxes of their own."""

from __future__ import annotations

from dataclasses import dataclass

from mineru_pipeline.devserver.ocr.boxes import Box
from mineru_pipeline.devserver.ocr.reader import TextLine


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its box in pixels of the picture; left and right edges are estimated from character centres."""

    text: str
    box: Box


def words_of(line: TextLine) -> list[Word]:
    """The words of a line, split at its spaces, left to right."""
    characters = list(zip(line.reading.text, line.reading.centres, strict=True))
    found: list[Word] = []
    current: list[tuple[str, float]] = []
    for character, centre in [*characters, (" ", 1.0)]:
        if not character.isspace():
            current.append((character, centre))
        elif current:
            found.append(_word(current, line.box))
            current = []
    return found


def _word(characters: list[tuple[str, float]], line: Box) -> Word:
    first, last = characters[0][1], characters[-1][1]
    half = (last - first) / (2 * (len(characters) - 1)) if len(characters) > 1 else 0.25 * line.height / line.width
    left = line.x0 + max(0.0, first - half) * line.width
    right = line.x0 + min(1.0, last + half) * line.width
    return Word("".join(character for character, _ in characters), Box(left, line.y0, right, line.y1))
