"""Claims about the Markdown and JSON that are assembled from finished pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from docvortex.render import render_markdown
from docvortex.schema import MiddleJson
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.parsing.agreement import lost_words
from mineru_pipeline.parsing.assemble import ASSEMBLY_VERSION, Assembly, assemble, visual_boxes
from mineru_pipeline.parsing.blocks import FinishedBlock, FinishedPage, finish_page
from mineru_pipeline.parsing.pages import Degradation, PageExtraction

WIDE = (0.1, 0.1, 0.9, 0.2)
LEFT, RIGHT = (0.1, 0.2, 0.48, 0.95), (0.52, 0.1, 0.9, 0.5)
LONG = "a paragraph that is long enough to fill more than a single line of its narrow column"


def page(*blocks: tuple[str, str | None, Sequence[float]], index: int = 0, **more: Any) -> FinishedPage:
    raw = tuple(
        {"type": kind, "content": content, "bbox": list(bbox), "angle": 0, **more} for kind, content, bbox in blocks
    )
    return finish_page(PageExtraction(index, 595, 842, 1654, 2339, 0.1, raw), text_layer_fallback=True)


def whole(*pages: FinishedPage) -> Assembly:
    return assemble(pages, [box.name for box in visual_boxes(pages)], model_id="test-model")


def lost(pages: Sequence[FinishedPage], assembly: Assembly) -> dict[str, int]:
    contents = [block.content for page in pages for block in page.blocks]
    return dict(lost_words(contents, [assembly.markdown, assembly.structured_content.decode()]))


def middle_blocks(assembly: Assembly) -> list[dict[str, Any]]:
    return [block for page in json.loads(assembly.middle)["pages"] for block in page["blocks"]]


@pytest.fixture
def article() -> list[FinishedPage]:
    first = page(
        ("header", "Notes on Rivers", (0.1, 0.02, 0.9, 0.04)),
        ("title", "What the Gauge Reader Wrote", (0.1, 0.05, 0.9, 0.08)),
        ("title", "1 Introduction", (0.1, 0.1, 0.48, 0.12)),
        ("text", r"Half of \(x<3\) and <sup>3</sup>He, 5 * 3 _snake_ <script>alert(1)</script>\[12, 13\]", LEFT),
        ("image", None, (0.52, 0.1, 0.9, 0.3)),
        ("image_caption", "Figure 1. The flood", (0.52, 0.31, 0.9, 0.33)),
        ("table_caption", "Table 1. Stations", (0.52, 0.4, 0.9, 0.42)),
        ("table", r"<fcel>Station<fcel>\(\alpha\)<nl><fcel>Kesslau<fcel>p<0.05<nl>", (0.52, 0.43, 0.9, 0.6)),
        ("table_footnote", "a after correction", (0.52, 0.61, 0.9, 0.63)),
        ("equation", r"\[E = mc^2\]", (0.52, 0.65, 0.85, 0.7)),
        ("formula_number", "(4)", (0.86, 0.66, 0.9, 0.69)),
        ("code", "```python\nprint('hello')\n```", (0.52, 0.72, 0.9, 0.8)),
        ("algorithm", r"for \(i\) in queue do", (0.52, 0.82, 0.9, 0.9)),
        ("page_footnote", "Corresponding author", (0.1, 0.955, 0.48, 0.97)),
        ("page_number", "17", (0.5, 0.98, 0.52, 0.99)),
    )
    return [first, page(("text", "The end.", WIDE), index=1)]


def test_the_leading_title_is_the_documents(article: list[FinishedPage]) -> None:
    """The first title, after nothing but a header, has level 1; numbered sections follow below it."""
    markdown = whole(*article).markdown
    assert markdown.startswith("# What the Gauge Reader Wrote\n")
    assert "\n## 1 Introduction\n" in markdown


def test_a_title_after_text_is_a_section() -> None:
    """A letter that begins with text has no document title, only sections."""
    markdown = whole(page(("text", "Dear reader,", WIDE), ("title", "News", (0.1, 0.3, 0.9, 0.4)))).markdown
    assert "## News" in markdown


def test_the_place_on_the_page_decides_what_leads() -> None:
    """A title at the top is the document's even if reading order puts a line from below before it."""
    document = page(("text", "1. Heat", (0.1, 0.3, 0.3, 0.32)), ("title", "Bread", (0.1, 0.05, 0.9, 0.1)))
    assert "# Bread" in whole(document).markdown.splitlines()


