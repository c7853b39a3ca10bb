"""Claims about the report for people: what it shows, what it leaves out, and that nothing in it can act."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from compared_documents import HOSTILE, compared_of, truth_of

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.report.model import Compared, Head, Limits
from mineru_pipeline.quality.report.render import render_report
from mineru_pipeline.quality.scores.document import score_document

WEBP = b"RIFF\x00\x00\x00\x00WEBP" + b"picture" * 500
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects the tags and attributes that a browser would see, and what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def links_and_ids(html: str) -> tuple[set[str], list[str | None]]:
    attributes = read(html).attributes
    ids = [value for name, value in attributes if name == "id"]
    return {value[1:] for name, value in attributes if name == "href" and value}, ids


def report(head: Head, compared: Compared, **limits: int) -> str:
    return render_report(head, compared, lambda _name, _page: WEBP, limits=Limits(**limits))


def test_it_says_what_was_decided_about_what(head: Head, compared: Compared) -> None:
    """Decision, both sides, who accepted the baseline and why, and every family stand in the report."""
    html = report(head, compared)
    assert compared.judgement is not None
    assert "</span> Rejected</h1>" in html
    for words in ("v1-abc", "a0a0", "b0b0", "Ann", "It was good.", "2026-02-03"):
        assert words in html
    for verdict in compared.judgement.verdicts:
        assert f'<th scope="row">{verdict.family}<small>' in html
        assert html.count(f'aria-label="{verdict.family}: ') == 1


def test_an_objection_rejects_whatever_the_gates_say(head: Head) -> None:
    """A lost document weighs more than means: the headline says so, and the objection stands below it."""
    few = compared_of([truth_of(f"doc-{number}", "plain") for number in range(3)], lambda _number, entries: entries)
    html = report(head, replace(few, objections=(f"One document is lost: {HOSTILE}.",)))
    assert "</span> Rejected</h1>" in html
    assert "although the gates say inconclusive" in html
    assert "<li>One document is lost: &lt;script&gt;" in html


def test_nothing_in_it_can_act(head: Head) -> None:
    """Words of a document, of its parse and of people are text; the only script is the one that its policy names."""
    truths = [truth_of(f"doc-{number}", "lists", said=HOSTILE) for number in range(4)]

    def spoil(_number: int, entries: list[dict[str, object]]) -> list[dict[str, object]]:
        return [
            {**entry, **{key: f"{HOSTILE} {entry[key]}" for key in ("text", "table_body") if key in entry}}
            for entry in entries
        ]

    compared = compared_of(truths, spoil)
    accused = replace(head.candidate, name=HOSTILE, why=HOSTILE, model=HOSTILE, facts={HOSTILE: HOSTILE})
    html = report(replace(head, candidate=accused, selection=HOSTILE), compared)
    reader = read(html)
    assert HOSTILE not in html
    assert reader.tags["script"] == 1
    assert "49" not in re.findall(r"alert\(2\)&gt;&#34;&#39;(.{2})", html)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    sources = {value for name, value in reader.attributes if name == "src"}
    assert all(value and value.startswith("data:image/webp;base64,") for value in sources)
    assert html.count("<!--picture-->") == 0


def test_it_fetches_nothing(head: Head, compared: Compared) -> None:
    """No address leads out of the file, so it works offline and tells nobody that it was opened."""
    html = report(head, compared)
    assert "default-src 'none'" in html
    assert not re.findall(r"(?i)(?:src|href|url|action)\s*[=(]\s*[\"']?(?!data:image/|#)[^\"'\s)]+", html)
    # The name of SVG is no address.
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}


def test_every_link_leads_somewhere(head: Head, compared: Compared) -> None:
    """A link to a page or a document that is not in the file would be a dead end."""
    links, ids = links_and_ids(report(head, compared))
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_the_same_input_is_the_same_report(head: Head, compared: Compared) -> None:
    """Not one byte depends on anything but the input, its order included."""
    backwards = replace(compared, candidate=compared.candidate[::-1], baseline=compared.baseline[::-1])
    assert report(head, compared) == report(head, backwards)


def test_every_document_and_every_lost_block_is_listed(head: Head, compared: Compared) -> None:
    """Which block of the truth was lost can be found for each document, not only for the worst."""
    html = report(head, compared)
    _, _, listed = html.partition('<section id="documents">')
    for scores in compared.candidate:
        start = listed.index(f'id="doc-{scores.name}"')
        own = listed[start : listed.find("</details>", start)]
        lost = [block.id for block in scores.blocks if block.state == "lost"]
        assert [block for block in lost if f"<b>{block}</b>" not in own] == []
        assert len(re.findall(r"<i class=", own)) == len(scores.blocks)


def test_every_stratum_is_there(head: Head, compared: Compared) -> None:
    """A stratum has a row in the table and a strip in each family, in which each document is a point on each side."""
    html = report(head, compared)
    for stratum in ("lists", "scans"):
        assert f'<th scope="row">{stratum}</th>' in html
        assert html.count(f'aria-label="{stratum}: ') == html.count('<details class="dist"')
    text = html[html.index("<h3>text</h3>") : html.index("<h3>digits</h3>")]
    assert text.count("<circle") == 2 * 24


def test_families_without_scores_break_nothing(head: Head) -> None:
    """A corpus without tables and headings has a report, which says that nothing of the kind is there."""
    truths = [truth_of(f"doc-{number}", "plain", kinds={"text"}) for number in range(3)]
    html = report(head, compared_of(truths, lambda _number, entries: entries))
    read(html)
    assert "Not decided" in html
    assert "<h3>tables</h3> <small>no document moved" in html


def test_a_first_measurement_has_a_report(head: Head, compared: Compared) -> None:
    """Before any baseline is accepted the report shows the candidate alone, and says so."""
    alone = replace(compared, baseline=(), judgement=None)
    html = report(replace(head, baseline=None), alone)
    read(html)
    assert "No baseline" in html
    assert "Rejected" not in html
    assert html.count('<details class="page"') > 0


def test_an_identical_candidate_lost_nothing(head: Head, compared: Compared) -> None:
    """Without any difference no page is shown as lost, and no document as moved."""
    html = report(head, replace(compared, candidate=compared.baseline))
    assert "No page lost anything." in html
    assert html.count("no document moved") == 9


def test_what_the_stand_in_read_is_marked(head: Head, compared: Compared) -> None:
    """Nobody shall take figures of the development server for MinerU2.5's; two different servers are told apart."""
    assert "Not MinerU2.5" not in report(head, compared)
    candidate = replace(head.candidate, model="OCR", stand_in=True)
    assert head.baseline is not None
    both = report(replace(head, candidate=candidate, baseline=replace(head.baseline, stand_in=True)), compared)
    assert "Not MinerU2.5" in both
    assert "two servers" not in both
    assert "this compares two servers" in report(replace(head, candidate=candidate), compared)


