"""One page of a document for the report: its picture, its truth and its parse, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from mineru_pipeline.errors import ScoringInputError
from mineru_pipeline.quality.report import marks
from mineru_pipeline.quality.report.marks import Text
from mineru_pipeline.quality.report.model import Compared
from mineru_pipeline.quality.report.ranking import RankedPage, Trace, traces
from mineru_pipeline.quality.scores.model import Family
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind, read_content_list
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

#: Blocks of one side of a page that are shown.
MAX_BLOCKS: Final = 150
_LITERAL: Final = frozenset({TruthKind.CODE, TruthKind.EQUATION, TruthKind.FORM, ParsedKind.EQUATION})
_NO_STYLE: Final = ""
#: Entries that are named of one block.
_NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class TruthView:
    """A block of the truth as the template shows it; ``links`` are the ids of what lights up with it."""

    number: int
    trace: Trace
    #: Its kind, with the level of a heading.
    kind: str
    body: Markup
    style: str
    #: Where it stands in the parse, in words.
    where: str
    links: str


@dataclass(frozen=True, slots=True)
class ParseView:
    """An entry of the parse as the template shows it."""

    entry: int
    kind: str
    body: Markup
    #: Whether it stands for nothing in the truth, and what else is to be said of it.
    invented: bool
    remark: str
    link: str


@dataclass(frozen=True, slots=True)
class FigureView:
    """The score of a family on this page, before and after."""

    family: Family
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class SheetView:
    """One page as the template shows it."""

    anchor: str
    ranked: RankedPage
    number: int
    catastrophe: str | None
    figures: tuple[FigureView, ...]
    truth: tuple[TruthView, ...]
    parse: tuple[ParseView, ...]
    #: What could not be shown, in words.
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Page:
    """What is known of a page while its view is made."""

    anchor: str
    words: dict[int, list[ParsedBlock]]
    #: Of each entry: its words that stand in the truth, and the content of the tables of the truth that it holds.
    used: dict[int, list[set[int]]] = field(default_factory=dict)
    tables: dict[int, list[TruthBlock]] = field(default_factory=dict)

    def use(self, entry: int, found: Sequence[set[int]]) -> None:
        """Note which words of each part of an entry stand in the truth."""
        known = self.used.setdefault(entry, [set() for _ in found])
        self.used[entry] = [before | more for before, more in zip(known, found, strict=True)]


def anchor_of(name: str, page: int) -> str:
    """The id of a page in the report; names of documents are ours, but nothing relies on it."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)
    return f"page-{safe}-{page + 1}"


def sheet_view(ranked: RankedPage, compared: Compared) -> SheetView:
    """What the report shows of a page."""
    pair, number = ranked.pair, ranked.page
    known, notes = compared.truths.get(pair.name), []
    if known is None:
        notes.append("The truth of this document was not given to the report.")
    contents = {block.id: block for block in known.blocks} if known else {}
    words, problem = _parse_of(compared, pair.name)
    notes += [problem] if problem else []
    page = _Page(anchor_of(pair.name, number), words)
    here = [trace for trace in traces(pair) if trace.block.page == number]
    there = [entry for entry, blocks in words.items() if blocks[0].page == number]
    notes += [
        f"{count - MAX_BLOCKS} more blocks of the {side} are left out."
        for side, count in (("truth", len(here)), ("parse", len(there)))
        if count > MAX_BLOCKS
    ]
    truth = tuple(
        _truth(place, trace, contents.get(trace.block.id), page) for place, trace in enumerate(here[:MAX_BLOCKS], 1)
    )
    claimed = {entry for block in pair.after.blocks for entry in block.entries}
    invented = set(pair.after.invented)
    parse = tuple(
        _entry(entry, page, invented=entry in invented, claimed=entry in claimed) for entry in there[:MAX_BLOCKS]
    )
    after = next(score for score in pair.after.pages if score.page == number)
    return SheetView(
        page.anchor,
        ranked,
        number + 1,
        after.catastrophe,
        tuple(_figures(ranked)),
        truth,
        parse,
        tuple(notes),
    )


def _parse_of(compared: Compared, name: str) -> tuple[dict[int, list[ParsedBlock]], str]:
    entries: dict[int, list[ParsedBlock]] = {}
    if name not in compared.parses:
        return entries, "The parse of this document was not given to the report."
    try:
        for block in read_content_list(compared.parses[name]):
            entries.setdefault(block.entry, []).append(block)
    except ScoringInputError as error:
        return {}, f"The parse cannot be read: {error}"
    return entries, ""