def test_the_number_of_a_section_gives_its_level() -> None:
    """Sections are ranked by their numbers: 2.1.3 lies three levels below the document."""
    document = page(("title", "T", WIDE), ("title", "2.1.3 Deep", (0.1, 0.3, 0.9, 0.4)))
    assert "#### 2.1.3 Deep" in whole(document).markdown


def test_inline_markup_becomes_spans(article: list[FinishedPage]) -> None:
    """Formulas, scripts and citations are read; Markdown and HTML characters of the text are inert."""
    markdown = whole(*article).markdown
    assert (
        r"Half of $x<3$ and <sup>3</sup>He, 5 \* 3 \_snake\_ &lt;script&gt;alert(1)&lt;/script&gt;[12, 13]" in markdown
    )


def test_nested_styles_are_kept() -> None:
    """Styles inside styles are kept; a tag that does not close stays visible."""
    markdown = whole(page(("text", "<b>bold <i>both</i></b> and <u>open", WIDE))).markdown
    assert "**bold** ***both***" in markdown
    assert "&lt;u&gt;open" in markdown


def test_captions_and_footnotes_are_bound_to_their_figure_and_table(article: list[FinishedPage]) -> None:
    """The blocks around a picture or table are its children, not paragraphs of their own."""
    tables = [block for block in middle_blocks(whole(*article)) if block["type"] == "table"]
    assert [child["type"] for child in tables[0]["content"]] == ["table_caption", "table_body", "table_footnote"]
    images = [block for block in middle_blocks(whole(*article)) if block["type"] == "image"]
    assert [child["type"] for child in images[0]["content"]] == ["image_body", "image_caption"]


def test_captions_of_charts_are_bound_too() -> None:
    """The model knows captions of images only; the one beside a chart belongs to the chart."""
    chart = (
        "<|class_start|>chart<|class_end|><|sub_class_start|>bar<|sub_class_end|>"
        "<|content_start|>| a | b |\n| --- | --- |\n| 1 | 2 |<|content_end|>"
    )
    assembly = whole(page(("chart", chart, LEFT), ("image_caption", "Fig. 2", (0.1, 0.96, 0.48, 0.98))))
    (block,) = middle_blocks(assembly)
    assert [child["type"] for child in block["content"]] == ["chart_body", "chart_caption"]
    assert "| 1 | 2 |" in assembly.markdown


def test_formulas_carry_their_number(article: list[FinishedPage]) -> None:
    """The number beside a formula becomes its tag, and formulas in cells are formulas."""
    markdown = whole(*article).markdown
    assert "E = mc^2\\tag{4}" in markdown
    assert r"$\alpha$" in markdown


def test_a_number_without_a_formula_is_text() -> None:
    """A formula number with no formula on its height is not lost."""
    assert "(9)" in whole(page(("formula_number", "(9)", WIDE))).markdown


def test_paragraphs_go_on_where_the_model_says_so() -> None:
    """A block marked as continuation is joined to the text before it, past a figure and its caption."""
    first = page(
        ("text", "The crest needs", LEFT), ("image", None, RIGHT), ("image_caption", "Fig", (0.52, 0.5, 0.9, 0.55))
    )
    second = page(("text", "about a day.", (0.1, 0.1, 0.9, 0.2)), index=1, merge_prev=True)
    assert "The crest needs about a day." in whole(first, second).markdown


def test_columns_are_joined_by_geometry() -> None:
    """A sentence that breaks off at the foot of one column goes on at the head of the next."""
    document = page(
        ("text", f"Here is {LONG} and goes on " * 4 + "into the", LEFT), ("text", f"next column {LONG}. " * 4, RIGHT)
    )
    assert "into the next column" in whole(document).markdown


def test_a_continuation_after_a_title_is_not_believed() -> None:
    """A mark that would join a paragraph to one in another section is ignored."""
    first = page(("text", "Before.", WIDE), ("title", "Title", (0.1, 0.3, 0.9, 0.35)))
    second = page(("text", "after", WIDE), index=1, merge_prev=True)
    assert "\n\nafter" in whole(first, second).markdown


