"""Breaks text into lines: words, hyphens at line ends, justification."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mineru_pipeline.quality.corpus.fonts import ligate, width
from mineru_pipeline.quality.corpus.hyphens import breaks
from mineru_pipeline.quality.corpus.sheet import Block, Run

#: A gap wider than this many spaces looks worse than a ragged line or a hyphen.
_WIDEST = 3.2
_WORD = re.compile(r"^([^\w]*)(\w+)([^\w]*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """How a text is set."""

    face: str
    size: float
    leading: float
    justify: bool = False
    hyphenate: bool = False
    ligatures: bool = False
    indent: float = 0.0
    #: Where the second and later lines begin, for references and items.
    hang: float = 0.0
    centre: bool = False
    grey: float = 0.0

    def drawn(self, text: str) -> str:
        """Return ``text`` with the glyphs that are really set."""
        return ligate(text) if self.ligatures else text

    def measure(self, text: str) -> float:
        """Return how wide ``text`` comes out."""
        return width(self.drawn(text), self.face, self.size)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its words as drawn, and whether its last word goes on in the next line."""

    words: tuple[str, ...]
    start: float
    hyphenated: bool = False
    last: bool = False


def break_lines(text: str, setting: Setting, measure: float) -> list[Line]:
    """Break ``text`` greedily into lines of at most ``measure`` points."""
    words, found = text.split(" "), list[Line]()
    space = setting.measure(" ")
    while words:
        start = setting.hang if found else setting.indent
        room, taken = measure - start, list[str]()
        used = -space
        while words and used + space + setting.measure(words[0]) <= room:
            used += space + setting.measure(words[0])
            taken.append(words.pop(0))
        hyphenated = False
        if words and (setting.hyphenate or not taken):
            cut = _cut(words[0], setting, room - used - space)
            if cut and not (found and found[-1].hyphenated):
                taken.append(words[0][:cut] + "-")
                words[0] = words[0][cut:]
                hyphenated = True
        if not taken:
            # Wider than the line and without a break: it must stick out, which the faults of the page tell.
            taken.append(words.pop(0))
        found.append(Line(tuple(taken), start, hyphenated, last=not words))
    return found


def _cut(word: str, setting: Setting, room: float) -> int:
    parts = _WORD.match(word)
    if parts is None:
        return 0
    shift = len(parts[1])
    fitting = [at + shift for at in breaks(parts[2]) if setting.measure(word[: at + shift] + "-") <= room]
    return max(fitting, default=0)


def words_of(lines: Sequence[Line]) -> str:
    """Return the text that ``lines`` were broken from."""
    text = ""
    for each in lines:
        joined = " ".join(each.words)
        text += joined[:-1] if each.hyphenated else joined + " "
    return text.strip()


def runs_of(each: Line, setting: Setting, x: float, y: float, measure: float) -> list[Run]:
    """Place the words of a line on the baseline ``y``; justified lines fill the measure."""
    texts = [setting.drawn(word) for word in each.words]
    wide = width(" ".join(texts), setting.face, setting.size)
    room = measure - each.start
    left = x + each.start + ((room - wide) / 2 if setting.centre else 0)
    space = width(" ", setting.face, setting.size)
    extra = (room - wide) / (len(texts) - 1) if len(texts) > 1 else 0.0
    if not setting.justify or each.last or extra > (_WIDEST - 1) * space:
        return [Run(left, y, " ".join(texts), setting.face, setting.size, setting.grey)]
    runs = []
    for place, text in enumerate(texts):
        spaced = text + " " if place < len(texts) - 1 else text
        runs.append(Run(left, y, spaced, setting.face, setting.size, setting.grey))
        left += width(text, setting.face, setting.size) + space + extra
    return runs


def baseline(top: float, setting: Setting) -> float:
    """Return the baseline of a line whose upper edge is at ``top``."""
    return top + (setting.leading - setting.size) / 2 + 0.82 * setting.size


def set_lines(block: Block, lines: Sequence[Line], setting: Setting, x: float, y: float, measure: float) -> float:
    """Draw ``lines`` from the upper edge ``y`` on and return the lower edge."""
    for each in lines:
        block.put(*runs_of(each, setting, x, baseline(y, setting), measure))
        y += setting.leading
    return y
