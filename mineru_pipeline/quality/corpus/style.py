"""How a document looks: paper, margins, faces, sizes. Drawn by lot, so that no two documents are alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.fonts import HELVETICA, SANS, SERIF, TIMES, Family
from mineru_pipeline.quality.corpus.typeset import Setting

A4 = (595.276, 841.89)
LETTER = (612.0, 792.0)
#: Languages whose letters the PDF's own faces have.
WESTERN = frozenset({"en", "de", "fr", "es", "it"})
_HEADING_SIZES = (1.75, 1.3, 1.12, 1.0)


@dataclass(frozen=True, slots=True)
class Style:
    """The look of one document."""

    paper: tuple[float, float]
    body_family: Family
    heading_family: Family
    size: float
    leading: float
    justify: bool
    hyphenate: bool
    ligatures: bool
    #: First lines are indented; otherwise paragraphs are set apart.
    indented: bool
    numbered: bool
    left: float
    right: float
    top: float
    bottom: float

    @property
    def measure(self) -> float:
        """The width between the margins."""
        return self.paper[0] - self.left - self.right

    @property
    def gap(self) -> float:
        """The space between two paragraphs."""
        return 0.0 if self.indented else 0.55 * self.leading

    def body(self, *, first: bool = True) -> Setting:
        """Return the setting of running text; ``first`` ones after a heading are not indented."""
        indent = 1.4 * self.size if self.indented and not first else 0.0
        return Setting(
            self.body_family.roman, self.size, self.leading, self.justify, self.hyphenate, self.ligatures, indent
        )

    def heading(self, level: int) -> Setting:
        """Return the setting of a title (level 1) or of a heading below it."""
        size = self.size * _HEADING_SIZES[min(level, len(_HEADING_SIZES)) - 1]
        return Setting(self.heading_family.bold, size, size * 1.2, centre=level == 1 and self.indented)

    def caption(self) -> Setting:
        """Return the setting below figures and above tables."""
        size = self.size * 0.88
        return Setting(self.body_family.italic, size, size * 1.22)

    def small(self) -> Setting:
        """Return the setting of footnotes."""
        size = self.size * 0.82
        return Setting(self.body_family.roman, size, size * 1.2)

    def plain(self) -> Setting:
        """Return the setting of lines of their own, such as those of an address."""
        return replace(self.body(), justify=False, hyphenate=False)


def draw_style(dice: Dice, languages: Iterable[str], *, columns: int = 1) -> Style:
    """Draw a look that can set ``languages``; narrow columns get smaller letters and hyphens."""
    families = [(SERIF, SERIF), (SERIF, SANS), (SANS, SANS)]
    if WESTERN.issuperset(languages):
        families += [(TIMES, TIMES), (TIMES, HELVETICA)]
    body, heading = dice.pick(families)
    size = dice.fraction(9.0, 10.0) if columns > 1 else dice.fraction(9.8, 11.6)
    size = round(size, 1)
    justify = columns > 1 or dice.chance(0.6)
    return Style(
        paper=dice.pick([A4, A4, A4, LETTER]),
        body_family=body,
        heading_family=heading,
        size=size,
        leading=round(size * dice.fraction(1.2, 1.34), 1),
        justify=justify,
        hyphenate=justify,
        ligatures=body.extended and dice.chance(0.5),
        indented=dice.chance(0.4),
        numbered=dice.chance(0.5),
        left=dice.fraction(52, 80),
        right=dice.fraction(52, 74),
        top=dice.fraction(66, 84),
        bottom=dice.fraction(64, 82),
    )
