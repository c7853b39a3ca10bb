"""How much the engine has on its way at once: pages, bytes, open documents and render children."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

import pytest
from scripted_engine import Bench, document

from mineru_pipeline.parsing.engine import _PAGE_BYTES, EngineLimits
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.pages import PageExtraction, RenderedPage
from mineru_pipeline.parsing.progress import ProgressEvent
from mineru_pipeline.parsing.render import PdfSession
from mineru_pipeline.storage import FilesystemStore


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
