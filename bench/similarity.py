"""How alike two parses of one document are: the words of their Markdown, and the form of their content lists."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

#: Type of an entry, then field and JSON type of its value.
Shape = Mapping[str, Mapping[str, frozenset[str]]]

_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_TABLE_RULE = re.compile(r"^\|(?: ?:?-+:? ?\|)+$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
_PIPE = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
#: Fields whose names are MinerU's; the others hold places, levels and names.
_TEXT_FIELDS = ("text", "list_items", "content", "code_body", "table_body")


def plain_text(markdown: str) -> str:
    """Return the words of ``markdown``: without pictures, tags, headings' and tables' marks; one space between words.

    One parser writes simple tables as HTML and the other as Markdown; their cells are what is compared.
    """
    text = _PICTURE.sub(" ", markdown)
    text = _TABLE_RULE.sub(" ", text)
    text = _TABLE_ROW.sub(lambda row: _PIPE.sub(" ", row[0]), text)
    text = _HEADING.sub("", _TAG.sub(" ", text))
    return " ".join(html.unescape(_ESCAPED.sub(r"\1", text)).split())


def listed_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the words of a content list, in its order."""
    return plain_text("\n".join(text for entry in entries for text in _texts(entry)))


def _texts(entry: Mapping[str, Any]) -> Iterable[str]:
    for name, value in sorted(entry.items()):
        if name in _TEXT_FIELDS or name.endswith(("_caption", "_footnote")):
            yield from [value] if isinstance(value, str) else value


def similarity(one: str, other: str) -> float:
    """Normalised edit similarity: 1 − Levenshtein distance / length of the longer; 1 for two empty texts."""
    return float(Levenshtein.normalized_similarity(one, other))


def shape(lists: Iterable[Sequence[Mapping[str, Any]]]) -> Shape:
    """Return which fields, of which JSON types, the entries of each type have."""
    found: dict[str, dict[str, set[str]]] = {}
    for entries in lists:
        for entry in entries:
            fields = found.setdefault(str(entry["type"]), {})
            for name, value in entry.items():
                fields.setdefault(name, set()).add(_json_type(value))
                if isinstance(value, list):
                    # On their own: an empty list says nothing of its items.
                    fields.setdefault(f"{name}[]", set()).update(map(_json_type, value))
    return {kind: {name: frozenset(types) for name, types in fields.items()} for kind, fields in found.items()}


def differences(ours: Shape, peers: Shape) -> list[str]:
    """Return in words what differs between two shapes, for the types of entry that both have."""
    found = []
    for kind in sorted(set(ours) & set(peers)):
        for name in sorted(set(ours[kind]) | set(peers[kind])):
            mine, theirs = ours[kind].get(name), peers[kind].get(name)
            if mine == theirs or (name.endswith("[]") and not (mine and theirs)):
                continue
            found.append(f"{kind}.{name}: ours {_words(mine)}, peer {_words(theirs)}")
    return found


def _json_type(value: Any) -> str:
    return {str: "string", bool: "boolean", int: "integer", float: "number", list: "list"}.get(type(value), "other")


def _words(types: frozenset[str] | None) -> str:
    return "absent" if types is None else " or ".join(sorted(types))
