"""Claims about the report: what it shows, what it leaves out, and that nothing in it can act."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from mineru_pipeline.parsing.blocks import FinishedPage, finish_page
from mineru_pipeline.parsing.pages import Degradation, PageExtraction
from mineru_pipeline.parsing.report import ReportHeader, render_report, select_pages
from mineru_pipeline.parsing.report_view import page_ranges

JPEG = b"\xff\xd8" + b"picture" * 3000
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 3000
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}"
HEADER = ReportHeader(name="paper.pdf", sha256="ab" * 32, state="parsed", model="MinerU2.5")


def page(index: int, text: str = "words", *, failed: str = "") -> FinishedPage:
    blocks = (
        {"type": "title", "content": text, "bbox": [0.1, 0.1, 0.9, 0.2]},
        {"type": "table", "content": f"<fcel>{text}<fcel>two<nl>", "bbox": [0.1, 0.3, 0.9, 0.4]},
        {"type": "image", "content": text, "bbox": [0.1, 0.5, 0.9, 0.6]},
        {"type": "code", "content": text, "bbox": [0.1, 0.7, 0.9, 0.8]},
    )
    failures = (Degradation(0, failed, text, "own text"),) if failed else ()
    return finish_page(PageExtraction(index, 595, 842, 1, 1, 0.1, blocks, failures), text_layer_fallback=True)


def report(*pages: FinishedPage, header: ReportHeader = HEADER, max_bytes: int = 20_000_000) -> str:
    return render_report(header, pages, lambda _: JPEG, max_bytes=max_bytes).decode()


class _Reader(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize(
    ("count", "degraded", "sample", "expected"),
    [
        (3, [], 12, (0, 1, 2)),
        (0, [], 12, ()),
        (5, [1, 3], 0, (1, 3)),
        (9, [], 3, (0, 4, 8)),
        (10, [0, 5], 2, (0, 1, 5, 9)),
        (3, [7], 12, (0, 1, 2)),
        (5, [], 1, (0,)),
    ],
)
def test_pages_are_selected_evenly(count: int, degraded: list[int], sample: int, expected: tuple[int, ...]) -> None:
    """All degraded pages are selected, and the first, the last and evenly spaced ones of the rest."""
    assert select_pages(count, degraded, sample) == expected


def test_every_degraded_page_of_a_long_document_is_shown() -> None:
    """However many pages are degraded, each is shown with its cause and what stands in its place."""
    pages = [page(index, failed="truncated" if index % 10 == 0 else "") for index in range(300)]
    html = report(*pages)
    assert all(f'id="p{index + 1}"' in html for index in range(0, 300, 10))
    assert html.count("<article") == 30 + 12
    assert "truncated" in html
    assert "own text is shown instead" in html
    assert "Not shown: pages 3–" in html


def test_pictures_are_embedded() -> None:
    """The picture of a page is inside the file, with a box for every block."""
    html = report(page(0))
    assert base64.b64encode(JPEG).decode() in html
    assert html.count('class="box ') == 4


def test_nothing_hostile_gets_through() -> None:
    """Whatever a document is called or says, the report has one script, ours, and no outside address."""
    header = ReportHeader(HOSTILE, HOSTILE, HOSTILE, HOSTILE, stand_in=True, facts={HOSTILE: HOSTILE})
    html = report(page(0, HOSTILE), page(1, HOSTILE, failed=HOSTILE), header=header)
    seen = read(html)
    assert seen.tags.count("script") == 1
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    links = [value or "" for name, value in seen.attributes if name in {"src", "href"}]
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert "49" not in re.sub(r"data:[^\"]*", "", html.split("<main>")[1])


def test_the_policy_allows_nothing_from_outside() -> None:
    """A content security policy forbids every source but the file itself."""
    html = report(page(0))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in policy[1]
    assert "unsafe-inline'; script" in policy[1]


def test_a_stand_in_is_announced_loudly() -> None:
    """Output of the development server is marked so that nobody takes it for MinerU2.5's."""
    stand_in = ReportHeader("a.pdf", "00", "parsed", "dev-ocr", stand_in=True)
    assert "not read by MinerU2.5" in report(page(0), header=stand_in)
    assert "not read by MinerU2.5" not in report(page(0))


def test_the_head_has_the_facts() -> None:
    """Name, hash, model, revisions, time and requests stand at the top."""
    header = ReportHeader(
        "a.pdf", "cafe", "degraded", "m", extraction_revision="e1", parser_revision="p1", seconds=2.0, requests=31
    )
    head = report(page(0), header=header).split("<main>")[0]
    for fact in ("a.pdf", "cafe", "degraded", "e1", "p1", "2.0 s", "31"):
        assert fact in head


def test_pictures_are_dropped_when_space_runs_out() -> None:
    """Pictures that would exceed the budget are left out from the tail, degraded pages last, and it is said."""
    pages = [page(index, failed="truncated" if index == 4 else "") for index in range(6)]
    image = len(base64.b64encode(JPEG))
    text = len(report(*pages)) - len(report()) - 6 * image
    html = report(*pages, max_bytes=100_600 + text + 5 * image // 2)
    assert html.count("data:image/jpeg") == 2
    assert "Shown without their picture" in html
    assert "data:image/jpeg" in html.split('id="p5"')[1].split("</article>")[0]


def test_the_budget_is_kept() -> None:
    """A document with more text than the budget loses pages from the tail, and the report says which."""
    pages = [page(index, "text " * 3000) for index in range(10)]
    html = render_report(HEADER, pages, lambda _: JPEG, max_bytes=400_000)
    assert len(html) <= 400_000
    assert "Left out to keep this file small" in html.decode()


def test_pictures_that_cannot_be_made_are_missed_with_a_note() -> None:
    """Without a picture the boxes are shown alone; what is no picture is not shown."""
    for picture in (None, b"<svg onload=alert(1)>"):
        html = render_report(HEADER, [page(0)], {0: picture}.get).decode()
        assert "Shown without their picture" in html
        assert "data:image" not in html.split("<main>")[1]


def test_a_picture_may_be_a_png() -> None:
    """What the model was shown is shown to people too, under its own name."""
    html = render_report(HEADER, [page(0)], {0: PNG}.get).decode()
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in html


def test_a_document_without_pages_has_a_report() -> None:
    """Even an empty document gets a report that says so."""
    assert "no pages to show" in report()


def test_long_blocks_are_cut() -> None:
    """A block longer than people read is cut, and the report says where the rest is."""
    assert "more characters, see document.md" in report(page(0, "x" * 50_000))


def test_two_reports_are_the_same() -> None:
    """The same pages and facts give the same bytes."""
    assert report(page(0), page(1)) == report(page(0), page(1))


def test_ranges_read_as_people_write_them() -> None:
    """Neighbouring pages are drawn together, counted from 1."""
    assert page_ranges([0, 1, 2, 6, 9, 10]) == "1–3, 7, 10–11"
    assert page_ranges([]) == ""