def test_tables_are_joined_across_pages() -> None:
    """A table that fills the foot of one page and the head of the next is one table in Markdown."""
    header = "<fcel>Station<fcel>Level<nl>"
    first = page(("table", header + "<fcel>Kesslau<fcel>4.1<nl>", (0.1, 0.5, 0.9, 0.95)))
    second = page(("table", header + "<fcel>Brandt<fcel>6.9<nl>", (0.1, 0.05, 0.9, 0.4)), index=1)
    assembly = whole(first, second)
    assert assembly.markdown.count("Station") == 1
    assert assembly.markdown == render_markdown(MiddleJson.model_validate_json(assembly.middle)) + "\n"
    assert middle_blocks(assembly)[1]["continues_prev"] is True


def test_lists_hold_their_items() -> None:
    """Items inside the box of a list become its items."""
    assembly = whole(
        page(
            ("list", None, (0.1, 0.1, 0.9, 0.3)),
            ("list_item", "- one", WIDE),
            ("list_item", "- two", (0.1, 0.2, 0.9, 0.3)),
        )
    )
    assert assembly.markdown == "- one\n- two\n"
    assert middle_blocks(assembly)[0]["type"] == "list"


def test_margins_are_in_the_structured_content_only(article: list[FinishedPage]) -> None:
    """Headers and page numbers stay out of the text that people read, and are kept beside it."""
    assembly = whole(*article)
    assert "Notes on Rivers" not in assembly.markdown
    assert "Notes on Rivers" in assembly.structured_content.decode()


def test_no_word_is_lost(article: list[FinishedPage]) -> None:
    """Every word of every block is in the Markdown or the structured content."""
    assert lost(article, whole(*article)) == {}


def test_a_table_of_contents_keeps_its_page_numbers() -> None:
    """Page numbers after a tab in a table of contents are kept."""
    document = page(("index", "1 Introduction\t5\n2 Method\t17", WIDE))
    assert lost([document], whole(document)) == {}


def test_right_to_left_text_is_kept_in_logical_order() -> None:
    """Arabic and Hebrew come out as they went in."""
    document = page(("text", "مرحبا بالعالم 123 שלום", WIDE))
    assert "مرحبا بالعالم 123 שלום" in whole(document).markdown


def test_text_in_pictures_is_kept() -> None:
    """What was read in a picture stands with the picture, unable to act as markup."""
    image = (
        "<|class_start|>natural_image<|class_end|><|caption_start|>A sign <img src=x onerror=y><|caption_end|>"
        "<|content_start|><|content_end|>"
    )
    document = page(("image", image, (0.0, 0.0, 1.0, 1.0)))
    markdown = whole(document).markdown
    assert "![](images/p0001-b01.jpg)" in markdown
    assert "A sign &lt;img" in markdown


def test_pictures_are_named_after_page_and_block() -> None:
    """Names count pages and blocks from 1, tables and formulas among them, and are referred to if they exist."""
    pages = [page(("image", None, WIDE), ("text", "t", LEFT), ("table", "<fcel>a<nl>", RIGHT), index=2)]
    assert [box.name for box in visual_boxes(pages)] == ["images/p0003-b01.jpg", "images/p0003-b03.jpg"]
    assert "images/" not in assemble(pages, (), model_id="m").markdown


def test_degraded_blocks_are_shown_as_they_stand() -> None:
    """Text of the PDF itself is not read as markup, and a gap is visible."""
    raw = PageExtraction(
        0,
        595,
        842,
        1,
        1,
        0.1,
        ({"type": "text", "bbox": list(WIDE)}, {"type": "text", "bbox": list(LEFT)}),
        (Degradation(0, "truncated", "", r"# 2 * 3 <b> \(x\)"), Degradation(1, "repetitive", "")),
    )
    markdown = whole(finish_page(raw, text_layer_fallback=True)).markdown
    assert "\\# 2 \\* 3 &lt;b&gt; \\(x\\)" in markdown
    assert "[unreadable: text, repetitive]" in markdown


