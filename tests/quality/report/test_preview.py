"""Claims about the short form for the UI."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from compared_documents import HOSTILE

from mineru_pipeline.quality.gates.model import Judgement
from mineru_pipeline.quality.report.model import Compared, Head
from mineru_pipeline.quality.report.preview import preview_markdown

SVG = "{http://www.w3.org/2000/svg}"


def picture_in(markdown: str) -> ET.Element:
    found = re.search(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found is not None
    return ET.fromstring(base64.b64decode(found[1]))


def test_it_shows_the_decision_and_every_family(head: Head, compared: Compared) -> None:
    """Decision and families are there as words and as a picture, small enough for the metadata of an event."""
    markdown = preview_markdown(head, compared)
    assert isinstance(compared.judgement, Judgement)
    assert markdown.startswith("### ✗ Rejected\n")
    words = [text.text for text in picture_in(markdown).iter(f"{SVG}text")]
    for verdict in compared.judgement.verdicts:
        assert f"| {verdict.family} |" in markdown
        assert verdict.family in words
    assert len(markdown) < 20_000
    assert markdown == preview_markdown(head, compared)


def test_names_are_no_markup(head: Head, compared: Compared) -> None:
    """What people call a baseline cannot become a picture, a link or a row of the table."""
    assert head.baseline is not None
    name = f"{HOSTILE} | ![x](http://x) \n| row"
    markdown = preview_markdown(replace(head, baseline=replace(head.baseline, name=name)), compared)
    assert "<script" not in markdown.replace("\\<", "")
    assert "](http" not in markdown
    assert len(markdown.splitlines()) == len(preview_markdown(head, compared).splitlines())


def test_a_stand_in_is_named(head: Head, compared: Compared) -> None:
    """Whoever sees only the UI must not take its figures for MinerU2.5's either."""
    assert "Not MinerU2.5" not in preview_markdown(head, compared)
    assert "Not MinerU2.5" in preview_markdown(
        replace(head, candidate=replace(head.candidate, stand_in=True)), compared
    )


def test_without_a_baseline_it_shows_means(head: Head, compared: Compared) -> None:
    """A first measurement has its mean scores, and says that there is nothing to compare with."""
    markdown = preview_markdown(replace(head, baseline=None), Compared(compared.candidate))
    assert markdown.startswith("### No baseline\n")
    assert "| tables | 0." in markdown
    assert "data:" not in markdown
