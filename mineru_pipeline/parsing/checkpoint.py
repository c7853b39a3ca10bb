"""Finished pages, kept so that a killed run redoes at most the pages in flight."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from mineru_pipeline.errors import ObjectNotFoundError
from mineru_pipeline.parsing.pages import Degradation, PageExtraction
from mineru_pipeline.storage import ObjectStore, layout

logger = logging.getLogger(__name__)

_SCHEMA = 1


def encode_page(page: PageExtraction) -> bytes:
    """One line of JSON; the same answers give the same bytes."""
    # Not asdict() of the page, which copies every number of every block.
    record = {
        "schema": _SCHEMA,
        **{each.name: getattr(page, each.name) for each in fields(page)},
        "degradations": [asdict(degradation) for degradation in page.degradations],
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def decode_page(data: bytes) -> PageExtraction:
    """The inverse of :func:`encode_page`.

    Raises:
        ValueError: the bytes are not a checkpoint of this schema.
    """
    record: dict[str, Any] = json.loads(data)
    if not isinstance(record, dict) or record.pop("schema", None) != _SCHEMA:
        raise ValueError("not a page checkpoint of this version")
    try:
        record["blocks"] = tuple(record["blocks"])
        record["degradations"] = tuple(Degradation(**item) for item in record["degradations"])
        return PageExtraction(**record)
    except (KeyError, TypeError) as error:
        raise ValueError(f"malformed page checkpoint: {error}") from error


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The raw answers of one document: page by page while it runs, one ``model.jsonl`` afterwards."""

    store: ObjectStore
    tenant: str
    extraction_revision: str
    sha256: str

    @property
    def _place(self) -> tuple[str, str, str]:
        return self.tenant, self.extraction_revision, self.sha256

    def load(self) -> dict[int, PageExtraction]:
        """Every page that is already answered, by page index."""
        pages = {}
        for line in self._lines():
            try:
                page = decode_page(line)
            except ValueError as error:
                # Asking the model again is always possible; trusting half a page never is.
                logger.warning("ignoring a checkpoint of %s: %s", self.sha256, error)
                continue
            pages[page.index] = page
        return pages

    def _lines(self) -> list[bytes]:
        lines = self._compacted()
        single = []
        for item in self.store.list(layout.page_checkpoints_prefix(*self._place)):
            with suppress(ObjectNotFoundError):
                # Gone: another run has just compacted it.
                single.append(self.store.get(item.key))
        return [*single, *(lines or self._compacted())]

    def _compacted(self) -> list[bytes]:
        try:
            return self.store.get(layout.model_key(*self._place)).splitlines()
        except ObjectNotFoundError:
            return []

    def save(self, page: PageExtraction) -> None:
        """Keep a finished page."""
        self.store.put(layout.page_checkpoint_key(*self._place, page.index), encode_page(page))

    def compact(self, pages: Sequence[PageExtraction]) -> None:
        """Replace the single pages by one object; a crash in between loses nothing."""
        self.store.put(layout.model_key(*self._place), b"".join(encode_page(page) for page in pages))
        for item in list(self.store.list(layout.page_checkpoints_prefix(*self._place))):
            self.store.delete(item.key)