def test_a_report_stays_below_its_size(head: Head, compared: Compared) -> None:
    """Pictures go first, then documents and pages, and the report says what is missing."""
    large = WEBP + b"." * 100_000
    for limit, left_out in ((1_000_000, "without their picture"), (120_000, "left out to keep this file")):
        html = render_report(head, compared, lambda _name, _page: large, limits=Limits(max_bytes=limit))
        links, ids = links_and_ids(html)
        assert len(html.encode()) <= limit
        assert left_out in html
        assert links <= set(ids)


def test_a_page_without_material_is_shown_without_it(head: Head, compared: Compared) -> None:
    """Where no picture, truth or parse is given the page is there, and says what is missing."""
    html = render_report(head, replace(compared, truths={}, parses={}), lambda _name, _page: b"<svg>")
    assert read(html).tags["img"] == 0
    assert "The truth of this document was not given" in html
    assert "The parse of this document was not given" in html


def test_a_huge_document_is_cut(head: Head) -> None:
    """A page of hundreds of blocks, and one of a very long word, are shown in part, and the report says so."""
    truths = [
        truth_of("long", "lists", pages=1, paragraphs=400),
        truth_of("wide", "lists", pages=1, said="x" * 50_000),
    ]
    html = report(head, compared_of(truths, lambda _number, entries: entries[:2]))
    assert len(html.encode()) < 1_000_000
    assert "more blocks of the truth are left out" in html
    assert "more characters" in html
    assert "more blocks</p>" in html


def test_many_documents_are_drawn_as_boxes(head: Head) -> None:
    """Of hundreds of documents a strip shows quartiles and the lowest ones, not a band of ink."""
    truth = truth_of("doc", "lists", pages=1)
    scores = score_document(truth, [])
    many = [replace(scores, name=f"doc-{number:03d}") for number in range(300)]
    html = report(replace(head, baseline=None), Compared(many))
    assert html.count("<rect x=") == html.count('<svg class="strip"')
    assert html.count("<circle") == 8 * html.count('<svg class="strip"')


def test_a_record_without_pages_is_enough_for_a_baseline(head: Head, compared: Compared) -> None:
    """Where the baseline has scores of documents alone, pages of the documents that lost are shown, and it is said."""
    record = [replace(scores, pages=(), blocks=()) for scores in compared.baseline]
    html = report(head, replace(compared, baseline=record))
    links, ids = links_and_ids(html)
    assert links <= set(ids)
    assert "No page lost anything." not in html
    assert "holds scores of documents, not of pages" in html
    lost = {
        scores.name
        for scores, before in zip(compared.candidate, compared.baseline, strict=True)
        if scores.families != before.families
    }
    first = re.findall('<details class="page".*?<bdi>(.*?)</bdi>', html, re.DOTALL)[:3]
    assert set(first) <= lost


def test_nothing_is_shown_of_documents_that_are_held_back(head: Head, compared: Compared) -> None:
    """Nobody can tune on pages that he never sees: of the second seed there are means alone."""
    html = report(replace(head, held_back=True), compared)
    links, ids = links_and_ids(html)
    assert links <= set(ids)
    assert not re.findall("doc-[0-9]|word[0-9]|<img|<circle cx=[^>]*><title>", html)
    assert "Rejected" in html


def test_documents_on_one_side_only_are_refused(compared: Compared) -> None:
    """A comparison of different documents would be none, and the error names one."""
    with pytest.raises(GateInputError, match="doc-23"):
        replace(compared, candidate=compared.candidate[:-1])
    with pytest.raises(GateInputError, match="twice"):
        replace(compared, candidate=[*compared.candidate, compared.candidate[0]])
