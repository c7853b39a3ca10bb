"""Renders the report on a comparison as one HTML page that needs nothing else and in which nothing can act."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import jinja2
from markupsafe import Markup

from mineru_pipeline.quality.gates.model import Decision, Verdict
from mineru_pipeline.quality.report import evidence, intervals, plain, ranking, strips
from mineru_pipeline.quality.report.matrix import matrix
from mineru_pipeline.quality.report.model import Compared, Head, Limits, Pair, Picture
from mineru_pipeline.quality.report.ranking import RankedPage
from mineru_pipeline.quality.report.sheets import sheet_view
from mineru_pipeline.quality.report.tracing import document_trace
from mineru_pipeline.quality.scores.model import BlockState, Family

T = TypeVar("T")

#: Shares of the room that pages without their pictures, and the list of all documents, may take.
_SHEETS_SHARE: Final = 0.4
_TRACES_SHARE: Final = 0.3
#: Pages that are not folded.
_OPENED: Final = 3
#: Kept free for the sentences that say what was left out.
_NOTES_BYTES: Final = 20_000
#: Where a picture goes; nothing that is escaped can hold a comment.
_PLACE: Final = "<!--picture-->"
#: What a picture may be, by how it starts.
_KINDS: Final = {b"\xff\xd8": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp"}
#: What belongs together lights up together: blocks of the truth, their boxes, and the entries they are found in.
_SCRIPT: Final = (
    "for(const e of ['mouseover','mouseout','focusin','focusout'])document.addEventListener(e,v=>{"
    "const t=v.target.closest('[data-l]');if(t)for(const w of t.dataset.l.split(' '))"
    "for(const n of document.querySelectorAll('[data-l~=\"'+w+'\"]'))"
    "n.classList.toggle('lit',e=='mouseover'||e=='focusin')})"
)


def render_report(head: Head, compared: Compared, picture: Picture, *, limits: Limits | None = None) -> str:
    """The report as HTML of at most ``limits.max_bytes``; what is left out for that is said in it.

    ``picture`` is asked for the pages that are shown, the most important first.

    Raises:
        GateInputError: a document has a score on one side only.
    """
    limits = limits or Limits()
    pairs = compared.pairs()
    if head.held_back:
        return _frame(head, compared, pairs, limits, lost=[], worst=[], traces=[], cut_sheets=0, without_picture=0)
    lost = ranking.lost_most(pairs, limits)
    worst = ranking.worst(pairs, limits, besides=lost)
    frame = functools.partial(_frame, head, compared, pairs, limits)
    empty = frame(lost=[], worst=[], traces=[], cut_sheets=0, without_picture=0)
    room = limits.max_bytes - _NOTES_BYTES - len(empty.encode())
    ranked = [*lost, *worst]
    opened = {page.key for page in ranked[:_OPENED]}
    sheets, used = _fitting(
        ranked, lambda page: _sheet(page, compared, opened=page.key in opened), int(room * _SHEETS_SHARE)
    )
    room -= used
    shown = {page.key for page, _ in sheets}
    wanted = ranking.by_need(pairs)[: limits.traced_documents]
    traces, used = _fitting(wanted, lambda pair: _trace(pair, compared, shown), int(room * _TRACES_SHARE))
    pictures = _pictures([page for page, _ in sheets], picture, room - used)
    filled = [(page.key, html.replace(_PLACE, pictures.get(page.key, ""))) for page, html in sheets]
    first = {page.key for page in lost}
    return frame(
        lost=[Markup(html) for key, html in filled if key in first],  # noqa: S704 - rendered by our templates
        worst=[Markup(html) for key, html in filled if key not in first],  # noqa: S704 - the same
        traces=sorted((pair.after.stratum, pair.name, Markup(html)) for pair, html in traces),  # noqa: S704 - the same
        cut_sheets=len(ranked) - len(sheets),
        without_picture=len(sheets) - len(pictures),
    )


def _frame(head: Head, compared: Compared, pairs: Sequence[Pair], limits: Limits, **shown: Any) -> str:
    judgement = compared.judgement
    verdicts = judgement.verdicts if judgement else ()
    scale = intervals.Scale.over(verdicts)
    moved = [(family, ranking.changes(pairs, family)) for family in Family]
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            head=head,
            judgement=judgement,
            decision=compared.decision,
            objections=compared.objections,
            pairs=pairs,
            pages=sum(len(pair.after.pages) for pair in pairs),
            verdicts=[(verdict, intervals.bar(verdict, scale)) for verdict in verdicts],
            axis=intervals.axis(scale),
            matrix=matrix(compared),
            distributions=_distributions(pairs, verdicts),
            ticks=[(f"{strips.place(tick):.2f}", f"{tick:g}") for tick in strips.TICKS],
            charts=evidence.charts(compared),
            changes=[
                (family, [one for one in found if one.delta < 0], [one for one in reversed(found) if one.delta > 0])
                for family, found in moved
            ],
            limits=limits,
            pageless=compared.pageless,
            listed={name for _, name, _ in shown["traces"]},
            script=Markup(_SCRIPT),  # noqa: S704 - a constant of ours
            script_hash=f"sha256-{digest}",
            **shown,
        )
    )


def _distributions(
    pairs: Sequence[Pair], verdicts: Sequence[Verdict]
) -> list[tuple[Family, bool, bool, list[strips.Strip]]]:
    """The strips of each family that has scores, those that decide first; unfolded where somebody should look."""
    judged = {verdict.family: verdict.decision for verdict in verdicts}
    found = [
        (
            family,
            family.value in judged,
            family is Family.TEXT or judged.get(family.value, Decision.ACCEPT) is not Decision.ACCEPT,
            strips.strips(pairs, family),
        )
        for family in Family
    ]
    scored = [one for one in found if any(strip.documents for strip in one[3])]
    return sorted(scored, key=lambda one: not one[1])


def _sheet(page: RankedPage, compared: Compared, *, opened: bool) -> str:
    place = Markup(_PLACE)  # noqa: S704 - a constant of ours
    return (
        _environment().get_template("sheet.html").render(sheet=sheet_view(page, compared), place=place, opened=opened)
    )


def _trace(pair: Pair, compared: Compared, shown: Collection[tuple[str, int]]) -> str:
    return _environment().get_template("trace.html").render(document=document_trace(pair, compared, shown))


def _fitting(things: Iterable[T], rendered: Callable[[T], str], room: int) -> tuple[list[tuple[T, str]], int]:
    """Things with their HTML, as many as have room, and the bytes they take."""
    found, used = [], 0
    for thing in things:
        html = rendered(thing)
        size = len(html.encode())
        if used + size > room:
            break
        found.append((thing, html))
        used += size
    return found, used


def _pictures(pages: Iterable[RankedPage], picture: Picture, room: int) -> dict[tuple[str, int], str]:
    """Image elements, until ``room`` bytes are used; what is no picture is left out."""
    found: dict[tuple[str, int], str] = {}
    for page in pages:
        data = picture(*page.key) or b""
        kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
        if kind is None:
            continue
        image = f'<img alt="" src="data:{kind};base64,{base64.b64encode(data).decode()}">'
        room -= len(image)
        if room < 0:
            break
        found[page.key] = image
    return found


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(plain=plain, BlockState=BlockState, Family=Family)
    return environment
