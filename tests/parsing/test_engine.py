"""The engine over real PDFs, a real store and real render children; only the model is scripted."""

from __future__ import annotations

import asyncio
import json

import pytest
from conftest import pdf
from scripted_engine import NOT_COMPARED, Bench, ScriptedExtractor, answer, document

from mineru_pipeline.errors import (
    OutageError,
    RunInterruptedError,
    SourceError,
    StoreFullError,
)
from mineru_pipeline.parsing.engine import DocumentInput, EngineLimits
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage
from mineru_pipeline.storage import FilesystemStore


async def test_a_parsed_document_has_every_output_and_its_result(bench: Bench) -> None:
    """Text, JSON, overlay, report and result are there, and the raw answers are one object."""
    (outcome,) = await bench.parse(document("first page", "second page"))
    assert (outcome.state, outcome.pages, outcome.requests) == (State.PARSED, 2, 4)
    names = {key.removeprefix(outcome.outputs) for key in bench.files("parsed")}
    assert names == {
        "document.md", "structured_content.json", "middle.json", "content_list.json", "layout.pdf", "report.html",
        "images/thumbnail.jpg", "result.json",
    }  # fmt: skip
    assert "first page" in bench.store.get(outcome.outputs + "document.md").decode()
    assert [key.rsplit("/", 1)[1] for key in bench.files("extracted")] == ["model.jsonl"]
    result = json.loads(bench.store.get(outcome.outputs + "result.json"))
    assert result["model"]["name"] == "test/model"
    assert [page["agreement"] for page in result["page_summaries"]] == [1.0, 1.0]
    last = bench.events[-1]
    assert (last.documents_done, last.documents, last.pages_done, last.pages) == (1, 1, 2, 2)


async def test_a_committed_document_opens_no_model(bench: Bench) -> None:
    """The second time nothing is asked, rendered or written."""
    await bench.parse(document("text"))
    before = bench.files("parsed")
    (outcome,) = await bench.parse(document("text"))
    assert outcome.reused
    assert (outcome.requests, outcome.state, bench.opened) == (0, State.PARSED, 1)
    assert bench.files("parsed") == before


async def test_an_outage_stops_the_run_and_the_next_one_asks_only_for_what_is_missing(bench: Bench) -> None:
    """Finished pages are kept through the stop; outputs equal those of an undisturbed run."""
    pages = [f"page {number}" for number in range(6)]

    async def fail_at_four(page: RenderedPage) -> PageExtraction | None:
        if page.index == 4:
            # The pages before it are on their way; they must be safe before the outage shows.
            while len(list(bench.store.list("extracted/"))) < 3:  # noqa: ASYNC110  the store tells nobody
                await asyncio.sleep(0.01)
            raise OutageError("no server")
        return None

    bench.model.hook = fail_at_four
    with pytest.raises(OutageError):
        await bench.parse(document(*pages))
    kept = len(bench.files("extracted"))
    assert 3 <= kept < 6
    assert bench.files("parsed") == {}
    resumed = ScriptedExtractor()
    bench.model = resumed
    (outcome,) = await bench.parse(document(*pages))
    assert len(resumed.asked) == 6 - kept
    assert outcome.requests == 2 * (6 - kept)

    calm = Bench(FilesystemStore(bench.store.root.parent / "calm"))
    await calm.parse(document(*pages))
    for room in ("parsed", "extracted"):
        mine, theirs = bench.files(room), calm.files(room)
        assert mine.keys() == theirs.keys()
        differing = {key for key in mine if mine[key] != theirs[key]}
        assert {key.rsplit("/", 1)[1] for key in differing} <= NOT_COMPARED


async def test_an_unexpected_error_costs_its_document_alone(bench: Bench) -> None:
    """A defect on one document makes that one failed, with the reason; the other is parsed."""

    async def trip(page: RenderedPage) -> PageExtraction | None:
        if any(word.text == "poison" for word in page.words):
            raise ZeroDivisionError("a defect")
        return None

    bench.model.hook = trip
    good, bad = await bench.parse(document("fine"), document("poison", name="b.pdf"))
    assert good.state == State.PARSED
    assert (bad.state, bad.reason) == (State.FAILED, "internal")
    assert "ZeroDivisionError" in bad.message


async def test_a_full_store_stops_the_run(bench: Bench) -> None:
    """A disk without room concerns every document, so nothing is marked as failed."""

    class Full(FilesystemStore):
        def put(self, key: str, data: bytes) -> None:
            if key.endswith("middle.json"):
                raise StoreFullError("no room")
            super().put(key, data)

    full = Bench(Full(bench.store.root))
    with pytest.raises(StoreFullError):
        await full.parse(document("text"))
    (outcome,) = await bench.parse(document("text"))
    assert (outcome.state, bench.model.asked) == (State.PARSED, [])


async def test_a_changed_source_fails_instead_of_mixing_two_documents(bench: Bench) -> None:
    """Bytes that no longer have the sha256 they had at intake are not parsed under it."""
    wrong = DocumentInput("file:///a.pdf", "0" * 64, 1, lambda: pdf("other"))
    (outcome,) = await bench.parse(wrong)
    assert (outcome.state, outcome.reason) == (State.FAILED, "source-changed")


async def test_a_source_that_vanished_fails_with_its_reason(bench: Bench) -> None:
    """A file deleted between intake and parse is named as such."""

    def read() -> bytes:
        raise SourceError("source-missing", "it is gone")

    (outcome,) = await bench.parse(DocumentInput("file:///a.pdf", "0" * 64, 1, read))
    assert (outcome.state, outcome.reason, outcome.message) == (State.FAILED, "source-missing", "it is gone")


async def test_a_damaged_result_is_written_anew(bench: Bench) -> None:
    """A result.json that cannot be read costs a new assembly, not the document."""
    (outcome,) = await bench.parse(document("text"))
    for damage in (b"{}", b"[]", b"{", b'{"schema": 1}'):
        bench.store.put(outcome.outputs + "result.json", damage)
        (again,) = await bench.parse(document("text"))
        assert (again.state, again.requests) == (State.PARSED, 0)


async def test_a_degraded_block_is_explained_with_what_stands_in_its_place(bench: Bench) -> None:
    """Cause and resolution are in the row's message and in result.json."""

    async def degrade(page: RenderedPage) -> PageExtraction | None:
        return answer(page, Degradation(0, "truncated", "ran out of tokens", "own words"))

    bench.model.hook = degrade
    (outcome,) = await bench.parse(document("text"))
    assert outcome.state == State.DEGRADED
    assert outcome.message == "text × 1 (truncated, now text-layer)"
    assert "own words" in bench.store.get(outcome.outputs + "document.md").decode()


async def test_the_time_limit_of_a_run_leaves_it_resumable(bench: Bench) -> None:
    """Beyond workers.timeout_seconds the run stops and names the setting; the next run goes on."""

    async def hang_on_the_last(page: RenderedPage) -> PageExtraction | None:
        if page.index == 1:
            await asyncio.Event().wait()
        return None

    bench.model.hook = hang_on_the_last
    bench.limits = EngineLimits(batch_seconds=0.5)
    with pytest.raises(RunInterruptedError, match=r"workers\.timeout_seconds"):
        await bench.parse(document("one", "two"))
    bench.model.hook, bench.limits = None, EngineLimits()
    (outcome,) = await bench.parse(document("one", "two"))
    assert outcome.state == State.PARSED
