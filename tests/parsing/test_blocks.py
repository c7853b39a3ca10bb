"""Claims about how raw answers become final blocks, and how failed ones end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mineru_vl_utils.structs import BLOCK_TYPES, ContentBlock

from mineru_pipeline.parsing.answers import post_processed, rebuild
from mineru_pipeline.parsing.blocks import WHOLE_PAGE, FinishedPage, finish_page, gap_text, picture_name
from mineru_pipeline.parsing.pages import Degradation, PageExtraction

CAPTION = "<|caption_start|>Sales by year<|caption_end|>"
BOX = [0.1, 0.1, 0.9, 0.2]


def block(kind: Any, content: Any = None, bbox: Any = BOX, **more: Any) -> dict[str, Any]:
    return {"type": kind, "bbox": bbox, "angle": 0, "content": content, **more}


def finish(*blocks: dict[str, Any], failed: tuple[Degradation, ...] = (), fallback: bool = True) -> FinishedPage:
    page = PageExtraction(2, 595, 842, 1654, 2339, 0.1, blocks, failed)
    return finish_page(page, text_layer_fallback=fallback)


def kinds(page: FinishedPage) -> list[str]:
    return [block.type for block in page.blocks]


def test_a_whole_answer_passes_unchanged() -> None:
    """Text that the model answered whole is kept as it is, with its place and its direction."""
    page = finish(block("text", r"Let \(x\) be small.", angle=90))
    (text,) = page.blocks
    assert (text.type, text.content, text.angle, text.source) == ("text", r"Let \(x\) be small.", 90, 0)
    assert text.ending is None
    assert page.degradations == ()


def test_otsl_becomes_html() -> None:
    """A table in OTSL comes out as well-formed HTML with its merged cells."""
    page = finish(block("table", "<fcel>a<lcel><nl><fcel>b<fcel>c<nl>"))
    assert '<td colspan="2">a</td>' in page.blocks[0].content
    assert page.blocks[0].content.startswith("<table>")


def test_a_failed_text_ends_as_the_text_layer() -> None:
    """A text block whose answer failed shows the PDF's own text, its broken words joined."""
    page = finish(block("text"), failed=(Degradation(0, "truncated", "ran out", "a long exam-\nple of text"),))
    (text,) = page.blocks
    assert (text.content, text.ending) == ("a long example of text", "text-layer")
    assert page.degradations[0].ending == "text-layer"
    assert page.degradations[0].cause == "truncated"


def test_a_failed_table_ends_as_text_with_its_picture() -> None:
    """A failed table becomes a text block that keeps the rows, and a picture of the table."""
    page = finish(block("table"), failed=(Degradation(0, "truncated", "", "A 1\nB 2"),))
    assert [(item.type, item.content) for item in page.blocks] == [("text", "A 1\nB 2"), ("image", "")]


@pytest.mark.parametrize("kind", ["text", "title", "table", "equation", "code", "header", "image", "chart"])
def test_what_nothing_can_read_becomes_a_marked_gap(kind: str) -> None:
    """Without a text layer every kind of block leaves a visible mark that names kind and cause."""
    page = finish(block(kind), failed=(Degradation(0, "repetitive", "loop"),))
    assert page.blocks[0].content == gap_text(kind, "repetitive") == f"[unreadable: {kind}, repetitive]"
    assert page.degradations[0].ending == "gap"


def test_the_setting_forbids_the_text_layer() -> None:
    """With the fall-back switched off the text layer is not used, although there is one."""
    page = finish(block("text"), failed=(Degradation(0, "truncated", "", "own text"),), fallback=False)
    assert page.blocks[0].ending == "gap"
    assert all("own text" not in item.content for item in page.blocks)


def test_a_gap_in_the_text_keeps_its_picture_but_margins_do_not() -> None:
    """Where text cannot be read the pixels are kept; for a page number they are not worth it."""
    failed = (Degradation(0, "timeout", ""), Degradation(1, "timeout", ""))
    assert kinds(finish(block("text"), block("page_number"), failed=failed)) == ["text", "image", "page_number"]


def test_a_failed_picture_stays_a_picture() -> None:
    """If only the analysis of a picture failed, it is still a picture, with the text layer's words."""
    page = finish(block("image"), failed=(Degradation(0, "truncated", "", "axis <b> label"),))
    assert (page.blocks[0].type, page.blocks[0].content) == ("image", "axis &lt;b> label")


