"""Groups the types of blocks and gives each group its colour, alike in the report, the overlay and the pictures."""

from __future__ import annotations

from typing import Final

_GROUPS: Final = {
    "title": ("title", "doc_title", "paragraph_title"),
    "table": ("table", "table_body", "table_caption", "table_footnote"),
    "picture": (
        *("image", "image_body", "image_caption", "image_footnote"),
        *("chart", "chart_body", "chart_caption", "chart_footnote", "caption", "footnote"),
    ),
    "formula": ("equation", "formula_number"),
    "code": ("code", "algorithm", "code_body", "algorithm_body", "code_caption", "code_footnote"),
    "list": ("list", "index", "ref_text"),
    "margin": ("header", "footer", "page_number", "page_footnote", "aside_text"),
}
_GROUP_OF: Final = {kind: group for group, kinds in _GROUPS.items() for kind in kinds}

#: Red, green and blue (0–255) of each group on white paper.
COLOURS: Final = {
    "text": (0x3B, 0x6F, 0xD4),
    "title": (0x7C, 0x3A, 0xED),
    "table": (0xB7, 0x79, 0x1F),
    "picture": (0x13, 0x80, 0x6F),
    "formula": (0xC0, 0x33, 0x7F),
    "code": (0x4B, 0x55, 0x63),
    "list": (0x2F, 0x85, 0x5A),
    "margin": (0x8A, 0x94, 0xA0),
}


def group_of(kind: str) -> str:
    """Return the group of a type of blocks, MinerU's or docvortex's; an unknown one counts as text."""
    return _GROUP_OF.get(kind, "text")
