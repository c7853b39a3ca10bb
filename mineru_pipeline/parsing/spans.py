"""Splits a block's text into the inline spans that docvortex assembles: words, styles, formulas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from mineru_pipeline.parsing.markup import formulas

#: ``\[12, 14\]`` is how the model writes a citation, not a formula.
_CITATION = re.compile(r"[–\d\-,;\s]+")
_STYLES: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "s": "strikethrough",
    "sup": "superscript",
    "sub": "subscript",
}
_STYLE_TAG = re.compile(rf"<(?P<closing>/?)(?P<tag>{'|'.join(_STYLES)})>", re.IGNORECASE)

Span = dict[str, Any]


def inline_spans(text: str, *, literal: bool = False) -> list[Span]:
    r"""The raw spans of docvortex for ``text``: inline formulas ``\( … \)``, ``<sup>``-like styles, plain words.

    ``literal`` text holds neither: it comes from the PDF or from us and is shown as it stands.
    Markup that does not close stays visible as text.
    """
    spans: list[Span] = []
    text = text.strip()
    if literal:
        _append_text(spans, text)
        return spans
    position = 0
    for start, end in formulas(text):
        _append_styled(spans, text[position:start])
        latex = text[start + 2 : end - 2]
        if text.startswith(r"\[", start) and _CITATION.fullmatch(latex):
            _append_text(spans, f"[{latex}]")
        else:
            _append_equation(spans, latex)
        position = end
    _append_styled(spans, text[position:])
    return spans


def _append_styled(spans: list[Span], text: str) -> None:
    """Append ``text``, reading style tags that close in the order in which they open."""
    open_styles: list[str] = []
    position = 0
    for match in _paired_tags(text):
        _append_text(spans, text[position : match.start()], _compatible(open_styles))
        style = _STYLES[match["tag"].lower()]
        if match["closing"]:
            open_styles.pop()
        else:
            open_styles.append(style)
        position = match.end()
    _append_text(spans, text[position:], _compatible(open_styles))


def _append_text(spans: list[Span], text: str, styles: Sequence[str] = ()) -> None:
    if text:
        spans.append({"type": "text", "content": text, **({"styles": list(styles)} if styles else {})})


def _append_equation(spans: list[Span], latex: str) -> None:
    if latex.strip():
        spans.append({"type": "equation_inline", "content": latex.strip()})


def _paired_tags(text: str) -> list[re.Match[str]]:
    """The style tags of ``text`` that have a partner and are properly nested, in order."""
    pending: list[re.Match[str]] = []
    paired: list[re.Match[str]] = []
    for match in _STYLE_TAG.finditer(text):
        if not match["closing"]:
            pending.append(match)
        elif pending and pending[-1]["tag"].lower() == match["tag"].lower():
            paired += (pending.pop(), match)
    return sorted(paired, key=re.Match.start)


def _compatible(styles: list[str]) -> list[str]:
    """``styles`` without superscript where it is subscript too: docvortex refuses both at once."""
    return [style for style in styles if not (style == "superscript" and "subscript" in styles)]
