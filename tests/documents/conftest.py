"""Sandboxes on real processes, and PDFs of every bad kind."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig

#: Lets coverage measure the zygote; a sandbox gives it nothing of the environment by itself.
COVERAGE = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


@pytest.fixture
async def hostile_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox whose children can run ``hostile_service:HostileService``, with 64 MiB each."""
    config = SandboxConfig(memory_mib=64, max_reply_mib=8, search_path=(Path(__file__).parent,), environment=COVERAGE)
    async with Sandbox(config) as sandbox:
        yield sandbox


@pytest.fixture
async def pdf_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox for probing."""
    config = SandboxConfig(preload=("mineru_pipeline.documents.pdfium",), memory_mib=256, environment=COVERAGE)
    async with Sandbox(config) as sandbox:
        yield sandbox


@pytest.fixture
def plain_pdf() -> bytes:
    """Three A4 pages with a line of text each."""
    return draw_pdf(3)


def draw_pdf(pages: int, size: tuple[float, float] = (595.0, 842.0)) -> bytes:
    output = io.BytesIO()
    canvas = Canvas(output, pagesize=size, invariant=1)
    for number in range(1, pages + 1):
        canvas.drawString(72, size[1] / 2, f"This is page {number}.")
        canvas.showPage()
    canvas.save()
    return output.getvalue()


def encrypt(pdf: bytes, *, user: str, owner: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt(user, owner, algorithm="AES-256")
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


@pytest.fixture
def bad_pdfs(plain_pdf: bytes) -> dict[str, bytes]:
    """One file for each reason a document is rejected for, by reason."""
    empty_tree = (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF\n"
    )
    return {
        "empty": b"",
        "not-a-pdf": b"PK\x03\x04 this is a zip, and nothing else" * 100,
        "corrupt": plain_pdf[: len(plain_pdf) // 2],
        "encrypted": encrypt(plain_pdf, user="secret", owner="owner"),
        "no-pages": empty_tree,
        "too-many-bytes": plain_pdf + b"\n" * 2_000_000,
        "too-many-pages": draw_pdf(21),
        "page-too-large": draw_pdf(1, (20_000.0, 300.0)),
    }


@pytest.fixture
def owner_protected_pdf(plain_pdf: bytes) -> bytes:
    """A PDF that anyone may read and nobody may edit."""
    return encrypt(plain_pdf, user="", owner="owner")
