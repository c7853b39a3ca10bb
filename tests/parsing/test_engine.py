"""The engine over real PDFs, a real store and real render children; only the model is scripted."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from conftest import pdf

from mineru_pipeline.documents.probe import Limits
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.errors import (
    OutageError,
    RenderCrashedError,
    RenderFailedError,
    RenderTimeoutError,
    RunInterruptedError,
    SourceError,
    StoreFullError,
)
from mineru_pipeline.parsing.budget import Hold
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.engine import _PAGE_BYTES, DocumentInput, Engine, EngineLimits
from mineru_pipeline.parsing.extract import ExtractedPage
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage
from mineru_pipeline.parsing.progress import ProgressEvent
from mineru_pipeline.parsing.render import PdfSession, RenderOptions, sandbox_config
from mineru_pipeline.parsing.revision import ModelIdentity, revisions
from mineru_pipeline.storage import FilesystemStore

MODEL = ModelIdentity("test/model")
REVISIONS = revisions(MODEL, RenderOptions(), text_layer_fallback=True)
#: A page of the test documents as pixels: A4 at 200 dpi, RGB.
A4_BYTES = 1654 * 2339 * 3
NOT_COMPARED = {"result.json", "report.html"}


@dataclass
class ScriptedExtractor:
    """Answers each page with its own words; ``hook`` may fail, wait or change the answer."""

    hook: Callable[[RenderedPage], Awaitable[PageExtraction | None]] | None = None
    asked: list[int] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    #: Most bytes that the pages held together, those being rendered included.
    most_bytes: int = 0

    rooms: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))

    async def room(self) -> None:
        """There is for as many pages as ``rooms`` says."""
        await self.rooms.acquire()

    async def extract(self, page: RenderedPage, hold: Hold) -> ExtractedPage:
        self.asked.append(page.index)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.most_bytes = max(self.most_bytes, hold._budget.held)
        try:
            await asyncio.sleep(0)
            changed = await self.hook(page) if self.hook else None
        finally:
            self.in_flight -= 1
        return ExtractedPage(changed or answer(page), 2)


def answer(page: RenderedPage, *degradations: Degradation) -> PageExtraction:
    text = " ".join(word.text for word in page.words)
    block = {"type": "text", "bbox": [0.1, 0.1, 0.9, 0.2], "angle": 0, "content": text, "merge_prev": False}
    sizes = (page.width_pt, page.height_pt, page.pixels.width, page.pixels.height)
    return PageExtraction(page.index, *sizes, page.ink, (block,), degradations)


@dataclass
class Bench:
    """An engine with its store, its model and what it reported."""

    store: FilesystemStore
    model: ScriptedExtractor = field(default_factory=ScriptedExtractor)
    opened: int = 0
    events: list[ProgressEvent] = field(default_factory=list)
    session: Callable[..., Any] = PdfSession
    limits: EngineLimits = field(default_factory=lambda: EngineLimits(page_bytes=3 * A4_BYTES))

    async def parse(self, *documents: DocumentInput) -> list[Any]:
        async with Sandbox(sandbox_config(Limits())) as sandbox:
            engine = Engine(
                Committer(self.store, "default", REVISIONS, MODEL),
                open_pdf=partial(self.session, sandbox),
                open_model=self.open_model,
                limits=self.limits,
                listener=self.events.append,
            )
            return list(await engine.parse(documents))

    @asynccontextmanager
    async def open_model(self) -> AsyncIterator[ScriptedExtractor]:
        self.opened += 1
        yield self.model

    def files(self, room: str) -> dict[str, bytes]:
        return {item.key: self.store.get(item.key) for item in self.store.list(f"{room}/")}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(FilesystemStore(tmp_path / "store"))


def document(*pages: str, name: str = "a.pdf") -> DocumentInput:
    data = pdf(*pages)
    return DocumentInput(f"file:///{name}", hashlib.sha256(data).hexdigest(), len(pages), lambda: data)


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


@pytest.mark.parametrize("room", ["parsed/", "extracted/"])
async def test_a_store_that_keeps_one_document_waiting_does_not_hold_up_the_others(bench: Bench, room: str) -> None:
    """While the store does not answer for one document, whether at its result or its checkpoints, others go on."""
    slow, other = document("slow"), document("other", name="b.pdf")
    answered = threading.Event()

    class Slow(FilesystemStore):
        def get(self, key: str) -> bytes:
            if key.startswith(room) and slow.sha256 in key:
                assert answered.wait(60)
            return super().get(key)

    async def seen(page: RenderedPage) -> None:
        if any(word.text == "other" for word in page.words):
            answered.set()

    slow_bench = Bench(Slow(bench.store.root))
    slow_bench.model.hook = seen
    outcomes = await slow_bench.parse(slow, other)
    assert [outcome.state for outcome in outcomes] == [State.PARSED, State.PARSED]


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


async def test_the_bytes_of_the_pages_in_flight_are_bounded(bench: Bench) -> None:
    """However many pages and documents there are, as many pages as fit are on their way, and no more."""
    sizes: list[int] = []

    async def note(page: RenderedPage) -> PageExtraction | None:
        sizes.append(page.picture_bytes)
        return None

    bench.model.hook = note
    await bench.parse(document("z", name="z.pdf"))
    # Room for one that is being rendered, beside two that are at the model.
    limit, full = _PAGE_BYTES + 2 * sizes[0] + sizes[0] // 2, asyncio.Event()

    async def wait_for_company(page: RenderedPage) -> PageExtraction | None:
        if bench.model.in_flight >= 3:
            full.set()
        await full.wait()
        return None

    bench.model.hook, bench.limits = wait_for_company, EngineLimits(page_bytes=limit)
    outcomes = await bench.parse(document(*"abcd", name="x.pdf"), document(*"efgh", name="y.pdf"))
    assert {outcome.state for outcome in outcomes} == {State.PARSED}
    assert _PAGE_BYTES < bench.model.most_bytes <= limit


async def test_documents_of_one_page_are_on_their_way_in_any_number(bench: Bench) -> None:
    """Two render children suffice for twenty documents at the model at once."""
    full = asyncio.Event()

    async def wait_for_company(page: RenderedPage) -> PageExtraction | None:
        if bench.model.in_flight >= 20:
            full.set()
        await full.wait()
        return None

    bench.model.hook, bench.limits = wait_for_company, EngineLimits(render_children=2)
    outcomes = await bench.parse(*(document(f"page {number}", name=f"{number}.pdf") for number in range(20)))
    assert {outcome.state for outcome in outcomes} == {State.PARSED}


async def test_a_commit_does_not_wait_for_the_rendering_of_others(bench: Bench) -> None:
    """The first document is committed while the render children are kept waiting by the model."""
    bench.model.rooms = asyncio.Semaphore(1)
    bench.limits = EngineLimits(render_children=1)

    class UntilTheFirstIsDone(list[ProgressEvent]):
        def append(self, event: ProgressEvent) -> None:
            super().append(event)
            if event.documents_done == 1:
                for _ in range(3):
                    bench.model.rooms.release()

    bench.events = UntilTheFirstIsDone()
    outcomes = await bench.parse(*(document(f"page {number}", name=f"{number}.pdf") for number in range(4)))
    assert {outcome.state for outcome in outcomes} == {State.PARSED}


class DrawnAgain(PdfSession):
    """Counts the pages that are drawn for people alone."""

    drawn = 0

    async def picture(self, index: int, *, max_edge: int = 1000) -> bytes:
        DrawnAgain.drawn += 1
        return await super().picture(index, max_edge=max_edge)


async def test_the_report_shows_what_the_model_was_shown(bench: Bench) -> None:
    """Its pages are not drawn again, and each has its picture."""
    bench.session, DrawnAgain.drawn = DrawnAgain, 0
    (outcome,) = await bench.parse(document("page 1", "page 2"))
    assert DrawnAgain.drawn == 0
    assert bench.store.get(outcome.outputs + "report.html").count(b"data:image/png") == 2


async def test_pages_that_the_model_was_not_shown_now_are_drawn_for_the_report(bench: Bench) -> None:
    """Assembled from an earlier run's answers, a document has the same pictures in its report."""
    given = document("page 1", "page 2")
    (outcome,) = await bench.parse(given)
    bench.store.delete(outcome.outputs + "result.json")
    bench.session, DrawnAgain.drawn = DrawnAgain, 0
    await bench.parse(given)
    assert DrawnAgain.drawn == 2
    assert bench.store.get(outcome.outputs + "report.html").count(b"data:image/jpeg") == 2


