"""What a document of the baseline corpus says, block by block, in the order in which people read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from mineru_pipeline.quality.reading import decoded


class TruthKind(StrEnum):
    """What a block is; the words are those of MinerU's flat list, titles and margins told apart."""

    TITLE = "title"
    TEXT = "text"
    LIST = "list"
    TABLE = "table"
    EQUATION = "equation"
    CODE = "code"
    FORM = "form"
    HEADER = "header"
    FOOTER = "footer"
    PAGE_NUMBER = "page_number"
    PAGE_FOOTNOTE = "page_footnote"
    CAPTION = "caption"


#: What stands in the margins of a page and does not belong to its running text.
MARGINS = frozenset({TruthKind.HEADER, TruthKind.FOOTER, TruthKind.PAGE_NUMBER})


@dataclass(frozen=True, slots=True)
class TruthBlock:
    """One block of the truth.

    ``content`` is text for most kinds (items of a list and lines of code a line each), HTML with
    ``rowspan`` and ``colspan`` for a table, LaTeX without delimiters for an equation, its number as a tag.
    A form has ``label: value`` or ``☒ text`` and ``☐ text`` lines. docs/quality.md tells the rest.
    """

    #: Unique within the document, so that a report can say which block was lost.
    id: str
    kind: TruthKind
    #: The page on which it begins, counted from 0.
    page: int
    content: str
    #: Of a title: 1 for the document's own, 2 and more below it.
    level: int | None = None
    #: x0, y0, x1, y1 in thousandths of the page as people see it, from the top left.
    bbox: tuple[int, int, int, int] | None = None
    #: The block that this one carries on, such as the part of a table on the page before.
    continues: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentTruth:
    """The truth of one document: blocks in reading order, margins at the end of their page."""

    name: str
    stratum: str
    #: ISO 639-1 codes of the languages in it.
    languages: tuple[str, ...]
    pages: int
    blocks: tuple[TruthBlock, ...]

    def to_json(self) -> str:
        """Return the document as JSON that :meth:`from_json` reads."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DocumentTruth:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is not such a document.
        """
        return decoded(cls, text)
