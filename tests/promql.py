"""The metrics that an expression of PromQL reads, each with the labels that are asked of it."""

from __future__ import annotations

import re

_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_DURATION = re.compile(r"\[[^\]]*\]")
_NUMBER = re.compile(r"\b\d[\w.]*")
_WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan"}


def metrics_of(expression: str) -> dict[str, set[str]]:
    """Names of metrics and recorded series, with the labels in their matchers and in groupings around them."""
    text = _STRING.sub('""', expression)
    grouped = {label.strip() for group in _GROUPING.findall(text) for label in group.split(",") if label.strip()}
    text = _NUMBER.sub("0", _DURATION.sub("", _GROUPING.sub(" ", text)))
    found: dict[str, set[str]] = {}
    for match in _SELECTOR.finditer(text):
        name, matchers = match[1], match[2] or ""
        if (
            name in _WORDS
            or text[match.end() :].lstrip().startswith("(")
            or (not matchers and _inside(text, match.start()))
        ):
            continue
        asked = {part.split("=")[0].rstrip("!~ ").strip() for part in matchers.strip("{}").split(",") if part.strip()}
        found.setdefault(name, set()).update(asked | grouped)
    return found


def _inside(text: str, place: int) -> bool:
    """Whether a place is between braces."""
    return text.rfind("{", 0, place) > text.rfind("}", 0, place)
