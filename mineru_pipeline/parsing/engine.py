"""Render, extract and assemble all documents of a batch as one bounded asynchronous stream.

Documents are rendered in order, as many at once as there are render children, and each page only
when the model wants more. How many documents are on their way follows from that: one of a thousand
pages, or hundreds of one page, take at most ``page_bytes`` of memory. Finished pages are checkpointed
at once; a document is committed by its ``result.json``, written last.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import loguru

from mineru_pipeline.errors import (
    ObjectNotFoundError,
    PipelineError,
    RenderError,
    RenderFailedError,
    RenderTimeoutError,
    RunInterruptedError,
    SourceError,
    ends_run,
)
from mineru_pipeline.parsing.budget import ByteBudget, Hold
from mineru_pipeline.parsing.checkpoint import Checkpoints
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.extract import ExtractedPage, PageExtractor
from mineru_pipeline.parsing.layer import TextLayer
from mineru_pipeline.parsing.memory import return_large_blocks
from mineru_pipeline.parsing.outcome import DocumentOutcome, State, decode_result
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage
from mineru_pipeline.parsing.progress import Progress, ProgressListener
from mineru_pipeline.parsing.render import PdfSession
from mineru_pipeline.parsing.report import select_pages
from mineru_pipeline.parsing.signals import Effort
from mineru_pipeline.parsing.tasks import first_error_wins

logger = logging.getLogger(__name__)

#: After so many pages in a row that kill or hang the render child, the rest become gaps untried.
MAX_CHILD_DEATHS = 3
#: What is set aside for a page before its size is known: more than the packed pixels of most pages take.
_PAGE_BYTES = 2 << 20

#: Children that wait with their document for the model, for each that renders: a new one costs a fork and an opening.
_WAITING = 2
#: What all pictures kept for reports may take; further ones are drawn when they are wanted.
_PICTURES_BYTES = 16 << 20

OpenPdf = Callable[[bytes], AbstractAsyncContextManager[PdfSession]]
OpenModel = Callable[[], AbstractAsyncContextManager[PageExtractor]]


@dataclass(frozen=True, slots=True)
class DocumentInput:
    """A document that intake accepted."""

    uri: str
    sha256: str
    page_count: int
    #: Reads the bytes; again for the assembly, unless the child that rendered them was kept.
    read: Callable[[], bytes]
    #: Whose it is; "" leaves it to the committer.
    tenant: str = ""


@dataclass(slots=True)
class _Work:
    """A document on its way."""

    document: DocumentInput
    committer: Committer
    checkpoints: Checkpoints
    pages: dict[int, PageExtraction] = field(default_factory=dict)
    #: The text layers of pages rendered in this run, and where their ink is.
    layers: dict[int, TextLayer] = field(default_factory=dict)
    ink_maps: dict[int, bytes] = field(default_factory=dict)
    #: The pages that the report shows if nothing goes wrong.
    shown: frozenset[int] = field(init=False)
    #: Pictures of these, as far as there was room to keep them.
    pictures: dict[int, bytes] = field(default_factory=dict)
    #: When its turn came.
    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    asked_again: Counter[str] = field(default_factory=Counter)
    #: Pages that an earlier run had answered: what it asked, and how long that took, is not known.
    resumed: int = 0
    rendered: int = 0
    deaths_in_a_row: int = 0
    #: The document as it was opened for rendering, if its child was kept for the commit.
    pdf: PdfSession | None = None

    def __post_init__(self) -> None:
        self.shown = frozenset(select_pages(self.document.page_count, ()))

    def resume(self) -> None:
        """Take over what an earlier run has finished."""
        self.pages = {i: page for i, page in self.checkpoints.load().items() if i < self.document.page_count}

    @property
    def missing(self) -> list[int]:
        return [index for index in range(self.document.page_count) if index not in self.pages]


class LazyModel:
    """Opens the model when the first page needs it: a batch of finished documents starts no server."""

    def __init__(self, open_model: OpenModel) -> None:
        self._open = open_model
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._extractor: PageExtractor | None = None

    async def extractor(self) -> PageExtractor:
        """The extractor; raises what opening the model raises."""
        async with self._lock:
            if self._extractor is None:
                self._extractor = await self._stack.enter_async_context(self._open())
            return self._extractor

    async def aclose(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How much the engine takes on at once, and for how long (seconds)."""

    #: Memory of all pages on their way, be it as packed pixels or as the crops that wait to be sent.
    page_bytes: int = 160 << 20
    #: Documents that are rendered at once; besides, as many are committed, so that neither waits for the other,
    #: and the children of twice as many are kept from the one to the other.
    render_children: int = 2
    batch_seconds: float = 4 * 3600


