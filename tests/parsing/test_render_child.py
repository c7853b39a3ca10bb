"""The render service by itself, in this process: pixels, ink, words, crops, pictures, overlays."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from pypdf import PdfReader

from mineru_pipeline.documents.child import Outbox
from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.render_child import RenderService, pixel_size, prepare
from mineru_pipeline.parsing.render_picture import draw_boxes, ink_share

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
LETTER = b"/MediaBox[0 0 612 792]"
FULL = {"dpi": 200, "max_edge": 3500}


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


HELLO = stream(b"BT /F1 24 Tf 100 700 Td (Hello) Tj ET")


def raw_pdf(*objects: bytes, xref: bool = True) -> bytes:
    """A PDF of exactly these objects, numbered from 1; the first is the catalog."""
    data, offsets = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    if not xref:
        return data + b"trailer<</Root 1 0 R>>\n%%EOF\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + tail


def one_page(page: bytes = LETTER + FONT, content: bytes = HELLO, *more: bytes, xref: bool = True) -> bytes:
    kids = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return raw_pdf(CATALOG, kids, b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s>>" % page, content, *more, xref=xref)


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


class Opened:
    """A service with one open document."""

    def __init__(self, data: bytes, descriptor: int) -> None:
        self.service = RenderService(Outbox(descriptor))
        self.info = self.call("open", bytearray(data), max_pages=10, max_page_edge_pt=14_400)[0]

    def call(self, operation: str, *blobs: bytearray, **values: Any) -> tuple[dict[str, Any], list[bytes]]:
        answer, out = self.service.call(operation, values, list(blobs))
        return answer, [bytes(blob) for blob in out]

    def image(self, **values: Any) -> tuple[dict[str, Any], Image.Image]:
        answer, (pixels,) = self.call("render", **({"index": 0} | FULL | values))
        return answer, Image.frombytes("RGB", (answer["width_px"], answer["height_px"]), pixels)


@pytest.fixture
def shared() -> Iterator[int]:
    descriptor = os.memfd_create("test") if hasattr(os, "memfd_create") else pytest.skip("no memfd here")
    os.truncate(descriptor, 128 << 20)
    yield descriptor
    os.close(descriptor)


def dark_box(image: Image.Image) -> tuple[float, float, float, float]:
    """The smallest box around all dark pixels, in fractions."""
    dark = np.argwhere(np.asarray(image.convert("L")) < 128)
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0) + 1
    return left / image.width, top / image.height, right / image.width, bottom / image.height


def test_pixels_are_those_of_mineru(shared: int) -> None:
    """At 200 dpi the picture equals, byte for byte, what pypdfium2 draws at that scale in RGB."""
    answer, image = Opened(one_page(), shared).image()
    expected = pypdfium2.PdfDocument(one_page())[0].render(scale=200 / 72).to_pil().convert("RGB")
    assert (answer["width_px"], answer["height_px"]) == (1700, 2200)
    assert image.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ((612, 792), (1700, 2200)),
        ((595.276, 841.89), (1654, 2339)),
        ((1837.0, 2267.0), (2837, 3500)),
        ((14_400, 0.5), (3500, 1)),
        ((100_000, 100_000), (3500, 3500)),
    ],
)
def test_no_edge_gets_longer_than_allowed(size: tuple[float, float], pixels: tuple[int, int]) -> None:
    """Pages are drawn at 200 dpi unless an edge would pass 3500 pixels; nothing rounds to zero or beyond."""
    assert pixel_size(*size, dpi=200, max_edge=3500)[1:] == pixels


def test_resolution_follows_the_request(shared: int) -> None:
    """Another resolution or edge gives another size."""
    opened = Opened(one_page(), shared)
    assert opened.image(dpi=72)[1].size == (612, 792)
    assert opened.image(max_edge=396)[1].size == (306, 396)


def test_a_page_without_area_is_an_error_of_that_page() -> None:
    """There are no pixels of nothing."""
    with pytest.raises(RenderFailedError, match="no area"):
        pixel_size(0, 100, dpi=200, max_edge=3500)


def test_ink_is_the_share_of_pixels_unlike_the_background() -> None:
    """Blank is 0 on any ground, and a covered quarter is a quarter, on white, on black, on noisy paper."""
    for ground, pen in ((255, 0), (0, 255), (200, 60)):
        image = Image.new("RGB", (100, 100), (ground,) * 3)
        assert ink_share(image) == 0
        image.paste((pen,) * 3, (0, 0, 50, 50))
        assert ink_share(image) == 0.25
    noise = np.random.default_rng(0).normal(225, 8, (200, 200)).clip(0, 255).astype(np.uint8)
    assert ink_share(Image.fromarray(noise).convert("RGB")) < 0.001


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_words_lie_where_they_are_seen(shared: int, rotation: int) -> None:
    """Boxes are fractions of the page as displayed: rotated, cropped, with an origin of its own."""
    page = b"/MediaBox[-50 -20 700 900]/CropBox[20 100 520 800]/Rotate %d" % rotation + FONT
    answer, image = Opened(one_page(page), shared).image()
    (word,) = answer["words"]
    assert word[0] == "Hello"
    assert word[1:] == pytest.approx(dark_box(image), abs=0.012)


def test_words_off_the_page_are_left_out(shared: int) -> None:
    """What lies outside the crop box is not on the page that the model sees."""
    page = LETTER + b"/CropBox[0 0 612 600]" + FONT
    assert Opened(one_page(page), shared).call("words", index=0)[0] == {"words": []}


def test_invisible_text_layers_are_words_too(shared: int) -> None:
    """The text that OCR has put under a scan counts, though it leaves no ink."""
    content = stream(b"BT 3 Tr /F1 24 Tf 100 700 Td (Hidden layer) Tj ET")
    answer, _ = Opened(one_page(content=content), shared).image()
    assert [word[0] for word in answer["words"]] == ["Hidden", "layer"]
    assert answer["ink"] == 0


def test_a_hyphenated_word_stays_two_words(shared: int) -> None:
    """The hyphen at a line's end is kept, and each half has its own line's box."""
    content = stream(b"BT /F1 24 Tf 100 700 Td (an exam-) Tj 0 -30 Td (ple here) Tj ET")
    words = Opened(one_page(content=content), shared).call("words", index=0)[0]["words"]
    assert [word[0] for word in words] == ["an", "exam-", "ple", "here"]
    assert words[1][4] < words[2][2]


def test_unencodable_characters_do_not_shift_boxes(shared: int) -> None:
    """Characters that PDFium leaves out of its text, or writes as two units, do not move later words."""
    content = stream(b"BT /F1 24 Tf 50 700 Td (a\\003b) Tj 0 -100 Td (Last) Tj ET")
    words = Opened(one_page(content=content), shared).call("words", index=0)[0]["words"]
    assert words[-1][0] == "Last"
    assert words[-1][2] > 0.2


def test_fonts_that_are_not_embedded_are_drawn_in_cjk_too(shared: int) -> None:
    """Chinese text without an embedded font leaves ink on any machine: the bundled font stands in."""
    prepare()
    descriptor = (
        b"<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/FontBBox[0 0 1000 1000]/ItalicAngle 0"
        b"/Ascent 800/Descent -200/CapHeight 700/StemV 80>>"
    )
    answer, _ = Opened(
        one_page(
            LETTER + b"/Resources<</Font<</F1 5 0 R>>>>",
            stream(b"BT /F1 48 Tf 100 600 Td <4E2D6587> Tj ET"),
            b"<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[6 0 R]>>",
            b"<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/FontDescriptor 7 0 R"
            b"/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 2>>>>",
            descriptor,
        ),
        shared,
    ).image()
    assert answer["ink"] > 0.001
    assert answer["words"][0][0] == "中文"


def test_values_of_forms_are_drawn(shared: int) -> None:
    """What somebody typed into a form is part of the page."""
    field = (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Alice)/Rect[100 600 300 640]/F 4"
        b"/DA(/F1 24 Tf 0 g)/AP<</N 6 0 R>>>>"
    )
    look = stream(b"/Tx BMC BT /F1 24 Tf 2 8 Td (Alice) Tj ET EMC", b"/Subtype/Form/BBox[0 0 200 40]" + FONT)
    page = b"<</Type/Page/Parent 2 0 R/Annots[5 0 R]/Contents 4 0 R%s%s>>" % (LETTER, FONT)
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]%s>>>>" % FONT.replace(b"/Resources", b"/DR")
    data = raw_pdf(catalog, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, stream(b" "), field, look)
    answer, image = Opened(data, shared).image()
    assert answer["ink"] > 0
    assert dark_box(image)[0] == pytest.approx(100 / 612, abs=0.01)


def test_crops_come_from_the_same_pixels_and_stand_upright(shared: int) -> None:
    """Each crop has the size of its box at 200 dpi, turned by its angle, and shows what is there."""
    opened = Opened(one_page(), shared)
    _, (word,) = opened.image()[1], [opened.image()[0]["words"][0]]
    boxes = [{"bbox": word[1:], "angle": 0}, {"bbox": word[1:], "angle": 90}, {"bbox": (0, 0.5, 1, 1), "angle": 0}]
    _, jpegs = opened.call("crops", index=0, boxes=boxes, **FULL)
    upright, turned, blank = (Image.open(io.BytesIO(jpeg)) for jpeg in jpegs)
    assert upright.size == turned.size[::-1]
    assert np.asarray(upright).min() < 64
    assert np.asarray(blank).min() > 240
    assert blank.size == (1700, 1100)


@pytest.mark.parametrize("bbox", [(0.5, 0.5, 0.5, 0.5), (1, 1, 1, 1), (-1, -1, 2, 2), (0.9, 0.9, 0.1, 0.1)])
def test_a_degenerate_box_still_gives_a_crop(shared: int, bbox: tuple[float, ...]) -> None:
    """Boxes without area, beyond the page or turned inside out give at least a pixel of the page."""
    _, (jpeg,) = Opened(one_page(), shared).call("crops", index=0, boxes=[{"bbox": bbox, "angle": 0}], **FULL)
    assert min(Image.open(io.BytesIO(jpeg)).size) >= 1


def test_a_picture_shows_the_boxes(shared: int) -> None:
    """The picture has the size asked for, a frame in the box's colour, and is otherwise the page."""
    boxes = [{"bbox": (0.25, 0.5, 0.75, 0.75), "label": "text: 1", "colour": "#ff0000"}]
    _, (jpeg,) = Opened(one_page(), shared).call("picture", index=0, max_edge=792, boxes=boxes)
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.size == (612, 792)
    red, green, _ = picture.getpixel((612 // 4 + 100, 792 // 2))
    assert red > 180
    assert green < 80


def test_labels_decide_the_colour_where_none_is_given() -> None:
    """The same label has the same colour in every picture, and an empty label is not drawn."""
    box = {"bbox": (0.1, 0.1, 0.9, 0.9), "label": "table", "colour": None}
    one, two = (draw_boxes(Image.new("RGB", (100, 100), "white"), [box]) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    draw_boxes(Image.new("RGB", (100, 100), "white"), [box | {"label": ""}])


OVERLAYS = {
    "vector": one_page(),
    "repaired": one_page(xref=False),
}


@pytest.mark.parametrize("kind", sorted(OVERLAYS))
def test_the_overlay_is_the_document_with_its_blocks(shared: int, kind: str) -> None:
    """Pages, text and size are kept, blocks are labelled; what pypdf cannot read PDFium writes anew first."""
    opened = Opened(OVERLAYS[kind], shared)
    values, (pdf,) = opened.call("overlay", middle_json((0.1, 0.05, 0.9, 0.2)))
    assert values["kind"] == kind
    assert bool(values.get("note")) == (kind == "repaired")
    (page,) = PdfReader(io.BytesIO(pdf)).pages
    assert (page.mediabox.width, page.mediabox.height) == (612, 792)
    assert {"Hello", "text: 0"} <= set(page.extract_text().splitlines())


@pytest.mark.parametrize("kind", [*sorted(OVERLAYS), "raster"])
def test_overlays_are_the_same_bytes_every_time(shared: int, kind: str) -> None:
    """No time, no random identifier and no name differs between two runs."""
    operation, more = ("raster_overlay", {"max_edge": 500}) if kind == "raster" else ("overlay", {})
    data = OVERLAYS.get(kind, one_page())
    first, second = (Opened(data, shared).call(operation, middle_json((0, 0, 1, 1)), **more) for _ in range(2))
    assert first == second
    for trace in (b"uuid", b"20261", b"D:2027"):
        assert trace not in first[1][0]


@pytest.mark.parametrize("page", [FONT, b"/MediaBox(x)" + FONT, LETTER + b"/Rotate 45" + FONT])
def test_a_file_that_no_overlay_can_be_drawn_on_gets_pictures(shared: int, page: bytes) -> None:
    """Where drawing on the pages fails even after PDFium mended them, pictures of the pages are left."""
    opened = Opened(one_page(page), shared)
    with pytest.raises(RenderFailedError, match="overlay"):
        opened.call("overlay", middle_json((0.1, 0.1, 0.9, 0.2)))
    _, (pdf,) = opened.call("raster_overlay", middle_json((0.1, 0.1, 0.9, 0.2)), max_edge=500)
    (drawn,) = pypdfium2.PdfDocument(pdf)
    assert drawn.get_size() == (612, 792)
    assert ink_share(drawn.render(scale=1).to_pil()) > 0.001


def test_a_broken_page_gets_a_notice_in_the_overlay(shared: int) -> None:
    """One page that cannot be loaded keeps its place in the overlay, with the reason on it."""
    kids = b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 2>>"
    page = b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s%s>>" % (LETTER, FONT)
    opened = Opened(raw_pdf(CATALOG, kids, page, HELLO), shared)
    assert opened.info["page_sizes"] == [(612.0, 792.0), None]
    with pytest.raises(RenderFailedError, match="Page 2 cannot be loaded"):
        opened.image(index=1)
    _, (pdf,) = opened.call("raster_overlay", middle_json((0.1, 0.1, 0.9, 0.2)), max_edge=500)
    assert len(pypdfium2.PdfDocument(pdf)) == 2


def test_pages_that_do_not_exist_are_errors(shared: int) -> None:
    """An index beyond the document is an error of that request."""
    opened = Opened(one_page(), shared)
    with pytest.raises(RenderFailedError, match="Page 8"):
        opened.image(index=7)


def test_nothing_is_asked_before_a_document_is_open(shared: int) -> None:
    """A request without a document, and one that nobody knows, are errors."""
    service = RenderService(Outbox(shared))
    with pytest.raises(RenderFailedError, match="No document"):
        service.call("words", {"index": 0}, [])
    with pytest.raises(RenderFailedError, match="no operation"):
        service.call("dance", {}, [])
