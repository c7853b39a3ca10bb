"""What the signals and scores of a document are made of: the model's answers, the text layer, the ink, the truth.

From it everything behind the model's answers is computed anew, by the code that a parse runs.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.parsing.assemble import assemble, visual_boxes
from mineru_pipeline.parsing.blocks import finish_page
from mineru_pipeline.parsing.checkpoint import Checkpoints, decode_page, encode_page
from mineru_pipeline.parsing.layer import TextLayer
from mineru_pipeline.parsing.outcome import PageSummary
from mineru_pipeline.parsing.pages import PageExtraction
from mineru_pipeline.parsing.render import PdfSession, sandbox_config
from mineru_pipeline.parsing.signals import Effort, signals_of
from mineru_pipeline.parsing.summaries import summarise_page
from mineru_pipeline.quality.corpus.draft import CorpusDocument
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import DocumentScores
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from resources.parsing import limits_of, render_options, revisions_of


@dataclass(frozen=True, slots=True)
class Material:
    """One document; all sequences have an item for each page."""

    truth: DocumentTruth
    pages: Sequence[PageExtraction]
    layers: Sequence[TextLayer]
    ink_maps: Sequence[bytes]
    #: Questions that were asked again, by what was wrong with the first answer.
    asked_again: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """As many as the answers took: one for each page and block, and those asked again."""
        return sum(1 + len(page.blocks) for page in self.pages) + sum(self.asked_again.values())


@dataclass(frozen=True, slots=True)
class Assessed:
    """A document with what can be said of it without its truth, and with it."""

    signals: Mapping[str, float | None]
    scores: DocumentScores


def assess(material: Material, *, text_layer_fallback: bool = True) -> Assessed:
    """Assemble the answers, and take signals and scores from what comes out; seconds are nobody's."""
    finished = [finish_page(page, text_layer_fallback=text_layer_fallback) for page in material.pages]
    assembly = assemble(finished, {box.name for box in visual_boxes(finished)}, model_id="")
    summaries: list[PageSummary] = []
    for raw, page, layer, ink in zip(material.pages, finished, material.layers, material.ink_maps, strict=True):
        refused = [ended for index, ended in assembly.degradations if index == page.index]
        summaries.append(summarise_page(raw, page, layer.words(), ink, refused))
    effort = Effort(0.0, material.requests, material.asked_again)
    signals = {**signals_of(summaries, effort, 0.0), "seconds_per_page": None}
    return Assessed(signals, score_document(material.truth, json.loads(assembly.content_list)))


async def gather(
    settings: Settings, store: ObjectStore, documents: Iterable[CorpusDocument]
) -> AsyncIterator[Material]:
    """Yield the material of documents that the store has a parse of; their pages are drawn again, for layer and ink.

    Raises:
        GateInputError: a document has not been parsed with these settings, or not to its end.
    """
    limits, revision = limits_of(settings), revisions_of(settings).extraction
    async with Sandbox(sandbox_config(limits)) as sandbox:
        for document in documents:
            sha256 = hashlib.sha256(document.pdf).hexdigest()
            answers = Checkpoints(store, settings.tenant, revision, sha256).load()
            count = document.truth.pages
            if sorted(answers) != list(range(count)):
                raise GateInputError(
                    f"{document.name} is not in {store.uri('extracted')} as read by {revision}: parse the corpus first"
                )
            async with PdfSession(sandbox, document.pdf, limits=limits, options=render_options(settings)) as pdf:
                rendered = [(await pdf.render(index)).without_pictures() for index in range(count)]
            yield Material(
                document.truth,
                [answers[index] for index in range(count)],
                [page.layer for page in rendered],
                [page.ink_map for page in rendered],
            )


def pack(materials: Mapping[str, Material]) -> bytes:
    """Return materials by name as one file; the same materials give the same bytes."""
    lines = [json.dumps({"name": name, **_encoded(material)}, sort_keys=True) for name, material in materials.items()]
    return gzip.compress("\n".join(lines).encode(), mtime=0)


def unpack(data: bytes) -> dict[str, Material]:
    """Return what :func:`pack` was given.

    Raises:
        GateInputError: it is no such file.
    """
    try:
        records = [json.loads(line) for line in gzip.decompress(data).splitlines()]
        return {str(record["name"]): _decoded(record) for record in records}
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise GateInputError(f"these are no cases: {error!r}") from error


def _encoded(material: Material) -> dict[str, Any]:
    return {
        "truth": material.truth.to_json(),
        "pages": [encode_page(page).decode() for page in material.pages],
        "layers": [[layer.count, _text(layer.packed)] for layer in material.layers],
        "ink": [_text(zlib.compress(ink, 9)) for ink in material.ink_maps],
        "asked_again": dict(material.asked_again),
    }


def _decoded(record: Mapping[str, Any]) -> Material:
    return Material(
        DocumentTruth.from_json(record["truth"]),
        [decode_page(page.encode()) for page in record["pages"]],
        [TextLayer(count, base64.b64decode(packed)) for count, packed in record["layers"]],
        [zlib.decompress(base64.b64decode(ink)) for ink in record["ink"]],
        record["asked_again"],
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
