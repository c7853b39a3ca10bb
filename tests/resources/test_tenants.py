"""Documents of several tenants in one batch: each is parsed for its own, and none sees another's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from conftest import pdf

from mineru_pipeline.documents.discovery import discover
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.progress import ignore_progress
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import FilesystemStore, layout
from resources import parsing

NOW = utc_moment("2026-01-02T03:04:05Z")


async def through(found: Settings, store: FilesystemStore, batch: str) -> list[ParsedRow]:
    sources = await parsing.examine(found, store, batch)
    ledger.write(store, ledger.SOURCE_DOCUMENTS, parsing.revisions_of(found).parser, batch, sources, SourceRow)
    return (await parsing.parse(found, store, batch, ignore_progress, ClientMetrics())).rows


def test_the_same_bytes_are_another_document_for_another_tenant(tmp_path: Path, found: Settings) -> None:
    """Outputs lie under each tenant; a duplicate is one within its tenant alone, and costs no request."""
    (tmp_path / "a.pdf").write_bytes(pdf("hello"))
    (ref,) = discover([tmp_path / "a.pdf"], received_at=NOW)
    refs = tuple(replace(ref, tenant=tenant) for tenant in ("acme", None, "acme", "zeta", "batch"))
    store = FilesystemStore(found.store_root)
    write_manifest(store, BatchManifest("b", "batch", refs))
    rows = asyncio.run(through(found, store, "b"))
    assert [row.tenant for row in rows] == ["acme", "batch", "acme", "zeta", "batch"]
    assert [row.duplicate_of is not None for row in rows] == [False, False, True, False, True]
    assert [row.state for row in rows] == ["parsed"] * 5
    assert [row.requests > 0 for row in rows] == [True, True, False, True, False]
    for row in rows:
        assert row.outputs.startswith(f"parsed/{row.tenant}/")
        assert json.loads(store.get(f"{row.outputs}result.json"))["tenant"] == row.tenant
    assert {item.key.split("/")[1] for item in store.list("extracted/")} == {"acme", "batch", "zeta"}


def test_what_fails_of_a_tenant_is_noted_for_it_alone(tmp_path: Path, found: Settings) -> None:
    """Two tenants' notes on the same place are two, and each names its tenant."""
    (tmp_path / "a.pdf").write_bytes(pdf("hello"))
    (ref,) = discover([tmp_path / "a.pdf"], received_at=NOW)
    (tmp_path / "a.pdf").unlink()
    store = FilesystemStore(found.store_root)
    write_manifest(store, BatchManifest("b", "batch", (replace(ref, tenant="acme"), ref)))
    asyncio.run(through(found, store, "b"))
    notes = [json.loads(store.get(item.key)) for item in store.list("quarantine/")]
    assert {note["tenant"] for note in notes} == {"acme", "batch"}


def test_identities_without_a_tenant_are_what_they_were() -> None:
    """A named tenant goes into the identity; otherwise it is the hash of the bytes, or of the place."""
    sha = "a" * 64
    assert layout.document_identity(sha256=sha, uri="u", version=None) == sha
    named = {layout.document_identity(sha256=sha, uri="u", version=None, tenant=tenant) for tenant in (None, "a", "b")}
    assert len(named) == 3
