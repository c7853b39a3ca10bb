"""What became of a document: the content of ``result.json`` and of a row in the table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

_SCHEMA = 1


class State(StrEnum):
    """Where a manifest entry can end."""

    PARSED = "parsed"
    DEGRADED = "degraded"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PageSummary:
    """The few facts about a page that checks and people ask for."""

    index: int
    blocks: int
    characters: int
    #: Share of the text layer's words found in the page's text (0–1); None without a text layer.
    agreement: float | None
    #: What was degraded and how it ended: ``block``, ``cause``, ``message``, ``resolution``.
    degradations: tuple[Mapping[str, Any], ...] = ()
    #: Whether some answer repeats itself without end.
    repetitive: bool = False
    #: Whether the page has text of its own, or ink, and its outputs have none.
    missing_text: bool = False
    #: Blocks by MinerU's type.
    kinds: Mapping[str, int] = field(default_factory=dict)
    #: Share of the ink (0–1) that no block covers; None where there is none, or where nobody looked.
    uncovered_ink: float | None = None
    #: Share of its words (0–1) that the text layer does not have, or not as often; None without a text layer.
    surplus: float | None = None
    #: Share of the words (0–1) that no language would spell so, and of sequences of words that came before;
    #: None with a text layer, which says more, and without words.
    odd_words: float | None = None
    repeated: float | None = None


@dataclass(frozen=True, slots=True)
class DocumentOutcome:
    """How a document ended. ``parsed`` and ``degraded`` ones are committed as ``result.json``."""

    sha256: str
    state: State
    reason: str = ""
    message: str = ""
    pages: int = 0
    degraded_pages: int = 0
    seconds: float = 0.0
    #: Requests to the model that this run made for the document.
    requests: int = 0
    #: Key of the folder of outputs, ending with a slash; "" where there are none.
    outputs: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    page_summaries: tuple[PageSummary, ...] = ()
    warnings: tuple[str, ...] = ()
    #: What can be said of its quality without knowing the truth: see :mod:`mineru_pipeline.parsing.signals`.
    signals: Mapping[str, float | None] = field(default_factory=dict)
    #: The batch whose run committed it.
    batch: str = ""
    #: Whether it had been committed before this run, which then did nothing.
    reused: bool = False


def encode_result(outcome: DocumentOutcome, **context: Any) -> bytes:
    """``result.json``: the outcome, with ``context`` (source, revisions, times) beside it."""
    record = {"schema": _SCHEMA, **context, **asdict(outcome)}
    del record["reused"]
    return json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n"


def decode_result(data: bytes) -> DocumentOutcome:
    """The outcome in a ``result.json``, marked as reused: it cost this run nothing.

    Raises:
        ValueError: not a result of this schema.
    """
    record = json.loads(data)
    try:
        if record["schema"] != _SCHEMA:
            raise ValueError(f"result.json of schema {record['schema']}, expected {_SCHEMA}")
        # Results of earlier releases have neither signals nor a batch, and are as good.
        record = {"signals": {}, "batch": "", **record}
        values = {name: record[name] for name in DocumentOutcome.__dataclass_fields__ if name != "reused"}
        values["state"] = State(values["state"])
        values["page_summaries"] = tuple(_summary(item) for item in values["page_summaries"])
        values["warnings"] = tuple(values["warnings"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged result.json: {error!r}") from error
    return DocumentOutcome(**{**values, "seconds": 0.0, "requests": 0, "reused": True})


def _summary(item: Mapping[str, Any]) -> PageSummary:
    return PageSummary(**{**item, "degradations": tuple(item["degradations"])})


def mean_agreement(pages: Sequence[PageSummary]) -> float | None:
    """Mean over the pages that have a text layer; None if none has."""
    known = [page.agreement for page in pages if page.agreement is not None]
    return sum(known) / len(known) if known else None
