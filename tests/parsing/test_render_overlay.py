"""The overlays that the render service draws, by itself, in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium_c
import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from rendering import CATALOG, FONT, HELLO, LETTER, Opened, dark_box, one_page, raw_pdf, shared_memory, stream

from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.palette import COLOURS
from mineru_pipeline.parsing.render_overlay import boxes_by_page


@pytest.fixture
def shared() -> Iterator[int]:
    with shared_memory() as descriptor:
        yield descriptor


def middle_json(*bboxes: tuple[float, float, float, float]) -> bytearray:
    """Docvortex's middle JSON with a text block on the first page for each box."""
    blocks = [
        {"type": "text", "index": index, "bbox": bbox, "content": [{"type": "text", "content": "x"}]}
        for index, bbox in enumerate(bboxes)
    ]
    document = {
        "schema": "docvortex.middle",
        "schema_version": "2.0",
        "metadata": {"file_suffix": "pdf", "producer": {"name": "test", "version": "1"}},
        "is_full_document": True,
        "pages": [{"page_idx": 0, "blocks": blocks}],
    }
    return bytearray(json.dumps(document).encode())


def encrypted(data: bytes) -> bytes:
    """The document with a password that only its owner needs."""
    writer, output = PdfWriter(clone_from=PdfReader(io.BytesIO(data))), io.BytesIO()
    writer.encrypt("", "owner", algorithm="AES-128")
    writer.write(output)
    return output.getvalue()


OVERLAYS = {
    "plain": one_page(),
    "without xref": one_page(xref=False),
    "encrypted": encrypted(one_page()),
    "no media box": one_page(FONT),
    "nonsense for a media box": one_page(b"/MediaBox(x)" + FONT),
    "no right angle": one_page(LETTER + b"/Rotate 45" + FONT),
    "scaled for good": one_page(content=HELLO.replace(b"BT", b"1 0 0 1 0 0 cm BT")),
    "literal identifier": one_page().replace(b"/Root 1 0 R>>", b"/Root 1 0 R/ID[(a\\)b\x00c)(d)]>>"),
}


@pytest.mark.parametrize("kind", OVERLAYS)
def test_the_overlay_is_the_document_with_its_blocks(shared: int, kind: str) -> None:
    """Pages, text and size are kept, blocks are labelled, and nobody needs a password, sound file or not."""
    opened = Opened(OVERLAYS[kind], shared)
    values, (pdf,) = opened.call("overlay", middle_json((0.1, 0.05, 0.9, 0.2)))
    assert values == {"kind": "vector"}
    drawn = pypdfium2.PdfDocument(pdf)
    assert pdfium_c.FPDF_GetSecurityHandlerRevision(drawn) < 0
    assert drawn[0].get_size() == (612, 792)
    assert {"Hello", "text: 0"} <= set(drawn[0].get_textpage().get_text_range().split("\r\n"))


def changed_box(before: Image.Image, after: Image.Image) -> tuple[float, float, float, float]:
    """The smallest box around all pixels that differ, in fractions."""
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(after)).max(axis=2)
    return dark_box(Image.fromarray((255 * (difference < 64)).astype(np.uint8)))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("content", [HELLO, stream(b"q .5 0 0 .2 9 9 cm 0 0 20 20 re f")], ids=["sound", "left scaled"])
def test_blocks_lie_where_they_are_seen(shared: int, rotation: int, content: bytes) -> None:
    """On rotated and cropped pages frames surround their part of the displayed page; labels stand upright above."""
    page = b"/MediaBox[-50 -20 700 900]/CropBox[20 100 520 800]/Rotate %d" % rotation + FONT
    data = one_page(page, content)
    _, (pdf,) = Opened(data, shared).call("overlay", middle_json((0.3, 0.4, 0.6, 0.7)))
    before, after = (pypdfium2.PdfDocument(each)[0].render(scale=2).to_pil() for each in (data, pdf))
    left, top, right, bottom = changed_box(before, after)
    label_height = 8.0 * 700 / 842 / (before.height / 2)
    assert (left, top, right, bottom) == pytest.approx((0.3, 0.4 - label_height, 0.6, 0.7), abs=0.004)
    above = (0, 0, before.width, int(before.height * 0.398))
    label = changed_box(before.crop(above), after.crop(above))
    assert label[0] == pytest.approx(0.3, abs=0.004)
    assert label[2] < 0.4


def test_a_label_stays_on_the_page(shared: int) -> None:
    """The label of a block in the upper right corner is moved inside, where it can be read."""
    _, (pdf,) = Opened(one_page(), shared).call("overlay", middle_json((0.99, 0.0, 1.0, 0.1)))
    words = Opened(pdf, shared).words()
    assert [word.text for word in words] == ["Hello", "text:", "0"]
    assert all(0 < word.x0 < word.x1 < 1 and 0 < word.y0 < word.y1 < 0.02 for word in words[1:])


