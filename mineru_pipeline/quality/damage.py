"""Known damage to a parse, to prove that the scores see it: each kind with a rate and a seed.

:func:`faithful` writes the parse that says exactly what the truth says; the functions of :data:`DAMAGES` spoil
a content list. ``rate`` is a probability 0-1 for each thing that can be damaged, decided by one random number
a thing, so that a higher rate damages the same things and more, with the same seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from random import Random
from typing import Any, Final

from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

Entry = dict[str, Any]
Damage = Callable[[Sequence[Mapping[str, Any]], float, Random], list[Entry]]

_ROW = re.compile(r"(?is)<tr\b.*?</tr>")
_CELLS = re.compile(r"(?is)<td>([^<>]*)</td>\s*<td>([^<>]*)</td>")
_MARGINS: Final = frozenset({"header", "footer", "page_number"})
_MIDDLE: Final = 500


def faithful(truth: DocumentTruth) -> list[Entry]:
    """The content list of a parse without any fault."""
    return [_entry(block) for block in truth.blocks]


def _entry(block: TruthBlock) -> Entry:
    place = {"bbox": list(block.bbox or (0, 0, 1000, 1000)), "page_idx": block.page}
    if block.kind is TruthKind.TABLE:
        return {"type": "table", "table_body": block.content, "img_path": "", **place}
    if block.kind is TruthKind.EQUATION:
        return {"type": "equation", "text": f"$$\n{block.content}\n$$", "text_format": "latex", **place}
    if block.kind is TruthKind.LIST:
        return {"type": "list", "sub_type": "text", "list_items": block.content.split("\n"), **place}
    if block.kind is TruthKind.CODE:
        return {"type": "code", "sub_type": "code", "code_body": f"```txt\n{block.content}\n```", **place}
    if block.kind is TruthKind.TITLE:
        return {"type": "text", "text": block.content, "text_level": block.level or 1, **place}
    kept = {*_MARGINS, "page_footnote"}
    return {"type": block.kind.value if block.kind in kept else "text", "text": block.content, **place}


def damaged(entries: Sequence[Mapping[str, Any]], name: str, rate: float, seed: int) -> list[Entry]:
    """A copy of ``entries`` with one kind of damage; the same arguments give the same copy."""
    return DAMAGES[name](deepcopy(list(entries)), rate, Random(f"{name} {seed}"))  # noqa: S311 - repeatable on purpose


def swap_columns(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """On a page, what stands in the right half of the page comes before what stands in the left half."""
    result: list[Entry] = []
    for page in _pages(entries):
        body, margins = _split(page)
        hit = dice.random() < rate
        left = [entry for entry in body if entry["bbox"][2] <= _MIDDLE]
        right = [entry for entry in body if entry["bbox"][0] >= _MIDDLE]
        if hit and left and right:
            first = next(n for n, entry in enumerate(body) if entry in left or entry in right)
            others = [entry for entry in body if entry not in left and entry not in right]
            body = [*others[:first], *right, *left, *others[first:]]
        result += body + margins
    return result


def drop_rows(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Rows of tables are lost."""
    return _on_tables(entries, lambda table: _ROW.sub(lambda row: "" if dice.random() < rate else row[0], table))


