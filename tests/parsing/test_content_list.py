"""Claims about the flat list in the form of MinerU 3.x."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from mineru_pipeline.parsing.assemble import assemble, visual_boxes
from mineru_pipeline.parsing.blocks import finish_page
from mineru_pipeline.parsing.pages import PageExtraction

WIDE = (0.1, 0.1, 0.9, 0.2)


def entries(*blocks: tuple[str, str | None, Sequence[float]], pages: int = 1, **more: Any) -> list[dict[str, Any]]:
    raw = tuple(
        {"type": kind, "content": content, "bbox": list(bbox), "angle": 0, **more} for kind, content, bbox in blocks
    )
    finished = [
        finish_page(PageExtraction(index, 595, 842, 1654, 2339, 0.1, raw), text_layer_fallback=True)
        for index in range(pages)
    ]
    assembly = assemble(finished, [box.name for box in visual_boxes(finished)], model_id="m")
    found: list[dict[str, Any]] = json.loads(assembly.content_list)
    return found


def test_text_has_its_place() -> None:
    """A text entry has its text, its page from 0 and its box in thousandths of the page."""
    (entry,) = entries(("text", r"Water <sup>2</sup> at \(x\)", (0.1234, 0.1, 0.9, 0.2)))
    assert entry == {"type": "text", "text": "Water <sup>2</sup> at $x$", "bbox": [123, 100, 900, 200], "page_idx": 0}


def test_text_is_not_escaped() -> None:
    """Unlike Markdown, the list holds the characters as they were read."""
    assert entries(("text", "5 * 3 _a_ <b", WIDE))[0]["text"] == "5 * 3 _a_ <b"


def test_titles_are_text_with_a_level() -> None:
    """Titles are entries of type text with ``text_level``, the document's title at 1."""
    found = entries(("title", "Title", WIDE), ("title", "2.1 Part", (0.1, 0.3, 0.9, 0.4)))
    assert [(entry["type"], entry["text"], entry["text_level"]) for entry in found] == [
        ("text", "Title", 1),
        ("text", "2.1 Part", 3),
    ]


@pytest.mark.parametrize("kind", ["header", "footer", "page_number", "page_footnote", "aside_text", "ref_text"])
def test_margins_keep_their_type(kind: str) -> None:
    """What stands in the margins is listed under its own type."""
    (entry,) = entries((kind, "words", WIDE))
    assert (entry["type"], entry["text"]) == (kind, "words")


def test_equations_are_latex_between_dollars() -> None:
    """A displayed formula has its LaTeX, and says so."""
    (entry,) = entries(("equation", r"\[a=b\]", WIDE))
    assert (entry["type"], entry["text"], entry["text_format"]) == ("equation", "$$\na=b\n$$", "latex")


def test_tables_have_body_caption_and_footnote() -> None:
    """A table has its HTML, with formulas between dollars, and lists of its captions and footnotes."""
    found = entries(
        ("table_caption", "Table 1", (0.1, 0.1, 0.9, 0.13)),
        ("table", r"<fcel>a<fcel>\(a<b\)<nl>", (0.1, 0.14, 0.9, 0.4)),
        ("table_footnote", "a note", (0.1, 0.41, 0.9, 0.43)),
    )
    (entry,) = found
    assert entry["type"] == "table"
    assert "<td>$a<b$</td>" in entry["table_body"]
    assert (entry["table_caption"], entry["table_footnote"]) == (["Table 1"], ["a note"])


def test_images_have_captions_and_what_was_read_in_them() -> None:
    """An image has its picture, its captions and footnotes, and the text found in it."""
    found = entries(("image", "EXIT", (0.1, 0.1, 0.9, 0.4)), ("image_caption", "Fig. 1", (0.1, 0.41, 0.9, 0.43)))
    assert found == [
        {
            "type": "image",
            "img_path": "images/p0001-b01.jpg",
            "content": "EXIT",
            "image_caption": ["Fig. 1"],
            "image_footnote": [],
            "bbox": [100, 100, 900, 400],
            "page_idx": 0,
        }
    ]


def test_charts_have_their_kind_and_data() -> None:
    """A chart has its sub-type and its data as text."""
    chart = (
        "<|class_start|>chart<|class_end|><|sub_class_start|>bar<|sub_class_end|>"
        "<|content_start|>| a | b |\n| --- | --- |\n| 1 | 2 |<|content_end|>"
    )
    (entry,) = entries(("chart", chart, (0.1, 0.1, 0.9, 0.4)))
    assert (entry["type"], entry["sub_type"], entry["chart_caption"]) == ("chart", "bar", [])
    assert "| 1 | 2 |" in entry["content"]


def test_code_and_algorithms_have_a_body() -> None:
    """Code stands between fences that name its language; algorithms keep their formulas."""
    found = entries(("code", "```python\nx = 1\n```", WIDE), ("algorithm", r"for \(i\)", (0.1, 0.3, 0.9, 0.4)))
    assert (found[0]["sub_type"], found[0]["code_body"]) == ("code", "```python\nx = 1\n```")
    assert (found[1]["sub_type"], found[1]["code_body"]) == ("algorithm", "for $i$")


def test_lists_have_items() -> None:
    """A list has the texts of its items; so has a table of contents."""
    found = entries(
        ("list", None, (0.1, 0.1, 0.9, 0.3)),
        ("list_item", "- one", (0.1, 0.1, 0.9, 0.2)),
        ("list_item", "- two", (0.1, 0.2, 0.9, 0.3)),
        ("index", "1 Intro 3\n2 End 9", (0.1, 0.5, 0.9, 0.6)),
    )
    assert [(entry["sub_type"], entry["list_items"]) for entry in found] == [
        ("text", ["- one", "- two"]),
        ("index", ["1 Intro 3", "2 End 9"]),
    ]


def test_continuations_are_entries_of_their_own() -> None:
    """A block that goes on from the page before keeps its own place, with no field that MinerU lacks."""
    found = entries(("text", "goes on", WIDE), pages=2, merge_prev=True)
    assert [(entry["text"], entry["page_idx"]) for entry in found] == [("goes on", 0), ("goes on", 1)]
    assert all(set(entry) == {"type", "text", "bbox", "page_idx"} for entry in found)


def test_margins_end_their_page() -> None:
    """Headers and footers come after the page's own blocks, each kind in reading order."""
    found = entries(
        ("header", "a", WIDE), ("text", "b", WIDE), ("page_number", "1", WIDE), ("text", "c", WIDE), pages=2
    )
    assert [(entry["page_idx"], entry["text"]) for entry in found] == [
        *((0, text) for text in ("b", "c", "a", "1")),
        *((1, text) for text in ("b", "c", "a", "1")),
    ]


def test_pictures_always_say_what_was_read_in_them() -> None:
    """A picture without words has an empty ``content``, so that no reader has to ask for the field."""
    (entry,) = entries(("image", None, WIDE))
    assert entry["content"] == ""