def test_frames_of_visual_blocks_are_left_to_their_parts() -> None:
    """A table is drawn as its body and caption, a list with its items, an empty picture as itself."""
    body = {"type": "table_body", "index": 1, "bbox": [0, 0, 1, 0.5], "content": "<table></table>"}
    caption = {"type": "table_caption", "bbox": [0, 0.5, 1, 1], "content": [{"type": "text", "content": "x"}]}
    blocks = [
        {"type": "table", "index": 1, "bbox": [0, 0, 1, 1], "content": [body, caption]},
        {"type": "list", "index": 2, "bbox": [0, 0, 1, 1], "content": [{"type": "text", "bbox": [0, 0, 1, 1]}]},
        {"type": "image", "index": 3, "bbox": [0, 0, 1, 1], "content": []},
        {"type": "text", "index": 4, "content": "nowhere"},
    ]
    boxes = boxes_by_page(json.dumps({"pages": [{"page_idx": 7, "blocks": blocks}]}).encode())
    labels = [box["label"] for box in boxes[7]]
    assert labels == ["table_body: 1", "table_caption: -", "list: 2", "text: -", "image: 3"]


def test_the_pages_are_as_they_were_after_the_overlay(shared: int) -> None:
    """What is drawn for the overlay is on no picture that is asked for afterwards."""
    opened = Opened(one_page(), shared)
    before = opened.call("picture", index=0, max_edge=500)
    opened.call("overlay", middle_json((0.1, 0.1, 0.9, 0.2)))
    assert opened.call("picture", index=0, max_edge=500) == before


@pytest.mark.parametrize("kind", [*OVERLAYS, "raster"])
def test_overlays_are_the_same_bytes_every_time(shared: int, kind: str) -> None:
    """No time, no random identifier and no name differs between two runs."""
    operation, more = ("raster_overlay", {"max_edge": 500}) if kind == "raster" else ("overlay", {})
    data = OVERLAYS.get(kind, one_page())
    first, second = (Opened(data, shared).call(operation, middle_json((0, 0, 1, 1)), **more) for _ in range(2))
    assert first == second
    for trace in (b"uuid", b"20261", b"D:2027"):
        assert trace not in first[1][0]


@pytest.mark.parametrize("kind", OVERLAYS)
def test_an_overlay_does_not_depend_on_what_the_child_did_before(shared: int, kind: str) -> None:
    """A child that rendered the pages, and one that was opened for the overlay, give the same bytes."""
    fresh, used = (Opened(OVERLAYS[kind], shared) for _ in range(2))
    used.call("picture", index=0, max_edge=500)
    overlays = [opened.call("overlay", middle_json((0, 0, 1, 1))) for opened in (fresh, used)]
    assert overlays[0] == overlays[1]


def test_pictures_of_pages_stand_in_for_the_pages(shared: int) -> None:
    """The raster overlay has pages of the same size that show what was on them, and the blocks."""
    _, (pdf,) = Opened(one_page(), shared).call("raster_overlay", middle_json((0.1, 0.5, 0.9, 0.6)), max_edge=792)
    (drawn,) = pypdfium2.PdfDocument(pdf)
    assert drawn.get_size() == (612, 792)
    image = drawn.render(scale=1).to_pil()
    assert dark_box(image.crop((0, 0, 612, 300)))[0] == pytest.approx(100 / 612, abs=0.01)
    assert image.getpixel((306, 396)) == pytest.approx(COLOURS["text"], abs=40)


def test_a_broken_page_gets_a_notice_in_the_overlay(shared: int) -> None:
    """One page that cannot be loaded keeps its place in the overlay, with the reason on it."""
    kids = b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 2>>"
    page = b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s%s>>" % (LETTER, FONT)
    opened = Opened(raw_pdf(CATALOG, kids, page, HELLO), shared)
    assert opened.info["page_sizes"] == [(612.0, 792.0), None]
    with pytest.raises(RenderFailedError, match="Page 2 cannot be loaded"):
        opened.image(index=1)
    _, (pictures,) = opened.call("raster_overlay", middle_json((0.1, 0.1, 0.9, 0.2)), max_edge=500)
    values, (pages,) = opened.call("overlay", middle_json((0.1, 0.1, 0.9, 0.2)))
    assert values["kind"] == "vector"
    assert [len(pypdfium2.PdfDocument(pdf)) for pdf in (pictures, pages)] == [2, 2]