def merge_cells(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Two neighbouring cells become one that spans both columns."""

    def merged(cells: re.Match[str]) -> str:
        return f'<td colspan="2">{cells[1]} {cells[2]}</td>' if dice.random() < rate else cells[0]

    return _on_tables(entries, lambda table: _CELLS.sub(merged, table))


def blank_pages(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Pages of which nothing was read."""
    return [entry for page in _pages(entries) if dice.random() >= rate for entry in page]


def replace_digits(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Digits become other digits, in running text and tables."""

    def other(digit: re.Match[str]) -> str:
        hit, by = dice.random() < rate, dice.randint(1, 9)
        return str((int(digit[0]) + by) % 10) if hit else digit[0]

    # Not those in tags (spans), entities and formulas.
    pattern = re.compile(r"<[^<>]*>|&[^;\s]{1,9};|([0-9])")
    return _on_texts(
        entries, lambda text: pattern.sub(lambda found: other(found) if found[1] else found[0], text), formulas=False
    )


def drop_words(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Words of running text are lost; those of tables, formulas and margins stay."""

    def thinned(text: str) -> str:
        return re.sub(r"\S+", lambda word: "" if dice.random() < rate else word[0], text)

    return _on_texts(entries, thinned, tables=False, formulas=False)


def repeat_paragraphs(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Paragraphs come three times, as from a model in a loop."""
    result: list[Entry] = []
    for entry in entries:
        hit = dice.random() < rate and entry["type"] == "text" and "text_level" not in entry
        result += [deepcopy(dict(entry)) for _ in range(3 if hit else 1)]
    return result


def lose_headings(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Headings become plain text."""
    hits = [(entry, dice.random() < rate) for entry in entries]
    return [{name: value for name, value in entry.items() if name != "text_level" or not hit} for entry, hit in hits]


def leak_margins(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Headers, footers and page numbers become paragraphs."""
    hits = [(entry, dice.random() < rate) for entry in entries]
    return [{**entry, "type": "text"} if hit and entry["type"] in _MARGINS else dict(entry) for entry, hit in hits]


def shuffle_blocks(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Blocks of a page change places with others."""
    result: list[Entry] = []
    for page in _pages(entries):
        body, margins = _split(page)
        chosen = [n for n in range(len(body)) if dice.random() < rate]
        places = chosen[:]
        dice.shuffle(places)
        moved = dict(zip(chosen, (body[place] for place in places), strict=True))
        result += [moved.get(n, entry) for n, entry in enumerate(body)] + margins
    return result


def mangle_latex(entries: Sequence[Mapping[str, Any]], rate: float, dice: Random) -> list[Entry]:
    """Tokens of equations are lost."""

    def mangled(text: str) -> str:
        return re.sub(r"\\[A-Za-z]+|[A-Za-z0-9]", lambda token: "" if dice.random() < rate else token[0], text)

    return [
        {**entry, "text": mangled(entry["text"])} if entry["type"] == "equation" else dict(entry) for entry in entries
    ]


DAMAGES: Final[Mapping[str, Damage]] = {
    function.__name__: function
    for function in (
        blank_pages,
        drop_rows,
        drop_words,
        leak_margins,
        lose_headings,
        mangle_latex,
        merge_cells,
        repeat_paragraphs,
        replace_digits,
        shuffle_blocks,
        swap_columns,
    )
}


def _pages(entries: Sequence[Mapping[str, Any]]) -> Iterator[list[Entry]]:
    for page in sorted({entry["page_idx"] for entry in entries}):
        yield [dict(entry) for entry in entries if entry["page_idx"] == page]


def _split(page: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    margins = [entry for entry in page if entry["type"] in _MARGINS]
    return [entry for entry in page if entry["type"] not in _MARGINS], margins


def _on_tables(entries: Sequence[Mapping[str, Any]], change: Callable[[str], str]) -> list[Entry]:
    return [
        {**entry, "table_body": change(entry["table_body"])} if entry["type"] == "table" else dict(entry)
        for entry in entries
    ]


def _on_texts(
    entries: Sequence[Mapping[str, Any]], change: Callable[[str], str], *, tables: bool = True, formulas: bool = True
) -> list[Entry]:
    changed = _on_tables(entries, change) if tables else [dict(entry) for entry in entries]
    for entry in changed:
        if entry["type"] in _MARGINS or (entry["type"] == "equation" and not formulas):
            continue
        for name in ("text", "code_body"):
            if name in entry:
                entry[name] = change(entry[name])
        for name in ("list_items", "table_caption", "image_caption"):
            if name in entry:
                entry[name] = [change(item) for item in entry[name]]
    return changed
