"""Text of crops: paragraphs, broken words, tiny and odd pictures."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from mineru_pipeline.devserver.ocr.responder import OcrResponder, decode
from mineru_pipeline.devserver.responder import PromptRequest, UnusableImageError


async def read(ocr: OcrResponder, image: bytes, prompt: str = "\nText Recognition:") -> str:
    return (await ocr.answer(PromptRequest(prompt, image))).text


async def test_lines_become_one_paragraph_and_broken_words_whole(ocr: OcrResponder, helpers: Any) -> None:
    """Line ends become spaces, and a word hyphenated at a line end is joined."""
    crop = helpers.canvas(900, 180)
    crop.lines(20, 20, ("The lighthouse was repain-", "ted in the spring of that", "year, then closed."), 34, 50)
    text = await read(ocr, helpers.png(crop.image))
    assert text == "The lighthouse was repainted in the spring of that year, then closed."


async def test_a_skewed_scan_is_read(ocr: OcrResponder, helpers: Any) -> None:
    """Lines that lean by two degrees are straightened before they are read."""
    crop = helpers.canvas(1100, 400)
    crop.lines(60, 100, helpers.paragraph, 36, 54)
    leaning = crop.image.rotate(2, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    text = await read(ocr, helpers.png(leaning))
    assert "harbour master keeps a ledger" in text
    assert "every barge that enters before noon" in text


async def test_white_on_black_is_read(ocr: OcrResponder, helpers: Any) -> None:
    """Inverted text, as in table heads, is text."""
    crop = helpers.canvas(700, 90)
    crop.text(20, 20, "Annual rainfall", 40)
    inverted = Image.eval(crop.image, lambda value: 255 - value)
    assert "Annual rainfall" in await read(ocr, helpers.png(inverted))


async def test_words_of_a_picture_come_in_the_tagged_form(ocr: OcrResponder, helpers: Any) -> None:
    """Image analysis answers with class and content tags, and nothing but tags for an empty picture."""
    crop = helpers.canvas(500, 300)
    empty = await read(ocr, helpers.png(crop.image), "\nImage Analysis:")
    crop.text(100, 100, "Turbine hall", 40)
    full = await read(ocr, helpers.png(crop.image), "\nImage Analysis:")
    assert "<|content_start|>Turbine hall<|content_end|>" in full
    assert "natural_image" in empty


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (2000, 28), (28, 1400)])
async def test_odd_sizes_do_no_harm(ocr: OcrResponder, helpers: Any, size: tuple[int, int]) -> None:
    """The smallest, flattest and tallest crops a client sends are answered for every prompt."""
    image = helpers.png(Image.new("RGB", size, "gray"))
    for prompt in ("\nLayout Detection:", "\nText Recognition:", "\nTable Recognition:", "\nImage Analysis:"):
        assert isinstance(await read(ocr, image, prompt), str)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_colour_mode_becomes_bgr(helpers: Any, mode: str) -> None:
    """Grey, palette, transparent and print colours all decode to three channels of eight bits."""
    suffix = "TIFF" if mode == "CMYK" else "PNG"
    buffer = __import__("io").BytesIO()
    Image.new(mode, (40, 30)).save(buffer, suffix)
    assert decode(buffer.getvalue()).shape == (30, 40, 3)


def test_bytes_that_are_no_picture_are_named_as_such() -> None:
    """A picture that cannot be decoded raises the error that becomes a 400."""
    with pytest.raises(UnusableImageError, match="cannot be decoded"):
        decode(b"not a picture")


async def test_a_request_without_a_picture_says_who_answers(ocr: OcrResponder) -> None:
    """Text alone, as in a smoke test by hand, gets a sentence that names the server."""
    assert "not MinerU2.5" in (await ocr.answer(PromptRequest("hello"))).text