@dataclass(slots=True)
class Engine:
    """Parses batches. One instance serves one run."""

    committer: Committer
    open_pdf: OpenPdf
    open_model: OpenModel
    limits: EngineLimits
    listener: ProgressListener
    _bytes: ByteBudget = field(init=False)
    _rendering: asyncio.Semaphore = field(init=False)
    _committing: asyncio.Semaphore = field(init=False)
    _waiting_children: int = field(init=False, default=0)
    #: Bytes of the pictures kept for reports.
    _pictures: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._bytes = ByteBudget(self.limits.page_bytes)
        self._rendering = asyncio.Semaphore(self.limits.render_children)
        self._committing = asyncio.Semaphore(self.limits.render_children)

    async def parse(self, documents: Sequence[DocumentInput]) -> list[DocumentOutcome]:
        """Parse all documents; one outcome each, in the order given.

        Raises:
            StoreError, OutageError, ModelServerError: the run cannot go on; finished pages are kept.
            RunInterruptedError: the time limit of the run has passed; finished pages are kept.
        """
        return_large_blocks()
        for library in ("docvortex", "mineru_vl_utils"):
            # Their log lines quote what stands on the pages.
            loguru.logger.disable(library)
        progress = Progress(self.listener, documents=len(documents), pages=sum(d.page_count for d in documents))
        model = LazyModel(self.open_model)
        try:
            async with asyncio.timeout(self.limits.batch_seconds), first_error_wins() as group:
                tasks = [group.create_task(self._document(document, model, progress)) for document in documents]
        except TimeoutError as error:
            raise RunInterruptedError(
                f"the batch took longer than workers.timeout_seconds = {self.limits.batch_seconds:g} s; "
                "finished pages are kept, start it again to go on"
            ) from error
        finally:
            await model.aclose()
        return [task.result() for task in tasks]

    async def _document(self, document: DocumentInput, model: LazyModel, progress: Progress) -> DocumentOutcome:
        committer = self.committer.of_tenant(document.tenant)
        work = _Work(document, committer, committer.checkpoints(document.sha256))
        try:
            outcome = await self._parsed(work, model, progress)
        except Exception as error:
            if ends_run(error):
                raise
            outcome = _failed(document, error, time.monotonic() - work.started)
        self.committer.metrics.ended(outcome)
        progress.document_done(outcome)
        return outcome

    def _committed(self, work: _Work) -> DocumentOutcome | None:
        document = work.document
        try:
            return decode_result(work.committer.store.get(work.committer.result_key(document.sha256)))
        except ObjectNotFoundError:
            return None
        except ValueError as error:
            logger.warning("parsing %s again: %s", document.uri, error)
            return None

    async def _parsed(self, work: _Work, model: LazyModel, progress: Progress) -> DocumentOutcome:
        document = work.document
        async with AsyncExitStack() as kept:
            async with first_error_wins() as group, self._rendering:
                work.started = time.monotonic()
                # In threads: a store across the network may keep them waiting, and the other documents must go on.
                if (outcome := await asyncio.to_thread(self._committed, work)) is not None:
                    progress.pages_done(document.page_count)
                    return outcome
                await asyncio.to_thread(work.resume)
                work.resumed = len(work.pages)
                self.committer.metrics.answered("checkpoint", work.resumed)
                progress.pages_done(len(work.pages))
                if work.missing:
                    await self._render_missing(work, model, progress, group, kept)
            async with self._committing, self._reopened(work) as pdf:
                with self.committer.metrics.stage("assemble"):
                    return await work.committer.commit(
                        document.uri,
                        document.sha256,
                        [work.pages[index] for index in range(document.page_count)],
                        pdf,
                        layers=work.layers,
                        ink_maps=work.ink_maps,
                        pictures=work.pictures,
                        effort=Effort(work.started, work.requests, work.asked_again, resumed=work.resumed),
                    )

    async def _render_missing(
        self, work: _Work, model: LazyModel, progress: Progress, group: asyncio.TaskGroup, kept: AsyncExitStack
    ) -> None:
        """Render page after page, as fast as the pages in flight allow; ``kept`` may get the child to close.

        Raises:
            RenderError: no page at all could be rendered.
        """
        error: RenderError | None = None
        async with AsyncExitStack() as session:
            pdf = await session.enter_async_context(self._opened(work.document))
            for index in work.missing:
                hold = await self._room(model)
                try:
                    page = await self._render(index, work, pdf)
                except RenderError as failure:
                    hold.release()
                    error = error or failure
                    work.pages[index] = _unrendered(index, failure)
                    progress.pages_done(1)
                except BaseException:
                    hold.release()
                    raise
                else:
                    work.rendered += 1
                    work.layers[index] = page.layer
                    work.ink_maps[index] = page.ink_map
                    self._keep_picture(page, work, kept)
                    hold.resize(page.picture_bytes)
                    task = group.create_task(self._extract(page, hold, work, model, progress))
                    # Cancelled before its first step, a task runs no "finally".
                    task.add_done_callback(partial(_release, hold))
                    del page
            if error is not None and not work.rendered and all(not page.blocks for page in work.pages.values()):
                raise error
            if self._waiting_children < _WAITING * self.limits.render_children:
                self._keep_child(work, pdf, session, kept)

    def _keep_picture(self, page: RenderedPage, work: _Work, kept: AsyncExitStack) -> None:
        """Keep what the report will show of the page, which then need not be drawn again; a few for all documents."""
        size = len(page.shown)
        if size and self._pictures + size <= _PICTURES_BYTES:
            work.pictures[page.index] = page.shown
            self._pictures += size
            kept.callback(self._drop_picture, size)

    def _drop_picture(self, size: int) -> None:
        self._pictures -= size

    def _keep_child(self, work: _Work, pdf: PdfSession, session: AsyncExitStack, kept: AsyncExitStack) -> None:
        """Let the child live until ``kept`` ends: a new one would cost a fork, and read the document again.

        Only a few, for the model may take its time, and any number of documents wait for it.
        """
        work.pdf = pdf
        self._waiting_children += 1
        kept.push_async_exit(session.pop_all())
        kept.callback(self._no_longer_waits, work)

    @asynccontextmanager
    async def _reopened(self, work: _Work) -> AsyncIterator[PdfSession]:
        """The document with the child that rendered it, if it was kept, or else with a new one."""
        if (pdf := work.pdf) is not None:
            self._no_longer_waits(work)
            yield pdf
            return
        async with self._opened(work.document) as pdf:
            yield pdf

    def _no_longer_waits(self, work: _Work) -> None:
        if work.pdf is not None:
            work.pdf = None
            self._waiting_children -= 1

    async def _room(self, model: LazyModel) -> Hold:
        """Wait until the model wants another page, and there is memory for one."""
        await (await model.extractor()).room()
        return await self._bytes.acquire(_PAGE_BYTES)

    async def _render(self, index: int, work: _Work, pdf: PdfSession) -> RenderedPage:
        """The pixels of a page; a time-out may be the machine's fault, so it has a second chance."""
        if work.deaths_in_a_row >= MAX_CHILD_DEATHS:
            raise RenderTimeoutError(f"Not tried: the {MAX_CHILD_DEATHS} pages before it each killed the render child.")
        try:
            with self.committer.metrics.stage("render"):
                try:
                    page = await pdf.render(index, shown=index in work.shown)
                except RenderTimeoutError:
                    page = await pdf.render(index, shown=index in work.shown)
        except RenderFailedError:
            raise
        except RenderError:
            work.deaths_in_a_row += 1
            raise
        work.deaths_in_a_row = 0
        return page

    async def _extract(self, page: RenderedPage, hold: Hold, work: _Work, model: LazyModel, progress: Progress) -> None:
        try:
            extraction = (await model.extractor()).extract(page, hold)
            # The extractor lets go of the pixels as soon as it can; so must everybody else.
            del page
            extracted = await extraction
        finally:
            hold.release()
        work.requests += extracted.requests
        work.asked_again.update(extracted.asked_again)
        work.pages[extracted.extraction.index] = extracted.extraction
        await self._keep(extracted, work)
        progress.pages_done(1)

    async def _keep(self, extracted: ExtractedPage, work: _Work) -> None:
        metrics = self.committer.metrics
        metrics.spent("layout", extracted.layout_seconds)
        metrics.spent("blocks", extracted.blocks_seconds)
        with metrics.stage("store"):
            await asyncio.to_thread(work.checkpoints.save, extracted.extraction)
        metrics.answered("model")

    @asynccontextmanager
    async def _opened(self, document: DocumentInput) -> AsyncIterator[PdfSession]:
        data = await asyncio.to_thread(document.read)
        if hashlib.sha256(data).hexdigest() != document.sha256:
            raise SourceError("source-changed", f"{document.uri} changed while it was being parsed; submit it again")
        async with self.open_pdf(data) as pdf:
            yield pdf


def _release(hold: Hold, task: asyncio.Task[None]) -> None:
    del task
    hold.release()


def _unrendered(index: int, error: RenderError) -> PageExtraction:
    """A page of which nothing can be shown; A4 stands in for the size that nobody could tell."""
    return PageExtraction(
        index=index,
        width_pt=595.0,
        height_pt=842.0,
        width_px=1654,
        height_px=2339,
        ink=1.0,
        blocks=(),
        degradations=(Degradation(None, error.code, str(error)),),
    )


def _failed(document: DocumentInput, error: Exception, seconds: float) -> DocumentOutcome:
    if isinstance(error, PipelineError):
        reason, message = getattr(error, "reason", error.code), str(error)
    else:
        # A defect of ours, or of a library on hostile input: it costs this document alone.
        logger.error("unexpected error while parsing %s", document.uri, exc_info=error)
        reason, message = "internal", f"{type(error).__name__}: {error}"
    return DocumentOutcome(document.sha256, State.FAILED, reason, message, pages=document.page_count, seconds=seconds)
