"""Keeps a corpus in the object store, its index last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mineru_pipeline.quality.corpus.draft import CorpusDocument
from mineru_pipeline.storage.layout import corpus_key
from mineru_pipeline.storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """Where a document of the corpus and its truth lie."""

    name: str
    stratum: str
    pages: int
    sha256: str
    pdf: str
    truth: str


def write(store: ObjectStore, version: str, documents: Iterable[CorpusDocument], *, index: str) -> list[StoredDocument]:
    """Store ``documents`` under ``version``, then the list of them as ``index``.

    Writing twice is harmless: equal versions mean equal bytes. The documents of a sample are those of the whole
    under the same keys, so each selection needs an index of its own, such as ``all`` or ``sample-2``.
    """
    stored = []
    for document in documents:
        pdf, truth = corpus_key(version, f"{document.name}.pdf"), corpus_key(version, f"{document.name}.truth.json")
        store.put(pdf, document.pdf)
        store.put(truth, document.truth.to_json().encode())
        digest = hashlib.sha256(document.pdf).hexdigest()
        stated = document.truth
        stored.append(StoredDocument(document.name, stated.stratum, stated.pages, digest, pdf, truth))
    entries = [asdict(each) for each in stored]
    store.put(corpus_key(version, f"index-{index}.json"), (json.dumps(entries, indent=1) + "\n").encode())
    return stored
