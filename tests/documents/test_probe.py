"""Probing: every bad file is rejected with the reason that fits, every good one is described."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mineru_pipeline.documents.probe import DocumentInfo, Limits, probe
from mineru_pipeline.documents.rejection import RejectionReason, rejected
from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig
from mineru_pipeline.errors import RejectedDocumentError, RenderUnavailableError

LIMITS = Limits(max_bytes=1_000_000, max_pages=20)
CORPUS = Path(os.environ.get("MINERU_PIPELINE_TEST_PDFS", Path(__file__).parents[3] / "shared" / "pdfs"))


async def outcome(probing: Awaitable[DocumentInfo]) -> str:
    try:
        await probing
    except RejectedDocumentError as error:
        return error.reason
    return "parsed"


async def test_every_kind_of_bad_file_gets_its_reason(pdf_sandbox: Sandbox, bad_pdfs: dict[str, bytes]) -> None:
    """Empty, alien, cut, encrypted, without pages and over each limit: each has its own code."""
    got = {reason: await outcome(probe(pdf_sandbox, data, LIMITS)) for reason, data in bad_pdfs.items()}
    assert got == {reason: reason for reason in bad_pdfs}


async def test_a_good_file_is_described(pdf_sandbox: Sandbox, plain_pdf: bytes) -> None:
    """Page count, sizes in points and producer are told."""
    info = await probe(pdf_sandbox, plain_pdf, LIMITS)
    assert info.page_count == 3
    assert [(round(w), round(h)) for w, h in filter(None, info.page_sizes)] == [(595, 842)] * 3
    assert info.encrypted is False
    assert "ReportLab" in info.producer


async def test_an_owner_password_alone_is_no_obstacle(pdf_sandbox: Sandbox, owner_protected_pdf: bytes) -> None:
    """A file that only forbids editing is read, and said to be encrypted."""
    info = await probe(pdf_sandbox, owner_protected_pdf, LIMITS)
    assert (info.page_count, info.encrypted) == (3, True)


async def test_limits_are_told_with_both_numbers(pdf_sandbox: Sandbox, bad_pdfs: dict[str, bytes]) -> None:
    """Whoever reads a rejection learns what the file has and what is allowed."""
    for reason, numbers in {"too-many-pages": ("21", "20"), "page-too-large": ("20000", "14400")}.items():
        with pytest.raises(RejectedDocumentError) as raised:
            await probe(pdf_sandbox, bad_pdfs[reason], LIMITS)
        assert all(number in str(raised.value) for number in numbers)


async def test_a_raised_limit_lets_the_file_in(pdf_sandbox: Sandbox, bad_pdfs: dict[str, bytes]) -> None:
    """The limits are the caller's: the same files pass when they are raised."""
    generous = Limits(max_bytes=10_000_000, max_pages=21, max_page_edge_pt=20_000)
    for reason in ("too-many-bytes", "too-many-pages", "page-too-large"):
        assert await outcome(probe(pdf_sandbox, bad_pdfs[reason], generous)) == "parsed"


async def test_many_documents_are_probed_at_once(pdf_sandbox: Sandbox, plain_pdf: bytes) -> None:
    """Each probe has a child of its own, so they do not wait for each other nor mix."""
    infos = await asyncio.gather(*(probe(pdf_sandbox, plain_pdf, LIMITS) for _ in range(40)))
    assert {info.page_count for info in infos} == {3}


@pytest.mark.parametrize(
    ("limits", "sandbox_memory", "reason"),
    [
        (Limits(seconds_per_page=0.000_001), 256, "probe-timeout"),
        (Limits(memory_mib=1), 1, "crashes-renderer"),
    ],
)
async def test_a_file_that_hangs_or_kills_the_renderer_is_rejected(
    plain_pdf: bytes, limits: Limits, sandbox_memory: int, reason: str
) -> None:
    """After two attempts the file is given up, with a reason of its own for each way to fail."""
    async with Sandbox(SandboxConfig(preload=("mineru_pipeline.documents.pdfium",), memory_mib=sandbox_memory)) as box:
        assert await outcome(probe(box, plain_pdf + b"\n" * 8_000_000, limits)) == reason


async def test_a_sandbox_that_cannot_start_says_nothing_about_the_file(plain_pdf: bytes) -> None:
    """Without a child there is a RenderUnavailableError, never a rejection."""
    with pytest.raises(RenderUnavailableError, match="cannot start"):
        await probe(Sandbox(SandboxConfig(preload=("no_such_module",))), plain_pdf, LIMITS)


async def test_too_many_bytes_never_reach_a_child() -> None:
    """Size is judged by the parent: no sandbox is needed to turn away what is empty or too large."""
    never_started = Sandbox(SandboxConfig(preload=("no_such_module",)))
    assert await outcome(probe(never_started, b"", LIMITS)) == "empty"
    assert await outcome(probe(never_started, b"x" * 1_000_001, LIMITS)) == "too-many-bytes"


def test_every_reason_has_a_sentence() -> None:
    """Each code explains itself in one sentence, and the error carries both."""
    for reason in RejectionReason:
        assert reason.sentence.endswith(".")
        assert rejected(reason, "Detail.").reason == reason.value
        assert str(rejected(reason, "Detail.")) == f"{reason.sentence} Detail."


@pytest.mark.skipif(not (CORPUS / "manifest.csv").exists(), reason="the corpus of real PDFs is not here")
async def test_real_files_end_as_their_manifest_expects(
    pdf_sandbox: Sandbox, record_property: Callable[[str, object], None]
) -> None:
    """Every file of the corpus is accepted or rejected as its manifest says, page counts included."""
    wrong = []
    with (CORPUS / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        data = await asyncio.to_thread((CORPUS / row["file"]).read_bytes)
        try:
            got, pages = "parsed", str((await probe(pdf_sandbox, data, Limits())).page_count)
        except RejectedDocumentError as error:
            got, pages = error.reason, row["pages"]
        expected = row["expected"].removeprefix("rejected: ").replace("no pages", "no-pages").split(" or ")
        if got not in expected or pages != row["pages"]:
            wrong.append(f"{row['file']}: {got}, {pages} pages; expected {row['expected']}, {row['pages']}")
    record_property("files", len(rows))
    assert wrong == []
