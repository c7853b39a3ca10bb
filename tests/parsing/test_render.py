"""Rendering through the sandbox: one page never costs a document, and memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from mineru_pipeline.documents.probe import Limits
from mineru_pipeline.documents.sandbox import Reply, Sandbox, SandboxChild, SandboxConfig
from mineru_pipeline.errors import (
    RejectedDocumentError,
    RenderCrashedError,
    RenderError,
    RenderFailedError,
    RenderTimeoutError,
)
from mineru_pipeline.parsing.pictures import is_layout_picture
from mineru_pipeline.parsing.render import CropBox, LabelledBox, Overlay, PdfSession, RenderOptions, sandbox_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = Limits(memory_mib=256)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One sandbox for all tests of this module; every test has children of its own."""
    config = sandbox_config(LIMITS)
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    async with Sandbox(SandboxConfig(config.preload, config.memory_mib, environment=coverage)) as sandbox:
        yield sandbox


def plain(pages: int) -> bytes:
    output = io.BytesIO()
    canvas = Canvas(output, pagesize=(595, 842), invariant=1)
    for number in range(pages):
        canvas.drawString(72, 700, f"This is page {number}.")
        canvas.rect(100, 100, 300, 300, fill=number % 2)
        canvas.showPage()
    canvas.save()
    return output.getvalue()


def with_bad_page(content: bytes, entries: bytes = b"") -> bytes:
    """Three pages, of which the second does what the content says; xref is left to PDFium to rebuild."""
    good = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 5 0 R>>"
    bad = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 6 0 R%s>>" % entries
    square = b"10 10 50 50 re f"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R 4 0 R 3 0 R]/Count 3>>",
        good,
        bad,
        b"<</Length %d>>stream\n%s\nendstream" % (len(square), square),
        content,
    ]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, each) for number, each in enumerate(objects, start=1))
    return b"%PDF-1.7\n" + body + b"trailer<</Root 1 0 R>>\n%%EOF\n"


def endless_tiles() -> bytes:
    """A page in six hundred bytes that keeps PDFium busy for minutes: a large tile repeated at tiny steps."""
    paint = b"/Pattern cs /P scn 0 0 200 200 re f"
    page = with_bad_page(
        b"<</Length %d>>stream\n%s\nendstream" % (len(paint), paint), b"/Resources<</Pattern<</P 7 0 R>>>>"
    )
    tile = b"<</PatternType 1/PaintType 1/TilingType 1/BBox[0 0 99 99]/XStep .01/YStep .01/Resources<<>>/Length 14>>"
    return page.replace(b"trailer", b"7 0 obj\n" + tile + b"stream\n0 0 50 50 re f\nendstream\nendobj\ntrailer")


def billion_laughs() -> bytes:
    """Nine forms, each drawing the next one ten times: a page that takes hours, and gigabytes."""
    forms = b""
    for number in range(7, 16):
        last = number == 15
        content = b"0 0 9 9 re f" if last else b"/F Do " * 10
        resources = b"" if last else b"/Resources<</XObject<</F %d 0 R>>>>" % (number + 1)
        forms += (
            b"%d 0 obj\n<</Type/XObject/Subtype/Form/BBox[0 0 200 200]%s/Length %d>>stream\n%s\nendstream\nendobj\n"
            % (
                number,
                resources,
                len(content),
                content,
            )
        )
    page = with_bad_page(b"<</Length 5>>stream\n/F Do\nendstream", b"/Resources<</XObject<</F 7 0 R>>>>")
    return page.replace(b"trailer", forms + b"trailer")


def middle_json(pages: int) -> bytes:
    block = {"type": "text", "index": 0, "bbox": [0.1, 0.1, 0.9, 0.2], "content": [{"type": "text", "content": "x"}]}
    document = {
        "schema": "docvortex.middle",
        "schema_version": "2.0",
        "metadata": {"file_suffix": "pdf", "producer": {"name": "test", "version": "1"}},
        "is_full_document": True,
        "pages": [{"page_idx": index, "blocks": [block]} for index in range(pages)],
    }
    return json.dumps(document).encode()


