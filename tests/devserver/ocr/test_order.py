"""Reading order of boxes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.devserver.ocr.boxes import Box
from mineru_pipeline.devserver.ocr.order import reading_order
from mineru_pipeline.devserver.ocr.upright import turned_back
from mineru_pipeline.devserver.prompts import LayoutBlock

EDGE = st.integers(0, 1000)
BOXES = st.lists(st.builds(lambda x, y, w, h: Box(x, y, x + w + 1, y + h + 1), EDGE, EDGE, EDGE, EDGE), max_size=30)


@given(BOXES)
def test_every_box_is_read_exactly_once(boxes: list[Box]) -> None:
    """Whatever the boxes, the order is a permutation of them."""
    assert sorted(reading_order(boxes, gutter=5)) == list(range(len(boxes)))


def test_a_full_width_box_parts_the_columns_above_from_those_below() -> None:
    """Two columns, a figure across the page, two columns: the upper pair is read before the figure."""
    boxes = [
        Box(520, 600, 980, 900),
        Box(20, 600, 480, 900),
        Box(20, 400, 980, 580),
        Box(520, 20, 980, 380),
        Box(20, 20, 480, 380),
    ]
    assert reading_order(boxes, gutter=10) == [4, 3, 2, 1, 0]


@given(EDGE, EDGE, EDGE, EDGE, st.sampled_from([0, 90, 180, 270]))
def test_turning_back_four_quarters_is_no_turn(x: int, y: int, w: int, h: int, angle: int) -> None:
    """A box turned back by an angle and by the rest of the circle is where it was."""
    box = Box(x, y, x + w, y + h)
    assert turned_back(turned_back(box, angle, 2000), (360 - angle) % 360, 2000) == box


def test_a_layout_line_is_never_degenerate() -> None:
    """A box thinner than a thousandth of the page still has a width and a height the parser accepts."""
    assert LayoutBlock("text", (0.5, 0.5, 0.5001, 1.2)).line().startswith("<|box_start|>500 500 501 1000<|box_end|>")
