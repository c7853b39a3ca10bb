"""The render service by itself, in this process: pixels, ink, words, crops, pictures, overlays."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium_c
import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter

from mineru_pipeline.documents.child import Outbox
from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.palette import COLOURS
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.render_child import RenderService, pixel_size, prepare
from mineru_pipeline.parsing.render_overlay import boxes_by_page
from mineru_pipeline.parsing.render_picture import draw_boxes, ink_of, pixel_box

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
        answer, (_, packed, layer, *_) = self.call("render", **({"index": 0} | FULL | values))
        answer["words"] = TextLayer(answer["words"], layer).words()
        pixels = PackedPixels(answer["width_px"], answer["height_px"], answer["channels"], packed)
        with pixels.unpacked() as unpacked:
            return answer, Image.fromarray(unpacked).convert("RGB")

    def words(self) -> tuple[Word, ...]:
        answer, (layer,) = self.call("words", index=0)
        return TextLayer(answer["words"], layer).words()


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


@pytest.mark.parametrize("angle", [0, 90])
@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 1.0, 1.0), (0.1, 0.2, 0.33, 0.41), (0.123, 0.05, 0.9, 0.14), (0.99, 0.99, 1, 1)]
)
def test_a_crop_shows_its_part_of_the_page(box: tuple[float, float, float, float], angle: int, shared: int) -> None:
    """Only the parts that are asked for are drawn, and they look as in the whole page, edges of letters aside."""
    opened = Opened(one_page(), shared)
    _, image = opened.image()
    boxes = [{"bbox": box, "angle": angle}, {"bbox": (0.1, 0.1, 0.2, 0.2), "angle": 0}]
    _, crops = opened.call("crops", index=0, boxes=boxes, **FULL)
    crop = Image.open(io.BytesIO(crops[0]))
    expected = image.crop(pixel_box(image.size, box)).rotate(angle, expand=True)
    assert crop.size == expected.size
    assert np.abs(np.asarray(crop).astype(int) - np.asarray(expected)).mean() < 0.5


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
        assert ink_of(np.asarray(image))[0] == 0
        image.paste((pen,) * 3, (0, 0, 50, 50))
        assert ink_of(np.asarray(image))[0] == 0.25
    noise = np.random.default_rng(0).normal(225, 8, (200, 200)).clip(0, 255).astype(np.uint8)
    assert ink_of(noise)[0] < 0.001


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
    assert Opened(one_page(page), shared).words() == ()


def test_invisible_text_layers_are_words_too(shared: int) -> None:
    """The text that OCR has put under a scan counts, though it leaves no ink."""
    content = stream(b"BT 3 Tr /F1 24 Tf 100 700 Td (Hidden layer) Tj ET")
    answer, _ = Opened(one_page(content=content), shared).image()
    assert [word[0] for word in answer["words"]] == ["Hidden", "layer"]
    assert answer["ink"] == 0


def test_a_hyphenated_word_stays_two_words(shared: int) -> None:
    """The hyphen at a line's end is kept, and each half has its own line's box."""
    content = stream(b"BT /F1 24 Tf 100 700 Td (an exam-) Tj 0 -30 Td (ple here) Tj ET")
    words = Opened(one_page(content=content), shared).words()
    assert [word[0] for word in words] == ["an", "exam-", "ple", "here"]
    assert words[1][4] < words[2][2]


def test_unencodable_characters_do_not_shift_boxes(shared: int) -> None:
    """Characters that PDFium leaves out of its text, or writes as two units, do not move later words."""
    content = stream(b"BT /F1 24 Tf 50 700 Td (a\\003b) Tj 0 -100 Td (Last) Tj ET")
    words = Opened(one_page(content=content), shared).words()
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


def test_a_thumbnail_shows_the_boxes(shared: int) -> None:
    """It has the size asked for and shows the page, with a frame in its group's colour."""
    opened, boxes = Opened(one_page(), shared), [{"bbox": (0.25, 0.5, 0.75, 0.75), "label": "formula_number: 1"}]
    jpegs = [
        opened.call("picture", index=0, max_edge=1584)[1][0],
        opened.call("thumbnail", index=0, edge=792, boxes=boxes, **FULL)[1][0],
    ]
    picture, thumbnail = (Image.open(io.BytesIO(jpeg)) for jpeg in jpegs)
    assert (picture.size, thumbnail.size) == ((1224, 1584), (612, 792))
    frame = 612 // 4 + 100, 792 // 2
    assert thumbnail.getpixel(frame) == pytest.approx(COLOURS["formula"], abs=30)
    assert picture.getpixel((2 * frame[0], 2 * frame[1])) == (255, 255, 255)
    assert dark_box(thumbnail.crop((0, 0, 612, 300))) == pytest.approx(
        dark_box(picture.crop((0, 0, 1224, 600))), abs=0.01
    )


@pytest.mark.parametrize("coloured", [False, True])
def test_a_thumbnail_is_the_same_with_or_without_the_page_drawn_before(shared: int, coloured: bool) -> None:
    """A run that goes on where another one was killed has drawn no page, and writes the same bytes."""
    data = one_page(content=b"1 0 0 rg 100 100 200 200 re f " + HELLO) if coloured else one_page()
    boxes = [{"bbox": (0.25, 0.5, 0.75, 0.75), "label": "text"}]
    fresh, used = Opened(data, shared), Opened(data, shared)
    used.call("render", index=0, **FULL)
    thumbnails = [opened.call("thumbnail", index=0, edge=480, boxes=boxes, **FULL)[1][0] for opened in (fresh, used)]
    assert thumbnails[0] == thumbnails[1]


@pytest.mark.parametrize(("label", "group"), [("table", "table"), ("chart_body: 3", "picture"), ("", "text")])
def test_labels_decide_the_colour(label: str, group: str) -> None:
    """A box has the colour of its type's group, with or without an index; an empty label draws a bare frame."""
    image = draw_boxes(Image.new("RGB", (100, 100), "white"), [{"bbox": (0.1, 0.5, 0.9, 0.9), "label": label}])
    assert image.getpixel((80, 50)) == COLOURS[group]
    assert (image.getpixel((12, 40)) == (255, 255, 255)) == (not label)


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
