"""The render service by itself, in this process: pixels, ink, words, crops, pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from rendering import FONT, FULL, HELLO, LETTER, Opened, dark_box, one_page, raw_pdf, shared_memory, stream

from mineru_pipeline.documents.child import Outbox
from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.palette import COLOURS
from mineru_pipeline.parsing.render_child import RenderService, pixel_size, prepare
from mineru_pipeline.parsing.render_picture import draw_boxes, ink_of, pixel_box


@pytest.fixture
def shared() -> Iterator[int]:
    with shared_memory() as descriptor:
        yield descriptor


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
