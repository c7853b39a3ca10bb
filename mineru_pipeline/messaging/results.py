"""Result events: what became of a document, for whoever asked for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mineru_pipeline.messaging.cloudevents import CloudEvent

SOURCE = "mineru-pipeline"
TYPES: Mapping[str, str] = {
    state: f"mineru-pipeline.document.{state}.v1" for state in ("parsed", "degraded", "rejected", "failed")
}


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """How one manifest entry ended, in the words of the table."""

    batch: str
    #: The place in the manifest, from 0.
    entry: int
    tenant: str
    uri: str
    version: str | None
    sha256: str | None
    #: ``parsed``, ``degraded``, ``rejected`` or ``failed``.
    state: str
    reason: str
    message: str
    pages: int
    degraded_pages: int
    seconds: float
    #: Address of the folder of outputs; "" where there are none.
    outputs: str
    #: Key of the folder of outputs in the store.
    outputs_key: str
    parser_revision: str
    duplicate_of: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def result_event(result: DocumentResult, finished_at: str) -> CloudEvent:
    """Return the event; the same end of the same entry under the same revision has the same id, however often told."""
    named = [result.batch, result.entry, result.parser_revision, result.state]
    identity = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]
    data: dict[str, Any] = {
        "uri": result.uri,
        "version": result.version,
        "tenant": result.tenant,
        "metadata": dict(result.metadata),
        "sha256": result.sha256,
        "state": result.state,
        "reason": result.reason,
        "message": result.message,
        "pages": result.pages,
        "degraded_pages": result.degraded_pages,
        "seconds": result.seconds,
        "outputs": result.outputs or None,
        "outputs_key": result.outputs_key or None,
        "parser_revision": result.parser_revision,
        "batch": result.batch,
        "entry": result.entry,
        "duplicate_of": result.duplicate_of,
    }
    return CloudEvent(identity, SOURCE, TYPES[result.state], data, result.sha256 or None, finished_at)
