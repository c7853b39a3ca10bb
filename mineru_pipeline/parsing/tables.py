"""Keeps tables as tables: repairs OTSL, cleans HTML, and refuses what is neither or absurdly large.

A table answer is as hostile as the page it was read from. Everything here is pure, keeps the words
and lets no markup through that is broken or active.
"""

from __future__ import annotations

import re

import nh3
from mineru_vl_utils.post_process.image_analysis_postprocess import convert_markdown_table_to_html

from mineru_pipeline.errors import InvalidAnswerError
from mineru_pipeline.parsing.markup import TABLE_TAG, TABLE_TAGS, mark_formulas, strip_markup, unmark_formulas

#: Grid slots of one table, spans counted out: real tables stay far below, and work grows with it.
MAX_SLOTS = 10_000
#: Nesting of tags inside one table; libraries downstream walk the tree recursively.
MAX_DEPTH = 24

_OTSL = re.compile(r"(<(?:fcel|ecel|lcel|ucel|xcel)>)")
_ATTRIBUTES = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "img": {"src", "alt"}}
_VOID = frozenset({"br", "col", "img"})
_OWN_PICTURE = re.compile(r"images/[a-z0-9.-]+\.(?:jpg|png)")
_MAX_SPAN = 1000
#: Tags between which no text may stand.
_SKELETON = re.compile(r"</?(?:table|thead|tbody|tfoot|tr|caption|colgroup|col)\b[^<>]*>", re.IGNORECASE)
_PADDED = re.compile(rf" *({_SKELETON.pattern}) *", re.IGNORECASE)
_MERMAID = re.compile(r"```mermaid\n(?:(?!```).)*\n```", re.DOTALL)


def repair_otsl(content: str) -> str:
    """OTSL in which every word follows ``<fcel>``: converters drop what stands anywhere else.

    Raises:
        InvalidAnswerError: there is no OTSL token at all, or its grid is absurdly large.
    """
    if _OTSL.search(content) is None:
        raise InvalidAnswerError("the answer is neither OTSL nor HTML")
    rows: list[list[str]] = []
    for row in content.split("<nl>"):
        parts = _OTSL.split(row)
        cells = [f"<fcel>{parts[0]}"] if parts[0].strip() else []
        cells += [
            f"<fcel>{text}" if text.strip() else mark for mark, text in zip(parts[1::2], parts[2::2], strict=True)
        ]
        # Converters lose count of rows at an empty one.
        rows += [cells] if cells else []
    if len(rows) * max(map(len, rows), default=1) > MAX_SLOTS:
        raise InvalidAnswerError(f"the table has more than {MAX_SLOTS} cells")
    return "<nl>".join("".join(cells) for cells in rows) + "<nl>"


def as_table_markup(content: str) -> str:
    """A table answer as OTSL or HTML that vl-utils converts without losing words.

    Raises:
        InvalidAnswerError: the answer is no table.
    """
    if re.search(r"(?i)<table[\s>]", content):
        return clean_table(content)
    if _OTSL.search(content) is None:
        converted: str | None = convert_markdown_table_to_html(content)
        if converted is not None:
            return converted
    return repair_otsl(content)


def clean_table(markup: str) -> str:
    """Well-formed HTML of one table (or several) with no active content and bounded spans.

    Raises:
        InvalidAnswerError: no table is left, or it is too deep or too large to be kept as one.
    """
    escaped = _escape_stray(unmark_formulas(re.sub(r"[ \t\n]{2,}", " ", markup)))
    cleaned = nh3.clean(
        escaped, tags=set(TABLE_TAGS), attributes=_ATTRIBUTES, attribute_filter=_filter_attribute, url_schemes=set()
    )
    cleaned = _PADDED.sub(r"\1", cleaned)
    _check_size(cleaned)
    if cleaned.startswith("<table") and cleaned.endswith("</table>") and not _has_stray_text(cleaned):
        return mark_formulas(cleaned)
    return mark_formulas(_with_stray_text_in_cells(cleaned))


def clean_picture_text(content: str) -> str:
    """Text, Markdown tables or Mermaid code found inside a picture, with no tag left that could act."""
    if _MERMAID.fullmatch(content):
        return content
    if re.search(r"(?i)<table[\s>]", content):
        try:
            return clean_table(content)
        except InvalidAnswerError:
            content = strip_markup(content)
    # A fence that is not closed, or closed early, would swallow or free what follows it.
    content = content.replace("```", "'''")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", content)


def _escape_stray(markup: str) -> str:
    """Escape every ``<`` and ``>`` that is not part of a tag tables are made of: it is text.

    Parsers pull text from between rows and join it, so that it needs spaces of its own there.
    """
    pieces: list[str] = []
    position = 0
    for match in TABLE_TAG.finditer(markup):
        tag = f" {match.group()} " if _SKELETON.fullmatch(match.group()) else match.group()
        pieces += (_escape_angles(markup[position : match.start()]), tag)
        position = match.end()
    pieces.append(_escape_angles(markup[position:]))
    return "".join(pieces)


def _escape_angles(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "img":
        return value if name == "alt" or _OWN_PICTURE.fullmatch(value) else None
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(_MAX_SPAN)):
        return None
    return str(min(max(int(value), 1), _MAX_SPAN))


def _check_size(markup: str) -> None:
    if "<td" not in markup and "<th" not in markup:
        raise InvalidAnswerError("the answer holds no table cell")
    depth = deepest = 0
    for closing, name in re.findall(r"<(/?)([a-z]+)", markup):
        if name not in _VOID:
            depth += -1 if closing else 1
            deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise InvalidAnswerError(f"tags are nested more than {MAX_DEPTH} deep")
    slots = sum(_slots(attributes) for attributes in re.findall(r"<t[dh]\b([^>]*)>", markup))
    if slots > MAX_SLOTS:
        raise InvalidAnswerError(f"the table has more than {MAX_SLOTS} cells")


def _slots(attributes: str) -> int:
    size = 1
    for span in re.findall(r'span="(\d+)"', attributes):
        size *= int(span)
    return size


def _has_stray_text(markup: str) -> bool:
    """Whether some text stands outside the cells of ``markup``, which is well-formed."""
    cells = 0
    for closing, name, text in re.findall(r"<(/?)([a-z]+)[^>]*>|([^<]+)", markup):
        if name in {"td", "th"}:
            cells += -1 if closing else 1
        elif not name and not cells and text.strip():
            return True
    return False


def _with_stray_text_in_cells(markup: str) -> str:
    """Move text that stands in no cell into a row of its own: renderers read cells only."""
    # Rarely needed, and slow to import.
    from bs4 import BeautifulSoup, Tag

    soup = BeautifulSoup(markup, "html.parser")
    table = soup.find("table")
    if not isinstance(table, Tag):
        raise InvalidAnswerError("the answer holds no table")
    for text in list(soup.find_all(string=True)):
        if text.strip() and text.find_parent(["td", "th"]) is None:
            row, cell = soup.new_tag("tr"), soup.new_tag("td")
            cell.append(text.extract().strip())
            row.append(cell)
            (table.find(["tbody"], recursive=False) or table).append(row)
    return "".join(str(found) for found in soup.find_all("table") if found.find_parent("table") is None)