class CannotDraw(Sandbox):
    """A sandbox, and the child in it, that opens documents but cannot draw on their pages."""

    alive = True

    async def spawn(self, service: str) -> SandboxChild:
        return self  # type: ignore[return-value]

    async def request(self, operation: str, *_: object, **__: object) -> Reply:
        opened: dict[str, Any] = {"page_count": 2, "page_sizes": [None] * 2, "encrypted": False}
        if operation == "open":
            return Reply(opened | {"producer": "", "title": ""}, ())
        if operation == "overlay":
            raise RenderFailedError("The overlay cannot be drawn: no.")
        return Reply({"kind": "raster"}, (b"%PDF of pictures",))

    def close(self) -> None:  # type: ignore[override]
        """Nothing was started."""


async def test_a_page_comes_with_pixels_ink_and_words(sandbox: Sandbox) -> None:
    """A4 at 200 dpi is 1653 x 2339 pixels of three bytes, with its words and its share of ink."""
    async with PdfSession(sandbox, plain(2)) as pdf:
        assert (await pdf.info()).page_count == 2
        page = await pdf.render(1)
        assert (page.index, page.width_px, page.height_px) == (1, 1653, 2339)
        assert (page.pixels.width, page.pixels.height) == (1653, 2339)
        assert is_layout_picture(page.layout)
        assert page.ink == pytest.approx(90_000 / (595 * 842), rel=0.05)
        assert [word.text for word in page.words] == ["This", "is", "page", "1."]
        assert page.words == await pdf.words(1)


async def test_two_sessions_give_the_same_bytes(sandbox: Sandbox) -> None:
    """Everything that ends up in the store is a function of the document."""

    async def everything() -> tuple[object, ...]:
        async with PdfSession(sandbox, plain(2)) as pdf:
            return (
                await pdf.render(0),
                await pdf.crops(0, [CropBox((0.1, 0.1, 0.5, 0.5), 90)]),
                await pdf.thumbnail(0, [LabelledBox((0.1, 0.1, 0.5, 0.5), "text")], edge=200),
                await pdf.overlay(middle_json(2)),
            )

    assert await everything() == await everything()


async def test_options_change_the_pixels(sandbox: Sandbox) -> None:
    """Resolution and longest edge are the caller's."""
    async with PdfSession(sandbox, plain(1), options=RenderOptions(dpi=72, max_long_edge_px=421)) as pdf:
        page = await pdf.render(0)
    assert (page.width_px, page.height_px) == (298, 421)


