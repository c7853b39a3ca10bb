"""From a document's finished pages to its committed outputs; ``result.json`` comes last."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import unquote

from mineru_pipeline.errors import RenderCrashedError, RenderError, RenderFailedError, RenderTimeoutError
from mineru_pipeline.parsing.assemble import Assembly, assemble, visual_boxes
from mineru_pipeline.parsing.blocks import EndedDegradation, FinishedPage, finish_page
from mineru_pipeline.parsing.checkpoint import Checkpoints
from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.metrics import ParsingMetrics
from mineru_pipeline.parsing.outcome import DocumentOutcome, PageSummary, State, encode_result
from mineru_pipeline.parsing.pages import PageExtraction
from mineru_pipeline.parsing.render import CropBox, LabelledBox, PdfSession
from mineru_pipeline.parsing.report import ReportHeader, render_report
from mineru_pipeline.parsing.revision import ModelIdentity, Revisions
from mineru_pipeline.parsing.signals import Effort, signals_of
from mineru_pipeline.parsing.summaries import summarise_page
from mineru_pipeline.storage import ObjectStore, layout

MARKDOWN = "document.md"
STRUCTURED_CONTENT = "structured_content.json"
MIDDLE = "middle.json"
CONTENT_LIST = "content_list.json"
LAYOUT_PDF = "layout.pdf"
REPORT = "report.html"
THUMBNAIL = "images/thumbnail.jpg"

_NEVER_SHOWN = frozenset({RenderFailedError.code, RenderTimeoutError.code, RenderCrashedError.code})

#: Long edges of the pictures for people, in pixels.
REPORT_EDGE, THUMBNAIL_EDGE = 1000, 480


@dataclass(frozen=True, slots=True)
class Committer:
    """Writes the outputs of one document after the other into the store."""

    store: ObjectStore
    tenant: str
    revisions: Revisions
    model: ModelIdentity
    text_layer_fallback: bool = True
    #: What the documents are parsed as part of; it is noted with each.
    batch: str = ""
    metrics: ParsingMetrics = field(default_factory=ParsingMetrics, compare=False)

    def of_tenant(self, tenant: str) -> Committer:
        """The same, for the documents of another tenant; nothing means its own."""
        return self if tenant in {"", self.tenant} else replace(self, tenant=tenant)

    def result_key(self, sha256: str) -> str:
        """Key of the document's ``result.json``."""
        return layout.result_key(self.tenant, self.revisions.parser, sha256)

    def checkpoints(self, sha256: str) -> Checkpoints:
        """The raw answers of the document."""
        return Checkpoints(self.store, self.tenant, self.revisions.extraction, sha256)

    async def commit(
        self,
        uri: str,
        sha256: str,
        pages: Sequence[PageExtraction],
        pdf: PdfSession,
        *,
        layers: Mapping[int, TextLayer],
        ink_maps: Mapping[int, bytes],
        pictures: Mapping[int, bytes],
        effort: Effort,
    ) -> DocumentOutcome:
        """Assemble the document and write all its outputs, ``result.json`` last.

        Args:
            uri: where the document came from, for the report.
            sha256: its identity.
            pages: every page, in order.
            pdf: the open document, for crops, pictures and the overlay.
            layers: the pages' own text layers, by page, where they are known already.
            ink_maps: where ink is on the pages, by page, where that is known.
            pictures: pages as PNG, for the report; those that it wants besides are drawn.
            effort: what this run has done for it so far.
        """
        prefix = layout.parsed_prefix(self.tenant, self.revisions.parser, sha256)
        finished = await asyncio.to_thread(self._finish, pages)
        warnings: list[str] = []
        crops = await self._write_crops(prefix, finished, pdf, warnings)
        assembly = await asyncio.to_thread(assemble, finished, crops, model_id=self.model.name)
        with self.metrics.stage("store"):
            await asyncio.to_thread(self._write_texts, prefix, assembly)
        await self._write_overlay(prefix, assembly, pdf, warnings)
        summaries = await self._summaries(pages, finished, assembly, pdf, layers, ink_maps)
        outcome = self._outcome(sha256, summaries, warnings, effort, outputs=prefix)
        await self._write_pictures(prefix, uri, outcome, finished, pdf, pictures)
        # A page that was never shown to the model has no answer to keep; another revision tries again.
        answered = [page for page in pages if not any(d.cause in _NEVER_SHOWN for d in page.degradations)]
        with self.metrics.stage("store"):
            await asyncio.to_thread(self.checkpoints(sha256).compact, answered)
        result = encode_result(
            outcome,
            uri=uri,
            tenant=self.tenant,
            revisions=asdict(self.revisions),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        await self._put(self.result_key(sha256), result)
        return outcome

    def _outcome(
        self, sha256: str, summaries: Sequence[PageSummary], warnings: Sequence[str], effort: Effort, *, outputs: str
    ) -> DocumentOutcome:
        seconds = time.monotonic() - effort.started
        degraded = sum(bool(page.degradations) for page in summaries)
        return DocumentOutcome(
            sha256=sha256,
            state=State.DEGRADED if degraded else State.PARSED,
            reason="fallback" if degraded else "",
            message=_explanation(summaries),
            pages=len(summaries),
            degraded_pages=degraded,
            seconds=seconds,
            requests=effort.requests,
            outputs=outputs,
            model=asdict(self.model),
            page_summaries=tuple(summaries),
            warnings=tuple(warnings),
            signals=signals_of(summaries, effort, seconds),
            batch=self.batch,
        )

    def _finish(self, pages: Sequence[PageExtraction]) -> list[FinishedPage]:
        return [finish_page(page, text_layer_fallback=self.text_layer_fallback) for page in pages]

    async def _write_crops(
        self, prefix: str, finished: Sequence[FinishedPage], pdf: PdfSession, warnings: list[str]
    ) -> set[str]:
        """Cut and store the pictures page by page, so that only one page's are in memory; their names."""
        written = set()
        for index, group in groupby(visual_boxes(finished), key=lambda box: box.page):
            boxes = list(group)
            try:
                crops = await pdf.crops(index, [CropBox(box.bbox, box.angle) for box in boxes])
            except RenderError as error:
                warnings.append(f"page {index + 1}: its pictures could not be cut out: {error}")
                continue
            for box, crop in zip(boxes, crops, strict=True):
                await self._put(prefix + box.name, crop)
                written.add(box.name)
        return written

    async def _put(self, key: str, data: bytes) -> None:
        with self.metrics.stage("store"):
            await asyncio.to_thread(self.store.put, key, data)

    def _write_texts(self, prefix: str, assembly: Assembly) -> None:
        self.store.put(prefix + MARKDOWN, assembly.markdown.encode())
        self.store.put(prefix + STRUCTURED_CONTENT, assembly.structured_content)
        self.store.put(prefix + MIDDLE, assembly.middle)
        self.store.put(prefix + CONTENT_LIST, assembly.content_list)

    async def _write_overlay(self, prefix: str, assembly: Assembly, pdf: PdfSession, warnings: list[str]) -> None:
        try:
            overlay = await pdf.overlay(assembly.middle)
        except RenderError as error:
            # A picture for people must not cost the document.
            warnings.append(f"{LAYOUT_PDF} could not be drawn: {error}")
            return
        if overlay.note:
            warnings.append(f"{LAYOUT_PDF} is {overlay.kind}: {overlay.note}")
        await self._put(prefix + LAYOUT_PDF, overlay.pdf)

    async def _write_pictures(
        self,
        prefix: str,
        uri: str,
        outcome: DocumentOutcome,
        finished: Sequence[FinishedPage],
        pdf: PdfSession,
        pictures: Mapping[int, bytes],
    ) -> None:
        """The report, and a thumbnail of the first page with its blocks."""
        loop = asyncio.get_running_loop()
        with suppress(RenderError):
            boxes = [LabelledBox(block.bbox, block.type) for block in finished[0].blocks]
            thumbnail = await pdf.thumbnail(finished[0].index, boxes, edge=THUMBNAIL_EDGE)
            await self._put(prefix + THUMBNAIL, thumbnail)

        async def picture(index: int) -> bytes | None:
            try:
                return await pdf.picture(index, max_edge=REPORT_EDGE)
            except RenderError:
                return None

        def picture_from_thread(index: int) -> bytes | None:
            if index in pictures:
                return pictures[index]
            return asyncio.run_coroutine_threadsafe(picture(index), loop).result()

        header = self._header(uri, outcome)
        report = await asyncio.to_thread(render_report, header, finished, picture_from_thread)
        await self._put(prefix + REPORT, report)

    def _header(self, uri: str, outcome: DocumentOutcome) -> ReportHeader:
        return ReportHeader(
            name=unquote(uri.rsplit("/", 1)[-1]),
            sha256=outcome.sha256,
            state=outcome.state,
            model=self.model.name,
            stand_in=self.model.is_stand_in,
            extraction_revision=self.revisions.extraction,
            parser_revision=self.revisions.parser,
            seconds=outcome.seconds,
            requests=outcome.requests,
            facts={"Source": uri, **{f"Note {n}": text for n, text in enumerate(outcome.warnings, start=1)}},
            agreement={page.index: page.agreement for page in outcome.page_summaries},
        )

    async def _summaries(
        self,
        pages: Sequence[PageExtraction],
        finished: Sequence[FinishedPage],
        assembly: Assembly,
        pdf: PdfSession,
        layers: Mapping[int, TextLayer],
        ink_maps: Mapping[int, bytes],
    ) -> list[PageSummary]:
        refused: dict[int, list[EndedDegradation]] = {}
        for index, ended in assembly.degradations:
            refused.setdefault(index, []).append(ended)
        summaries = []
        for raw, page in zip(pages, finished, strict=True):
            words = await _words(page.index, pdf, layers)
            more = refused.get(page.index, [])
            summaries.append(summarise_page(raw, page, words, ink_maps.get(page.index, b""), more))
        return summaries


async def _words(index: int, pdf: PdfSession, layers: Mapping[int, TextLayer]) -> tuple[Word, ...]:
    if index in layers:
        return layers[index].words()
    try:
        return await pdf.words(index)
    except RenderError:
        return ()


def _explanation(summaries: Sequence[PageSummary]) -> str:
    """What is degraded and what stands in its place, for the row of the document."""
    causes: Counter[tuple[str, str, str]] = Counter()
    for page in summaries:
        for item in page.degradations:
            causes[str(item["kind"]), str(item["cause"]), str(item["ending"])] += 1
    parts = [f"{kind} × {count} ({cause}, now {ending})" for (kind, cause, ending), count in causes.most_common(4)]
    more = len(causes) - len(parts)
    return ", ".join(parts) + (f" and {more} more kinds" if more > 0 else "")
