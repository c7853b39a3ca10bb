"""Scans and turned pages."""

from __future__ import annotations

from mineru_pipeline.quality.corpus.draft import Draft
from mineru_pipeline.quality.corpus.scanning import draw_wear, scan_page
from mineru_pipeline.quality.corpus.strata.parts import (
    add_pages,
    caption_of,
    fill,
    items,
    page_number,
    paragraph,
    small_table,
)

#: One for each document of the stratum in turn; the first ones are what a sample sees.
_TURNED = (False, True, False)
_KINDS = ("skew", "fax", "noise", "pale", "skew", "fax")


def scans(draft: Draft, index: int) -> None:
    """Two pages of a letter with a table or a list, as a scanner or a fax gives them."""
    add_pages(draft, 2)
    _letter(draft)
    kind = _KINDS[index % len(_KINDS)]
    draft.pages = [
        scan_page(page, draw_wear(draft.dice, kind), draft.dice.fork("wear", place))
        for place, page in enumerate(draft.pages)
    ]


def _letter(draft: Draft) -> None:
    prose = draft.prose
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    plain = draft.style.plain()
    flow.whole(f"{prose.value('person')}, {prose.value('place')}", plain)
    flow.skip(plain.leading)
    flow.whole(f"{prose.value('place')}, {prose.value('date')}", plain)
    flow.skip(plain.leading)
    flow.heading(f"{prose.word('subject')}: {prose.title()}", 1)
    flow.text(f"{prose.word('letter')},")
    paragraph(draft, flow, first=True)
    flow.table(small_table(draft, draft.dice.integer(5, 8)), caption_of(draft, "table", 1))
    fill(draft, flow, spare=flow.frames[-1].height * 0.55)
    flow.items(items(draft, 4, ordered=draft.dice.chance(0.5)))
    flow.text(f"{prose.word('regards')}")
    flow.skip(2 * plain.leading)
    flow.whole(prose.value("person"), plain)


def rotated(draft: Draft, index: int) -> None:
    """Turned by ``/Rotate`` in the first documents, laid sideways into the scanner in the last."""
    sideways = _TURNED[index % len(_TURNED)]
    prose, style = draft.prose, draft.style
    wide, tall = style.paper
    landscape = draft.dice.chance(0.5)
    shape = draft.dice.integer(0, 3)
    turns = draft.dice.some([90, 180, 270], 2)
    for place in (1, 2):
        size = (tall, wide) if landscape else (wide, tall)
        page = draft.page(size, rotation=0 if sideways else turns[place - 1])
        draft.margins(page, header=prose.value("ref"), number=page_number(draft, shape, place, 2))
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(prose.title(), 1)
    paragraph(draft, flow, first=True)
    rows = draft.dice.integer(4, 6)
    flow.table(small_table(draft, rows), caption_of(draft, "table", 1))
    fill(draft, flow, spare=flow.frames[-1].height * 0.1)
    if sideways:
        draft.pages = [
            scan_page(page, draw_wear(draft.dice, "sideways"), draft.dice.fork("wear", place))
            for place, page in enumerate(draft.pages)
        ]