async def test_a_page_is_shown_to_people_as_to_the_model(sandbox: Sandbox) -> None:
    """Only if that is asked for; a page that would be large as PNG is shown as JPEG."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (600, 600, 3), dtype=np.uint8))
    photograph = io.BytesIO()
    noise.save(photograph, "PDF")
    async with PdfSession(sandbox, plain(1)) as pdf:
        assert (await pdf.render(0)).shown == b""
        page = await pdf.render(0, shown=True)
        assert page.shown == page.layout
    async with PdfSession(sandbox, photograph.getvalue()) as pdf:
        page = await pdf.render(0, shown=True)
    shown = Image.open(io.BytesIO(page.shown))
    assert (shown.format, shown.size) == ("JPEG", Image.open(io.BytesIO(page.layout)).size)
    assert len(page.shown) < len(page.layout)


async def test_crops_and_pictures_are_jpegs(sandbox: Sandbox) -> None:
    """One picture per box, in order; no boxes, no work; the picture has the size asked for."""
    async with PdfSession(sandbox, plain(1)) as pdf:
        assert await pdf.crops(0, []) == []
        wide, tall = await pdf.crops(0, [CropBox((0, 0, 1, 0.1)), CropBox((0, 0, 0.1, 1))])
        picture = await pdf.picture(0, max_edge=421)
        boxes = [LabelledBox((0.1, 0.1, 0.9, 0.2), "title: 0")]
        thumbnail = await pdf.thumbnail(0, boxes, edge=842)
    sizes = [Image.open(io.BytesIO(jpeg)).size for jpeg in (wide, tall, picture, thumbnail)]
    assert sizes == [(1653, 234), (166, 2339), (298, 421), (595, 842)]


async def test_the_overlay_says_how_it_was_made(sandbox: Sandbox) -> None:
    """Normally the original pages; pictures of them, with a note, where drawing on those fails."""
    async with PdfSession(sandbox, plain(2)) as pdf:
        vector = await pdf.overlay(middle_json(2))
    assert (vector.kind, vector.note) == ("vector", "")
    assert vector.pdf.startswith(b"%PDF")
    async with PdfSession(CannotDraw(), plain(2)) as pdf:
        raster = await pdf.overlay(middle_json(2))
    assert raster == Overlay(b"%PDF of pictures", "raster", "The overlay cannot be drawn: no.")


async def test_a_page_that_kills_the_child_does_not_cost_the_overlay(sandbox: Sandbox) -> None:
    """Pages without blocks, as those that could not be rendered, are not touched when the others are drawn on."""
    limits = Limits(seconds_per_page=3, memory_mib=256)
    async with PdfSession(sandbox, endless_tiles(), limits=limits) as pdf:
        overlay = await pdf.overlay(middle_json(1))
    assert (overlay.kind, overlay.note) == ("vector", "")


async def test_a_page_that_hangs_costs_that_page_alone(sandbox: Sandbox) -> None:
    """The pages before and after a page without end are rendered; that one times out and is named."""
    async with PdfSession(sandbox, endless_tiles(), limits=Limits(seconds_per_page=3, memory_mib=256)) as pdf:
        assert (await pdf.render(0)).ink > 0
        with pytest.raises(RenderTimeoutError, match="Page 2"):
            await pdf.render(1)
        assert (await pdf.render(2)).ink > 0


async def test_a_child_killed_from_outside_is_replaced_unnoticed(sandbox: Sandbox) -> None:
    """A crash that is not the document's fault costs nothing: the request is done again in a new child."""
    async with PdfSession(sandbox, plain(2)) as pdf:
        first = await pdf.render(0)
        assert pdf.child_pid is not None
        psutil.Process(pdf.child_pid).kill()
        assert await pdf.render(0) == first


async def test_a_page_that_eats_memory_costs_that_page_alone() -> None:
    """A page that outgrows the memory limit ends in RenderCrashedError that names the limit; the next is rendered."""
    async with Sandbox(sandbox_config(Limits(memory_mib=40))) as small, PdfSession(small, billion_laughs()) as pdf:
        with pytest.raises(RenderCrashedError, match=r"Page 2: .*40 MiB"):
            await pdf.render(1)
        assert (await pdf.render(2)).ink > 0


async def test_pixels_over_the_memory_limit_are_told_as_such() -> None:
    """When not even the picture itself fits, the error names the limit."""
    async with Sandbox(sandbox_config(Limits(memory_mib=8))) as small, PdfSession(small, plain(1)) as pdf:
        with pytest.raises(RenderCrashedError, match="memory limit of 8 MiB"):
            await pdf.render(0)