class CountedSessions(PdfSession):
    """Counts the documents that are open at once."""

    open_now = 0
    most = 0
    opened = 0

    async def __aenter__(self) -> Self:
        CountedSessions.opened += 1
        CountedSessions.open_now += 1
        CountedSessions.most = max(CountedSessions.most, CountedSessions.open_now)
        return self

    async def __aexit__(self, *failure: Any) -> None:  # noqa: PYI036 - passed on as they come
        CountedSessions.open_now -= 1
        await super().__aexit__(*failure)


async def test_no_more_documents_are_open_than_render_children_allow(bench: Bench) -> None:
    """One that is rendered, two that wait with their children and one that is committed, however many there are."""
    bench.session = CountedSessions
    bench.limits = EngineLimits(render_children=1)
    await bench.parse(*(document(f"page {number}", "and another", name=f"{number}.pdf") for number in range(5)))
    assert 1 <= CountedSessions.most <= 4


async def test_one_child_renders_a_document_and_commits_it(bench: Bench) -> None:
    """The document is read once where nobody else waits for the model."""
    bench.session, CountedSessions.opened = CountedSessions, 0
    await bench.parse(document("page 1", "page 2"))
    assert CountedSessions.opened == 1


async def test_documents_that_wait_for_the_model_hold_no_children_but_a_few(bench: Bench) -> None:
    """Of five that wait at once two keep their children; the other three get new ones for the commit."""
    everybody = asyncio.Event()

    async def wait_for_company(page: RenderedPage) -> PageExtraction | None:
        if bench.model.in_flight >= 5:
            everybody.set()
        await everybody.wait()
        return None

    bench.session, CountedSessions.opened = CountedSessions, 0
    bench.model.hook, bench.limits = wait_for_company, EngineLimits(render_children=1)
    await bench.parse(*(document(f"page {number}", name=f"{number}.pdf") for number in range(5)))
    assert CountedSessions.opened == 5 + 3