def test_outputs_carry_who_made_them(article: list[FinishedPage]) -> None:
    """The outputs of docvortex name the package, the assembly's version and the model."""
    assembly = whole(*article)
    for output in (assembly.middle, assembly.structured_content):
        record = json.loads(output)
        assert record["metadata"]["producer"]["name"] == "mineru-pipeline"
        assert record["extensions"]["mineru_pipeline"] == {"assembly_version": ASSEMBLY_VERSION, "model": "test-model"}


def test_the_middle_json_is_docvortexs(article: list[FinishedPage]) -> None:
    """The loader of docvortex reads the middle JSON and finds every page."""
    assert [page.page_idx for page in MiddleJson.from_json(whole(*article).middle).pages] == [0, 1]


@pytest.mark.parametrize(
    "more",
    [
        (),
        (("table", "<fcel>a<lcel><nl><fcel>c<fcel>| `d` *e*<nl>", WIDE), ("table", "<fcel>x<nl>", LEFT)),
        (("table", "no cells at all", WIDE), ("table", None, LEFT)),
        (("code", "mineru-pipeline-table-0", WIDE), ("code", "mineru-pipeline-table-9", LEFT)),
        (("table", "<fcel>mineru-pipeline-table-0<nl>", WIDE), ("text", "mineru-pipeline-table-1", LEFT)),
    ],
)
def test_the_markdown_is_docvortexs_own(
    article: list[FinishedPage], more: tuple[tuple[str, str | None, Sequence[float]], ...]
) -> None:
    """Tables are rendered once and put in; the text is as if all had been rendered, whatever the document says."""
    assembly = whole(*article, page(*more, index=2))
    markdown = render_markdown(MiddleJson.model_validate_json(assembly.middle))
    assert assembly.markdown == (markdown if markdown.endswith("\n") else markdown + "\n")


def test_two_runs_give_the_same_bytes(article: list[FinishedPage]) -> None:
    """The same pages give the same outputs, byte by byte."""
    assert whole(*article) == whole(*article)


def test_a_document_of_empty_pages_has_all_its_pages() -> None:
    """Pages without blocks are counted, and the Markdown is empty."""
    assembly = whole(page(), page(index=1))
    assert assembly.markdown == ""
    assert len(json.loads(assembly.middle)["pages"]) == 2


def test_three_hundred_pages_stay_in_order() -> None:
    """A long document keeps every page, each with its own text."""
    pages = [page(("text", f"Text of page {index}.", WIDE), index=index) for index in range(300)]
    assembly = whole(*pages)
    found = [int(line.split()[3].rstrip(".")) for line in assembly.markdown.splitlines() if line]
    assert found == list(range(300))


def test_a_block_that_docvortex_refuses_costs_itself_alone() -> None:
    """A block that cannot be assembled becomes plain text, and the document says so."""
    broken = FinishedBlock(0, "no such type", (0.1, 0.3, 0.9, 0.4), "odd words")
    good = page(("text", "good", WIDE))
    pages = [FinishedPage(0, 595, 842, (*good.blocks, broken))]
    assembly = whole(*pages)
    assert "odd words" in assembly.markdown
    assert "good" in assembly.markdown
    ((index, ended),) = assembly.degradations
    assert (index, ended.cause, ended.ending) == (0, "invalid-answer", "plain-text")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["text", "title", "table", "equation", "code", "algorithm", "index", "list_item", "header"]
            ),
            st.lists(
                st.sampled_from(["<b>", "</b>", "<fcel>", "<nl>", r"\(", r"\)", "```", "#", "<!--", "x<y", "&", "|"]),
                max_size=8,
            ),
            st.integers(0, 8),
        ),
        max_size=6,
    )
)
def test_words_survive_whatever_surrounds_them(answers: list[tuple[str, list[str], int]]) -> None:
    """A word in a block is found in the outputs, whatever broken markup stands around it."""
    blocks = [
        (kind, f"word{number} {' '.join(noise)} tail{number}", (0.1, place / 10, 0.9, place / 10 + 0.09))
        for number, (kind, noise, place) in enumerate(answers)
    ]
    assembly = whole(page(*blocks))
    output = assembly.markdown + assembly.structured_content.decode()
    for number in range(len(answers)):
        assert f"word{number}" in output
        assert f"tail{number}" in output
