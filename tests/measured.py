"""A small corpus with its measurements, without any model: for the tests of what is made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from conftest import pdf

from mineru_pipeline.quality import measurements
from mineru_pipeline.quality.damage import Entry, faithful
from mineru_pipeline.quality.measurements import (
    Begun,
    Corpus,
    CorpusEntry,
    MeasuredDocument,
    MeasuredModel,
    Measurement,
    Selection,
)
from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind
from mineru_pipeline.storage import ObjectStore, layout

CORPUS = "v9-0123456789ab"
MODEL = MeasuredModel("example/model", "r1", is_stand_in=False)

#: What a parse says of a document; None where there is none.
Parse = Callable[[DocumentTruth], list[Entry] | None]


def truth(number: int) -> DocumentTruth:
    """A header, a title, a table, and a paragraph of words that no other document has."""
    words = " ".join(f"word{number}x{place} {number * 1000 + place}" for place in range(40))
    table = "<table><tr><td>1</td><td>20</td></tr><tr><td>300</td><td>4000</td></tr></table>"
    blocks = (
        TruthBlock("h", TruthKind.HEADER, 0, f"Running head {number}"),
        TruthBlock("t", TruthKind.TITLE, 0, f"Title {number}", level=1),
        TruthBlock("p", TruthKind.TEXT, 0, words),
        TruthBlock("table", TruthKind.TABLE, 0, table),
    )
    return DocumentTruth(f"made-up-{number:02}", "made-up", ("en",), 1, blocks)


def blank(_: DocumentTruth) -> list[Entry]:
    """A parse in which nothing was read."""
    return []


def unparsed(_: DocumentTruth) -> None:
    """No parse at all."""


def store_corpus(
    store: ObjectStore, truths: Sequence[DocumentTruth], selection: Selection | None = None, version: str = CORPUS
) -> Corpus:
    """Store documents, their truths and the index of them, as the generator does."""
    selection = selection or Selection()
    entries = []
    for each in truths:
        data = pdf(*(f"{each.name} page {page}" for page in range(each.pages)))
        keys = [layout.corpus_key(version, f"{each.name}.{kind}") for kind in ("pdf", "truth.json")]
        store.put(keys[0], data)
        store.put(keys[1], each.to_json().encode())
        digest = hashlib.sha256(data).hexdigest()
        entries.append(CorpusEntry(each.name, each.stratum, each.pages, digest, *keys))
    index = layout.corpus_key(version, f"index-{selection.name}.json")
    store.put(index, json.dumps([asdict(entry) for entry in entries]).encode())
    return measurements.stored_corpus(store, version, selection)


def measurement(
    store: ObjectStore,
    corpus: Corpus,
    name: str = "20260102T030405Z-00000000",
    parse: Parse = faithful,
    revision: str = "0123456789ab",
    model: MeasuredModel = MODEL,
) -> Measurement:
    """Store the measurement that ``parse`` makes of a corpus; not scored yet."""
    begun = measurements.begin(
        store, Begun(name, corpus.version, corpus.selection, revision, "2026-01-02T03:04:05Z", "test")
    )
    documents = []
    for entry in corpus.entries:
        entries = parse(DocumentTruth.from_json(store.get(entry.truth).decode()))
        outputs = layout.parsed_prefix(begun.tenant, revision, entry.sha256) if entries is not None else ""
        if entries is not None:
            store.put(outputs + "content_list.json", json.dumps(entries).encode())
        state = "parsed" if outputs else "failed"
        documents.append(
            MeasuredDocument(entry.name, entry.stratum, 1, entry.sha256, state, "", "", 0, 0.5, 3, outputs)
        )
    times = begun.started_at, "2026-01-02T03:05:05Z"
    kept = Measurement(
        name, corpus.version, corpus.selection, revision, "ba9876543210", model, *times, tuple(documents)
    )
    return measurements.keep(store, kept)