async def test_an_image_bomb_cannot_pass_the_memory_limit(sandbox: Sandbox) -> None:
    """An image of two gigabytes in a file of two megabytes costs its page at most, and never the memory."""
    side, block = 46_000, zlib.compressobj(9)
    piece = block.compress(bytes(1 << 24)) + block.flush(zlib.Z_FULL_FLUSH)
    pixels = piece + (piece[2:] * (side * side // (1 << 24)))
    image = (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8"
        b"/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (side, side, len(pixels), pixels)
    )
    draw = b"<</Length 30>>stream\nq 200 0 0 200 0 0 cm /I Do Q \nendstream"
    data = with_bad_page(draw, b"/Resources<</XObject<</I 7 0 R>>>>")
    data = data.replace(b"trailer", b"7 0 obj\n%s\nendobj\ntrailer" % image)
    async with PdfSession(sandbox, data, limits=Limits(seconds_per_page=20, memory_mib=256)) as pdf:
        assert (await pdf.render(0)).ink > 0
        with contextlib.suppress(RenderError):
            await pdf.render(1)
        assert (await pdf.render(2)).ink > 0


async def test_a_rejected_document_is_rejected_here_too(sandbox: Sandbox) -> None:
    """A session on a file that cannot be opened raises the same reason as probing."""
    async with PdfSession(sandbox, b"%PDF-1.4 nonsense") as pdf:
        with pytest.raises(RejectedDocumentError) as raised:
            await pdf.render(0)
    assert raised.value.reason == "corrupt"


async def test_pages_asked_for_at_once_take_turns(sandbox: Sandbox) -> None:
    """Concurrent requests of one session all get their own page, from one child."""
    async with PdfSession(sandbox, plain(6)) as pdf:
        pages = await asyncio.gather(*(pdf.render(index) for index in range(6)))
    assert [page.words[-1].text for page in pages] == [f"{index}." for index in range(6)]


async def test_the_memory_of_a_child_does_not_grow_with_the_pages(sandbox: Sandbox) -> None:
    """Once it has settled, a child holds as much after sixty pages as after twenty."""
    async with PdfSession(sandbox, plain(60)) as pdf:
        for index in range(20):
            await pdf.render(index)
        assert pdf.child_pid is not None
        child = psutil.Process(pdf.child_pid)
        early = child.memory_info().rss
        for index in range(20, 60):
            await pdf.render(index)
        assert child.memory_info().rss < early * 1.2
        assert child.memory_info().rss < 250 << 20


async def test_what_pdfium_has_read_is_given_back(sandbox: Sandbox) -> None:
    """Fourteen pages with eight megabytes of their own each do not add up in the child."""
    side = 1633
    head = (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8/Length %d>>stream\n"
    )
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    kids = []
    for _ in range(14):
        image = head % (side, side, side * side * 3) + os.urandom(side * side * 3) + b"\nendstream"
        content = b"<</Length 29>>stream\nq 99 0 0 99 0 0 cm /I Do Q    \nendstream"
        place = len(objects) + 1
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents %d 0 R/Resources<</XObject<</I %d 0 R>>>>>>"
        objects += [page % (place + 1, place + 2), content, image]
        kids.append(b"%d 0 R" % place)
    objects[1] = b"<</Type/Pages/Kids[%s]/Count 14>>" % b" ".join(kids)
    data = b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, each) for n, each in enumerate(objects, start=1))
    async with PdfSession(sandbox, data + b"trailer<</Root 1 0 R>>\n%%EOF\n") as pdf:
        await pdf.render(0)
        assert pdf.child_pid is not None
        child = psutil.Process(pdf.child_pid)
        first = child.memory_info().rss
        for index in range(1, 14):
            await pdf.render(index)
        assert child.memory_info().rss - first < 80 << 20


async def test_the_zygote_has_one_thread(sandbox: Sandbox) -> None:
    """Forking is safe only while nothing that is imported beforehand starts a thread."""
    await sandbox.start()
    assert sandbox.pid is not None
    assert psutil.Process(sandbox.pid).num_threads() == 1


async def test_closing_ends_the_child(sandbox: Sandbox) -> None:
    """A closed session has no process."""
    pdf = PdfSession(sandbox, plain(1))
    await pdf.render(0)
    pid = pdf.child_pid
    assert pid is not None
    pdf.close()
    assert pdf.child_pid is None
    while psutil.pid_exists(pid):  # noqa: ASYNC110 - another process sets no event of ours
        await asyncio.sleep(0.01)