class BrokenPages(PdfSession):
    """A session whose page 1 cannot be rendered, or kills its child each time."""

    error: Exception = RenderFailedError("page 2 is broken")
    broken = (1,)

    async def render(self, index: int, **options: bool) -> RenderedPage:
        if index in self.broken:
            raise self.error
        return await super().render(index, **options)


class DeadlyPages(BrokenPages):
    error = RenderCrashedError("the child crashed")
    broken = (0, 1, 2, 3)


class DeadlyTail(DeadlyPages):
    broken = (1, 2, 3, 4, 5, 6, 7)


class SlowOnce(PdfSession):
    slow = True

    async def render(self, index: int, **options: bool) -> RenderedPage:
        if self.slow:
            self.slow = False
            raise RenderTimeoutError("took too long")
        return await super().render(index, **options)


async def test_one_unrenderable_page_degrades_the_document_and_no_more(bench: Bench) -> None:
    """The other pages are as they were, and the gap is marked and explained."""
    bench.session = BrokenPages
    (outcome,) = await bench.parse(document("one", "two", "three"))
    assert (outcome.state, outcome.degraded_pages) == (State.DEGRADED, 1)
    assert "render-failed" in outcome.message
    text = bench.store.get(outcome.outputs + "document.md").decode()
    assert "one" in text
    assert "three" in text
    assert "[unreadable" in text


async def test_pages_that_keep_killing_the_child_do_not_cost_the_others(bench: Bench) -> None:
    """After three deaths in a row the rest become gaps, but what was rendered before is kept."""
    bench.session = DeadlyTail
    (outcome,) = await bench.parse(document(*(f"word{number}" for number in range(8))))
    assert (outcome.state, outcome.degraded_pages) == (State.DEGRADED, 7)
    assert "word0" in bench.store.get(outcome.outputs + "document.md").decode()
    # Nothing is remembered of pages that the model never saw.
    (model,) = bench.files("extracted").values()
    assert model.count(b"\n") == 1


async def test_a_document_of_which_nothing_can_be_rendered_fails(bench: Bench) -> None:
    """It fails with the reason; a neighbour is parsed all the same."""
    bench.session = DeadlyPages
    (outcome,) = await bench.parse(document("one", "two", "three", "four"))
    assert (outcome.state, outcome.reason) == (State.FAILED, "render-crashed")


async def test_a_time_out_has_a_second_chance(bench: Bench) -> None:
    """A page that is too slow once, on a busy machine, is not lost for it."""
    bench.session = SlowOnce
    (outcome,) = await bench.parse(document("one", "two"))
    assert outcome.state == State.PARSED


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