def _figures(ranked: RankedPage) -> Iterable[FigureView]:
    sides: list[Mapping[Family, float | None]] = []
    for scores in (ranked.pair.before, ranked.pair.after):
        page = next((page for page in scores.pages if page.page == ranked.page), None) if scores else None
        sides.append({family: page.scores[family].value for family in page.scores} if page else {})
    for family in Family:
        before, after = (side.get(family) for side in sides)
        if before is not None or after is not None:
            yield FigureView(family, before, after)


def _truth(place: int, trace: Trace, block: TruthBlock | None, page: _Page) -> TruthView:
    entries = [entry for entry in trace.block.entries if entry in page.words]
    kind = trace.block.kind.replace("_", " ")
    if block is None:
        body, style = Markup('<p class="none">words not given</p>'), _NO_STYLE
    else:
        body, style = _truth_body(block, entries, page), _box(block)
        kind += f" {block.level}" if block.level else ""
    links = " ".join([f"{page.anchor}t{place}", *(f"{page.anchor}e{entry}" for entry in entries)])
    return TruthView(place, trace, kind, body, style, _where(entries, page, trace.block.page), links)


def _truth_body(block: TruthBlock, entries: Sequence[int], page: _Page) -> Markup:
    if block.kind is TruthKind.TABLE:
        for entry in entries:
            page.tables.setdefault(entry, []).append(block)
            page.use(entry, [marks.within(block, part) for part in page.words[entry]])
        parts = [part for entry in entries for part in page.words[entry]]
        return marks.table(block.content, parts or None)
    text = Text.of(block.content)
    # Of what is lost as a whole, and of formulas, no single word is marked.
    if block.kind is TruthKind.EQUATION or not entries:
        return _framed(block.kind, marks.marked(text, None))
    found_in = [(entry, part) for entry in entries for part in page.words[entry]]
    kept, used = marks.common(text, [Text.of(part.content) for _, part in found_in])
    for entry in entries:
        page.use(entry, [found for (of, _), found in zip(found_in, used, strict=True) if of == entry])
    return _framed(block.kind, marks.marked(text, kept))


def _entry(entry: int, page: _Page, *, invented: bool, claimed: bool) -> ParseView:
    blocks = page.words[entry]
    used = page.used.get(entry, [set() for _ in blocks])
    pieces = []
    for block, kept in zip(blocks, used, strict=True):
        if block.kind is ParsedKind.TABLE:
            pieces.append(marks.table(block.content, page.tables.get(entry)))
            continue
        # An entry that stands for nothing is marked as a whole, and one whose block is on another page not at all.
        compared = entry in page.used and block.kind not in {ParsedKind.EQUATION, ParsedKind.PICTURE}
        # What was read in a picture comes word by word, a line each.
        words = " ".join(block.content.split()) if block.kind is ParsedKind.PICTURE else block.content
        pieces.append(_framed(block.kind, marks.marked(Text.of(words), kept if compared else None)))
    level = next((f" {block.level}" for block in blocks if block.level), "")
    kind = next((block.kind for block in blocks if block.kind is not ParsedKind.CAPTION), blocks[0].kind)
    remark = "stands for nothing in the truth" if invented else "" if claimed else "no block was found here"
    return ParseView(entry, kind + level, Markup().join(pieces), invented, remark, f"{page.anchor}e{entry}")


def _framed(kind: TruthKind | ParsedKind, body: Markup) -> Markup:
    frame = '<pre dir="auto">{}</pre>' if kind in _LITERAL else '<p dir="auto">{}</p>'
    return Markup(frame).format(body)  # noqa: S704 - one of two constants


def _box(block: TruthBlock) -> str:
    if block.bbox is None:
        return _NO_STYLE
    left, top, right, bottom = (min(max(value, 0), 1000) / 10 for value in block.bbox)
    return f"left:{left:.1f}%;top:{top:.1f}%;width:{right - left:.1f}%;height:{bottom - top:.1f}%"


def _where(entries: Sequence[int], page: _Page, number: int) -> str:
    if not entries:
        return "nowhere in the parse"
    pages = {entry: page.words[entry][0].page for entry in entries}
    named = [f"#{entry}" + (f" (page {at + 1})" if at != number else "") for entry, at in list(pages.items())[:_NAMED]]
    return f"in {', '.join(named)}" + (f" and {len(entries) - _NAMED} more" if len(entries) > _NAMED else "")