def test_a_page_without_layout_shows_its_text_layer_and_picture() -> None:
    """A page whose layout failed becomes one block of its text layer and a picture of the page."""
    page = finish(failed=(Degradation(None, "invalid-answer", "no boxes", "all of it\nline two"),))
    assert [(item.type, item.bbox) for item in page.blocks] == [("text", WHOLE_PAGE), ("image", WHOLE_PAGE)]
    assert page.blocks[0].content == "all of it\nline two"
    assert (page.degradations[0].block, page.degradations[0].kind) == (None, "page")


def test_a_page_that_nothing_can_read_is_one_gap() -> None:
    """A page without layout and without a text layer says so in its place."""
    page = finish(failed=(Degradation(None, "render-timeout", "killed"),))
    assert page.blocks[0].content == "[unreadable: page, render timeout]"


def test_an_empty_page_stays_empty() -> None:
    """A page on which the model found nothing has no blocks and is not degraded."""
    page = finish()
    assert page.blocks == ()
    assert page.degradations == ()


def test_degraded_blocks_keep_their_place() -> None:
    """What stands in for a failed block stands where the block stood in reading order."""
    page = finish(block("text", "one"), block("text"), block("text", "three"), failed=(Degradation(1, "x", "", "two"),))
    assert [item.content for item in page.blocks] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "answer",
    ["plain words, no table", "<table>no cell</table>", "<table><tr><td>" * 100 + "deep", "<fcel>" * 20_000 + "<nl>"],
)
def test_an_answer_that_is_no_table_degrades_the_block_alone(answer: str) -> None:
    """A table answer that cannot be a table keeps its words as text; its neighbours are untouched."""
    page = finish(block("table", answer), block("text", "next"))
    assert page.degradations[0].cause == "invalid-answer"
    assert page.blocks[0].type == "text"
    assert page.blocks[-1].content == "next"


def test_words_outside_of_cells_are_kept() -> None:
    """OTSL with words where no token announces a cell loses none of them."""
    page = finish(block("table", "head<fcel>a<ecel>b<nl>tail<fcel>c<nl><nl>end"))
    for word in ("head", "a", "b", "tail", "c", "end"):
        assert f"<td>{word}</td>" in page.blocks[0].content


def test_a_huge_answer_is_cut_and_says_so() -> None:
    """An answer longer than any honest one is cut, and the block says how long it was."""
    page = finish(block("text", "word " * 100_000))
    assert len(page.blocks[0].content) <= 100_000
    assert "500000 characters" in page.degradations[0].message


def test_control_characters_are_removed() -> None:
    """NUL, escape and lone surrogates, which break JSON, XML and terminals, do not survive."""
    page = finish(block("text", "a\x00b\x1b[31mc\ud800d\r\ne"))
    assert page.blocks[0].content == "ab[31mcd\ne"


def test_no_markup_can_act() -> None:
    """Scripts and event handlers in tables and pictures end as visible text."""
    table = (
        "<table><tr><td onclick=alert(1)><script>alert(1)</script><img src=http://127.0.0.1/a.png></td></tr></table>"
    )
    page = finish(block("table", table), block("image", "<script>alert(2)</script>", [0.1, 0.5, 0.9, 0.9]))
    for item in page.blocks:
        assert "<script" not in item.content
        assert "onclick" not in item.content
        assert "127.0.0.1" not in item.content
        assert "alert(" in item.content


@pytest.mark.parametrize(
    "bbox", [None, "abcd", [1], [float("nan")] * 4, [0.5] * 4, [-3, 1e300, 7, 0.2], [0.9, 0.9, 0.1, 0.1], [1, 1, 1, 1]]
)
def test_absurd_boxes_are_brought_into_range(bbox: Any) -> None:
    """Whatever box comes in, the one that goes out lies on the page and has an area."""
    x0, y0, x1, y1 = finish(block("text", "kept", bbox)).blocks[0].bbox
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1


def test_what_was_read_in_a_picture_survives_a_broken_form() -> None:
    """A chart whose table is malformed, or an answer without tags, keeps its words."""
    chart = f"<|class_start|>chart<|class_end|>{CAPTION}<|content_start|>| a | b |\n| c | d |<|content_end|>"
    page = finish(block("chart", chart), block("image", "EXIT sign", [0.1, 0.5, 0.9, 0.9]))
    assert page.blocks[0].content == "| a | b |\n| c | d |"
    assert page.blocks[1].content == "EXIT sign"


