"""A made-up document with every kind of block, two columns a page, for the tests of scores and gates."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

_WORDS = tuple(
    "anchor barley candle desert engine forest garden harbour island journey kettle ladder market needle orchard "  # noqa: SIM905 - a list of quoted words is harder to read
    "pepper quarry river saddle timber umbrella valley window yellow zenith amber bridge copper dragon feather".split()
)


Box = tuple[int, int, int, int]


def _sentence(dice: Random, length: int) -> str:
    words = [dice.choice(_WORDS) for _ in range(length)]
    return f"{' '.join(words).capitalize()} in {dice.randint(1800, 2020)}, or {dice.randint(10, 999) / 10} of them."


def example_truth(pages: int = 4, seed: int = 1, name: str = "example", stratum: str = "two columns") -> DocumentTruth:
    """Pages with a title, two columns of three paragraphs, a list, a table, an equation, code, a form and margins."""
    dice = Random(f"{name} {seed}")
    blocks: list[TruthBlock] = []
    for page in range(pages):
        for kind, content, box in _page(page, dice):
            level = (2 if page else 1) if kind is TruthKind.TITLE else None
            blocks.append(TruthBlock(f"b{len(blocks)}", kind, page, content, level, box))
    return DocumentTruth(name, stratum, ("en",), pages, tuple(blocks))


def _page(page: int, dice: Random) -> Iterator[tuple[TruthKind, str, Box]]:
    yield TruthKind.TITLE, f"Chapter {page} {_sentence(dice, 4)[:-1]}", (100, 40, 900, 80)
    for left in (100, 520):
        for part in range(3):
            yield TruthKind.TEXT, _sentence(dice, 30), (left, 100 + 100 * part, left + 380, 190 + 100 * part)
    yield TruthKind.LIST, "\n".join(_sentence(dice, 6) for _ in range(3)), (100, 410, 900, 480)
    yield TruthKind.TABLE, _table(dice), (100, 500, 900, 700)
    yield TruthKind.CAPTION, f"Table {page}. {_sentence(dice, 5)}", (100, 700, 900, 720)
    name = "abcdefghkmnopqrst"[page]
    formula = rf"{name}(x) = \sum_{{i=0}}^{{{page}}} {name}_i^2 x_i + \frac{{{name} x}}{{{name} y}} + {name} z"
    yield TruthKind.EQUATION, formula, (100, 730, 900, 780)
    yield TruthKind.CODE, f"for {name} in range({page}):\n    print({name})", (100, 790, 900, 830)
    yield TruthKind.FORM, f"Name: {dice.choice(_WORDS)}\nBorn: {dice.randint(1900, 2000)}", (100, 840, 900, 880)
    yield TruthKind.HEADER, "Yearbook of the harbour office at Saddle Bay", (100, 10, 900, 30)
    yield TruthKind.PAGE_NUMBER, f"- {page + 101} -", (480, 960, 520, 980)


def _table(dice: Random) -> str:
    rows = ("".join(f"<td>{dice.choice(_WORDS)} {dice.randint(100, 9999)}</td>" for _ in range(4)) for _ in range(8))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
