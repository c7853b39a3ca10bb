"""Prepares finished pages for the report's templates: every value escaped, every table sanitised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Final

import nh3
from markupsafe import Markup, escape

from mineru_pipeline.parsing.blocks import EndedDegradation, FinishedBlock, FinishedPage
from mineru_pipeline.parsing.markup import TABLE_TAGS, mark_formulas, unmark_formulas
from mineru_pipeline.parsing.palette import group_of
from mineru_pipeline.parsing.spans import inline_spans

#: Characters of one block that the report shows; the outputs hold all of them.
MAX_SHOWN: Final = 20_000
_MAX_MESSAGE: Final = 500

_ENDINGS: Final = {
    "text-layer": "the PDF's own text is shown instead",
    "gap": "nothing could stand in for it, a gap is marked",
    "plain-text": "the model's words are kept without their form",
}
_STYLE_TAGS: Final = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "superscript": "sup",
    "subscript": "sub",
}
_TABLE_TAGS: Final = TABLE_TAGS - {"img"}


@dataclass(frozen=True, slots=True)
class DegradationView:
    """One degradation in words."""

    what: str
    cause: str
    message: str
    instead: str


@dataclass(frozen=True, slots=True)
class BlockView:
    """One block as the page template shows it; ``style`` places its box over the picture."""

    number: int
    kind: str
    group: str
    style: str
    body: Markup
    degradations: tuple[DegradationView, ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """One page as the page template shows it."""

    number: int
    #: Width over height.
    ratio: str
    degradations: tuple[DegradationView, ...]
    blocks: tuple[BlockView, ...]
    agreement: str


def page_view(page: FinishedPage, agreement: float | None) -> PageView:
    """What the report shows of ``page``; ``agreement`` is the share of its text layer found, if known."""
    endings: dict[int | None, list[EndedDegradation]] = {}
    for ended in page.degradations:
        endings.setdefault(ended.block, []).append(ended)
    blocks = []
    for number, block in enumerate(page.blocks, start=1):
        causes = _in_words(endings.pop(block.source, ()))
        blocks.append(BlockView(number, block.type, group_of(block.type), _box_style(block), _body(block), causes))
    unplaced = [ended for group in endings.values() for ended in group]
    width, height = max(page.width_pt, 1.0), max(page.height_pt, 1.0)
    share = "" if agreement is None else f"{agreement:.0%}"
    return PageView(page.index + 1, f"{width / height:.4f}", _in_words(unplaced), tuple(blocks), share)


def counts_by_type(pages: Iterable[FinishedPage]) -> list[tuple[str, str, int]]:
    """Type, colour group and number of the blocks of ``pages``, the most frequent first."""
    counts = Counter(block.type for page in pages for block in page.blocks)
    return [
        (kind, group_of(kind), count) for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def page_ranges(indices: Sequence[int]) -> str:
    """Page indices as people write page numbers: ``1–3, 7``; "" for none."""
    ranges: list[list[int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] = index + 1
        else:
            ranges.append([index + 1, index + 1])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges)


def _in_words(endings: Iterable[EndedDegradation]) -> tuple[DegradationView, ...]:
    return tuple(
        DegradationView(ended.kind.replace("_", " "), ended.cause, ended.message[:_MAX_MESSAGE], _ENDINGS[ended.ending])
        for ended in endings
    )


def _box_style(block: FinishedBlock) -> str:
    left, top, right, bottom = (100 * value for value in block.bbox)
    return f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"


def _body(block: FinishedBlock) -> Markup:
    """The content of ``block`` as HTML that holds no markup but ours."""
    content = block.content[:MAX_SHOWN]
    rest = len(block.content) - len(content)
    more = Markup('<p class="more">… and {} more characters, see document.md</p>').format(rest) if rest else Markup()
    if not content.strip():
        note = "kept as a picture" if block.type in {"image", "chart"} else "no text"
        return Markup('<p class="none">{}</p>').format(note) if block.type != "list" else Markup()
    if block.type == "table" and not rest:
        # Safe: nh3 leaves only the tags named here and no attribute but spans.
        return Markup(f'<div class="wide">{_table(block.content)}</div>')  # noqa: S704
    if block.type in {"equation", "code", "table"}:
        shown = content.removeprefix(r"\[").removesuffix(r"\]").strip() if block.type == "equation" else content
        return Markup("<pre>{}</pre>").format(shown) + more
    if block.type in {"image", "chart"}:
        # What was read in a picture is stored with its angle brackets escaped.
        return Markup('<p class="found">Found in the picture:</p><p>{}</p>').format(unescape(content)) + more
    return Markup('<p dir="auto">{}</p>').format(_inline(content, literal=block.ending is not None)) + more


def _table(markup: str) -> str:
    spans = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
    cleaned = nh3.clean(unmark_formulas(markup), tags=set(_TABLE_TAGS), attributes=spans)
    return mark_formulas(cleaned).replace("<eq>", "<code>").replace("</eq>", "</code>")


def _inline(text: str, *, literal: bool) -> Markup:
    return Markup().join(
        Markup("<code>{}</code>").format(span["content"]) if span["type"] == "equation_inline" else _styled(span)
        for span in inline_spans(text, literal=literal)
    )


def _styled(span: dict[str, object]) -> Markup:
    html = escape(span["content"])
    styles = span.get("styles")
    for style in styles if isinstance(styles, list) else ():
        tag = Markup(_STYLE_TAGS[style])  # noqa: S704  one of our own constants
        html = Markup("<{0}>{1}</{0}>").format(tag, html)
    return html