def test_figures_of_several_pictures_become_one() -> None:
    """Pictures inside an image_block are shown as that one figure, with what was read in them."""
    page = finish(
        block("image_block", None, [0.1, 0.1, 0.9, 0.5]),
        block("image", "left part", [0.1, 0.1, 0.5, 0.5]),
        block("image", "right part", [0.5, 0.1, 0.9, 0.5]),
    )
    assert [(item.type, item.content) for item in page.blocks] == [("image", "left part\n\nright part")]


def test_pictures_in_tables_are_referred_to_by_name() -> None:
    """A table refers to the pictures in its cells by file name; no base64 is kept."""
    table = block("table", "<fcel>[ACDG]<fcel>x<nl>", [0.1, 0.1, 0.9, 0.5])
    table["_table_image_token_map"] = {"[ACDG]": "data:image/jpeg;base64,AAAA"}
    image = block("image", None, [0.2, 0.2, 0.3, 0.3], _absorbed_by_table=True)
    page = finish(table, image)
    assert kinds(page) == ["table"]
    assert f'src="{picture_name(2, 1)}"' in page.blocks[0].content
    assert "base64" not in page.blocks[0].content
    assert [item.source for item in page.embedded] == [1]


def test_a_picture_whose_token_the_model_left_out_stands_beside_the_table() -> None:
    """If the table's answer does not mention the picture's token, the picture is still there."""
    table = block("table", "<fcel>a<fcel>x<nl>", [0.1, 0.1, 0.9, 0.5])
    table["_table_image_token_map"] = {"[ACDG]": "data:image/jpeg;base64,AAAA"}
    page = finish(table, block("image", None, [0.2, 0.2, 0.3, 0.3], _absorbed_by_table=True))
    assert kinds(page) == ["table", "image"]


def test_equations_of_an_equation_block_are_joined() -> None:
    """Lines of one display become one formula in the place of their container."""
    page = finish(
        block("equation_block", None, [0.1, 0.1, 0.9, 0.4]),
        block("equation", "a=b", [0.1, 0.1, 0.9, 0.2]),
        block("equation", "c=d", [0.1, 0.3, 0.9, 0.4]),
    )
    (equation,) = page.blocks
    assert "a=b" in equation.content
    assert "c=d" in equation.content


def test_an_answer_that_breaks_post_processing_costs_itself_alone() -> None:
    """If the library fails on one answer, the others are still processed, and that one is named."""

    def brittle(blocks: list[ContentBlock]) -> list[ContentBlock]:
        if any(item["content"] == "boom" for item in blocks):
            raise KeyError("boom")
        return blocks

    blocks = [rebuild(source, block("text", text)) for source, text in enumerate(["one", "boom", "three"])]
    kept, unusable = post_processed(blocks, brittle)
    assert [item["content"] for item in kept] == ["one", "three"]
    assert [(item.block["content"], item.message) for item in unusable] == [
        ("boom", "post-processing failed: KeyError")
    ]


def test_a_flowchart_too_long_to_repair_keeps_its_words() -> None:
    """Code that the library would repair for minutes is kept as it was read."""
    chart = f"<|class_start|>flowchart<|class_end|><|content_start|>graph TD {'A B ' * 5000}<|content_end|>"
    page = finish(block("image", chart))
    assert page.degradations[0].ending == "plain-text"
    assert page.blocks[0].content.count("A B") == 5000


_NOISE = """<table> </table> <tr> <td> </td> <fcel> <nl> <lcel> <ucel> \\( \\) \\[ \\] $ | ``` <sup> </sup> <script> &
< > { } \\left( \\right) _ ^ word 漢字 مرحبا [Non-Text] <|class_start|> chart <|class_end|> <|content_start|>
\\tag{1}"""
_ANSWERS = st.lists(st.sampled_from(_NOISE.split()) | st.text(max_size=5), max_size=20).map("".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*sorted(BLOCK_TYPES), "nonsense"]), _ANSWERS, st.lists(st.floats(), max_size=5)),
        max_size=6,
    ),
    st.booleans(),
)
def test_no_answer_makes_finishing_fail(answers: list[tuple[str, str, list[float]]], fallback: bool) -> None:
    """Whatever the model answers, finishing returns a page, and the same one each time."""
    blocks = [block(kind, content, bbox) for kind, content, bbox in answers]
    assert finish(*blocks, fallback=fallback) == finish(*blocks, fallback=fallback)
