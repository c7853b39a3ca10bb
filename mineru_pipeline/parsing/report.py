"""Renders ``report.html``: page beside text, block by block, in one self-contained file.

Every degraded page is shown, and an evenly spaced sample of the rest. The file stays under its
budget: pictures go first, from the tail, then pages, and the report says which.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from mineru_pipeline.parsing.blocks import FinishedPage
from mineru_pipeline.parsing.palette import COLOURS
from mineru_pipeline.parsing.report_view import counts_by_type, page_ranges, page_view

#: Bytes of one report, all included.
MAX_REPORT_BYTES: Final = 20_000_000
SAMPLE_PAGES: Final = 12
#: Kept free for the frame of the report, whose notes grow with what is left out.
_FRAME_BYTES: Final = 100_000
_FRAME_BYTES_PER_PAGE: Final = 100
#: Where the pages and their pictures go; no escaped or sanitised content can hold a comment.
_SECTIONS_PLACE: Final = "<!--pages-->"
_PICTURE_PLACE: Final = "<!--picture-->"
#: What a picture may be, by how it starts.
_KINDS: Final = {b"\xff\xd8": b"image/jpeg", b"\x89PNG\r\n\x1a\n": b"image/png"}
_SCRIPT: Final = (
    "for(const e of ['mouseover','mouseout'])document.addEventListener(e,v=>{"
    "const t=v.target.closest('[data-pair]');if(t)for(const n of document.querySelectorAll("
    "'[data-pair=\"'+t.dataset.pair+'\"]'))n.classList.toggle('lit',e=='mouseover')})"
)


@dataclass(frozen=True, slots=True)
class ReportHeader:
    """What the head of a report says of its document."""

    name: str
    sha256: str
    #: ``parsed`` or ``degraded``.
    state: str
    #: Who read the pages, as the server names it.
    model: str
    #: Whether that is a stand-in for development, whose output must not be mistaken for MinerU2.5's.
    stand_in: bool = False
    extraction_revision: str = ""
    parser_revision: str = ""
    seconds: float | None = None
    requests: int | None = None
    #: Further facts, by label.
    facts: Mapping[str, str] = field(default_factory=dict)
    #: Share (0–1) of each page's text layer found in its text, by page index.
    agreement: Mapping[int, float | None] = field(default_factory=dict)


def select_pages(page_count: int, degraded: Collection[int], sample: int = SAMPLE_PAGES) -> tuple[int, ...]:
    """Indices of the pages to show: all ``degraded`` ones and ``sample`` of the rest, evenly spaced."""
    shown_anyway = {index for index in degraded if 0 <= index < page_count}
    rest = [index for index in range(page_count) if index not in shown_anyway]
    if len(rest) > sample:
        last = len(rest) - 1
        rest = [rest[round(position * last / max(sample - 1, 1))] for position in range(sample)]
    return tuple(sorted(shown_anyway | set(rest)))


def render_report(
    header: ReportHeader,
    pages: Sequence[FinishedPage],
    picture: Callable[[int], bytes | None],
    *,
    max_bytes: int = MAX_REPORT_BYTES,
    sample: int = SAMPLE_PAGES,
) -> bytes:
    """The report as UTF-8 HTML of at most ``max_bytes``.

    ``picture`` gives the page with that index as JPEG or PNG (some 900 pixels wide is plenty), or ``None``;
    whatever its shape, it is shown in that of the page. It is asked for one page after the other, degraded
    ones first, until the budget is spent.
    """
    by_index = {page.index: page for page in pages}
    degraded = [page.index for page in pages if page.degradations]
    positions = select_pages(len(pages), [position for position, page in enumerate(pages) if page.degradations], sample)
    chosen = [pages[position].index for position in positions]
    room = max_bytes - _FRAME_BYTES - _FRAME_BYTES_PER_PAGE * len(pages)
    sections, room = _sections(header, [by_index[index] for index in chosen], room)
    order = sorted(sections, key=lambda index: (index not in degraded, index))
    pictures = _pictures(order, picture, room)
    left_out = [page.index for page in pages if page.index not in sections]
    frame = _frame(
        header,
        pages,
        shown=[(index + 1, index in degraded) for index in sections],
        degraded_count=len(degraded),
        sampled=page_ranges([index for index in left_out if index not in chosen]),
        cut=page_ranges([index for index in left_out if index in chosen]),
        without_picture=page_ranges([index for index in order if index not in pictures]),
    )
    return _joined(frame, sections, pictures)


def _sections(header: ReportHeader, pages: Sequence[FinishedPage], room: int) -> tuple[dict[int, str], int]:
    """The pages' HTML without pictures, as many as have room, and the bytes that are left."""
    template = _environment().get_template("report_page.html")
    sections: dict[int, str] = {}
    for page in sorted(pages, key=lambda page: (not page.degradations, page.index)):
        html = template.render(page=page_view(page, header.agreement.get(page.index)), place=_PICTURE_PLACE)
        size = len(html.encode())
        if size > room:
            break
        sections[page.index] = html
        room -= size
    return dict(sorted(sections.items())), room


def _pictures(order: Sequence[int], picture: Callable[[int], bytes | None], room: int) -> dict[int, bytes]:
    """Image elements by page index, taken in ``order`` until ``room`` bytes are used."""
    pictures: dict[int, bytes] = {}
    for index in order:
        data = picture(index) or b""
        kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
        if kind is None:
            continue
        image = b'<img alt="" src="data:%s;base64,%s">' % (kind, base64.b64encode(data))
        room -= len(image)
        if room < 0:
            break
        pictures[index] = image
    return pictures


def _frame(header: ReportHeader, pages: Sequence[FinishedPage], **values: Any) -> str:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    template = _environment().get_template("report_template.html")
    return template.render(
        header=header,
        page_count=len(pages),
        types=counts_by_type(pages),
        place=_SECTIONS_PLACE,
        colours=COLOURS,
        script=Markup(_SCRIPT),  # noqa: S704  a constant of ours
        script_hash=f"sha256-{digest}",
        **values,
    )


def _joined(frame: str, sections: Mapping[int, str], pictures: Mapping[int, bytes]) -> bytes:
    """The whole file, put together once: a report can be large, and copies of it larger."""
    head, _, tail = frame.partition(_SECTIONS_PLACE)
    pieces = [head.encode()]
    for index, section in sections.items():
        before, _, after = section.partition(_PICTURE_PLACE)
        pieces += (before.encode(), pictures.get(index, b""), after.encode())
    return b"".join([*pieces, tail.encode()])


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
