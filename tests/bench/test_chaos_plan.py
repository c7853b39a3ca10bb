"""What the chaos run stores and announces is what it says, and the same for the same seed."""

from __future__ import annotations

import io

import pypdfium2 as pdfium
import pytest

from bench.chaos import messages, pages
from bench.chaos.plan import Counts, Stored, announced
from mineru_pipeline.messaging.broker import Message, Partition
from mineru_pipeline.messaging.contents import read_message
from mineru_pipeline.messaging.policy import Policy

POLICY = Policy(frozenset({"s3"}), frozenset({"documents"}))


def stored(counts: Counts) -> list[Stored]:
    found = [Stored(n, "documents", f"in/ä +{n}%.pdf", f"{n:064x}", 9, "0f", f"v{n}") for n in range(counts.distinct)]
    copies = [Stored(n, "documents", f"copies/{n}.pdf", f"{n:064x}", 9, "0f", f"c{n}") for n in range(counts.copies)]
    return [*found, *copies]


@pytest.mark.parametrize("number", [0, 1, 9500, 2**20 - 1])
def test_the_number_of_a_page_is_read_from_its_picture(number: int) -> None:
    """Rendered, and resized to the square that the model is sent."""
    with pdfium.PdfDocument(pages.pdf(number, seed=3)) as document:
        picture = document[0].render(scale=200 / 72).to_pil().resize((1036, 1036))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert pages.number_on(buffer.getvalue()) == number


def test_a_page_without_a_mark_has_no_number() -> None:
    """Such as the page by which a run proves the model."""
    with pdfium.PdfDocument.new() as document:
        document.new_page(595, 842)
        buffer = io.BytesIO()
        document[0].render().to_pil().save(buffer, "PNG")
    assert pages.number_on(buffer.getvalue()) is None


def test_documents_are_distinct_and_repeatable() -> None:
    """Another number or seed gives other bytes, the same ones the same."""
    made = [pages.pdf(number, seed) for number, seed in ((1, 1), (2, 1), (1, 2), (1, 1))]
    assert len(set(made)) == 3
    assert made[0] == made[3]


def test_announcements_say_what_they_are_held_to() -> None:
    """Read by our own reader: every entry is there with its version, every poison is refused for its reason."""
    counts = Counts(2000)
    documents = announced(stored(counts), counts, seed=5)
    sent = messages.compose(documents, counts.poison, seed=5)
    assert len(documents) == 2000
    assert sum(len(each.entries) for each in sent) == 2000
    assert sum(len(each.refused) for each in sent) == counts.poison == 40
    for each in sent:
        found = read_message(Message(Partition("t", 0), 0, each.value, each.headers), POLICY)
        assert tuple((ref.uri, ref.version) for ref in found.refs) == each.entries
        assert tuple((refusal.record, refusal.reason) for refusal in found.refusals) == each.refused
    reasons = {reason for each in sent for _, reason in each.refused}
    assert {"not-json", "unknown-type", "forbidden-bucket", "forbidden-scheme", "message-too-large"} <= reasons
    assert {len(each.entries) for each in sent if each.is_notification} >= {1, 2, 5}


def test_the_same_seed_gives_the_same_announcements() -> None:
    """Whoever runs it again sees the same order."""
    counts = Counts(200)
    one, two, other = (messages.compose(announced(stored(counts), counts, s), counts.poison, s) for s in (1, 1, 2))
    assert one == two
    assert one != other
