"""Assembles finished pages into the outputs of a document: Markdown and three JSON files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mineru_pipeline.parsing.blocks import EndedDegradation, FinishedPage
from mineru_pipeline.parsing.content_list import content_list
from mineru_pipeline.parsing.markup import strip_markup
from mineru_pipeline.parsing.memory import exempt_what_is_imported
from mineru_pipeline.parsing.modeling import raw_pages
from mineru_pipeline.parsing.visuals import VisualBox, visual_boxes

if TYPE_CHECKING:
    from docvortex.schema import MiddleJson

__all__ = ["ASSEMBLY_VERSION", "Assembly", "VisualBox", "assemble", "visual_boxes"]

#: Part of the parser revision: raise it whenever the same answers would give other outputs.
ASSEMBLY_VERSION: Final = 4
PRODUCER: Final = "mineru-pipeline"
#: Stands for a table, with its number behind it, while the Markdown around it is made.
_TABLE: Final = "mineru-pipeline-table-"
_FENCED_TABLE: Final = re.compile(f"```\n{_TABLE}[0-9]+\n```")


@dataclass(frozen=True, slots=True)
class Assembly:
    """The outputs of one document; all bytes are UTF-8 and the same for the same input."""

    markdown: str
    #: docvortex's structured content.
    structured_content: bytes
    #: docvortex's middle JSON.
    middle: bytes
    #: The flat list of MinerU 3.x.
    content_list: bytes
    #: Blocks whose content docvortex refused, in addition to the pages' own degradations: (page, why).
    degradations: tuple[tuple[int, EndedDegradation], ...] = ()


def assemble(pages: Sequence[FinishedPage], crops: Collection[str], *, model_id: str) -> Assembly:
    """All outputs of the document made of ``pages``, which are in order and hold each page once.

    ``crops`` are the names, given by ``visual_boxes``, of the pictures that exist; no others are
    referred to. ``model_id`` says who read the pages and stands in docvortex's outputs beside the
    package's name and ``ASSEMBLY_VERSION``; MinerU's flat list has no place for it.
    """
    # docvortex takes half a second to import, which every start of the command would pay.
    from docvortex.render import render_structured_content

    exempt_what_is_imported()
    middle, refused = _middle(pages, crops, model_id)
    structured = render_structured_content(middle)
    return Assembly(
        structured_content=_json(structured),
        middle=_json(middle.to_dict()),
        content_list=_json(content_list(middle)),
        markdown=_ended_with_newline(_markdown(middle, structured)),
        degradations=refused,
    )


def _markdown(middle: MiddleJson, structured: Mapping[str, Any]) -> str:
    """The Markdown of ``middle``, with its tables as ``structured`` holds them already.

    docvortex makes the same of a table for either, by parsing its HTML, and that was half of all assembly. So it is
    given a word in place of each table, and the table is put where the word comes out.
    """
    from docvortex.render import render_markdown

    bodies: list[tuple[Any, str]] = []
    tables: dict[str, str] = {}
    for block, payload in _whole_tables(middle, structured):
        (body,) = (child for child in block.content if str(child.type) == "table_body")
        word = f"{_TABLE}{len(bodies)}"
        bodies.append((body, body.content))
        # What is no table at all is fenced.
        tables[f"```\n{word}\n```"] = payload["content"]
        body.content = word
    markdown: str = render_markdown(middle)
    for body, content in bodies:
        body.content = content
    if any(markdown.count(fenced) != 1 for fenced in tables):
        # Somebody wrote such a word into the document.
        return str(render_markdown(middle))
    return _FENCED_TABLE.sub(lambda found: tables.get(found[0], found[0]), markdown) if tables else markdown


def _whole_tables(middle: MiddleJson, structured: Mapping[str, Any]) -> list[tuple[Any, Mapping[str, Any]]]:
    """The tables with content, each with its structured content, but for those that Markdown joins with others."""
    tables = [
        (block, payload)
        for page, shown in zip(middle.pages, structured["pages"], strict=True)
        for block, payload in zip(page.blocks, shown["blocks"], strict=True)
        if str(block.type) == "table"
    ]
    goes_on = [bool(block.continues_prev) for block, _ in tables] + [False]
    return [
        table
        for table, is_carried_on, carries_on in zip(tables, goes_on[1:], goes_on, strict=False)
        if table[1]["content"] and not (is_carried_on or carries_on)
    ]


def _middle(
    pages: Sequence[FinishedPage], crops: Collection[str], model_id: str
) -> tuple[MiddleJson, tuple[tuple[int, EndedDegradation], ...]]:
    try:
        return _convert(pages, crops, model_id), ()
    except Exception:  # noqa: BLE001  some block is more than docvortex takes; it is found and simplified below
        checked = [_acceptable(page, model_id) for page in pages]
    refused = tuple((page.index, ended) for page, endings in checked for ended in endings)
    return _convert([page for page, _ in checked], crops, model_id), refused


def _convert(pages: Sequence[FinishedPage], crops: Collection[str], model_id: str) -> MiddleJson:
    from docvortex.content import normalize_pdf_model_text
    from docvortex.postprocess.document import model_json_to_middle_json
    from docvortex.schema import DocumentMetadata, ModelJson, Producer

    raw = raw_pages(pages, crops)
    normalize_pdf_model_text(raw)
    indices = [page.index for page in pages]
    model = ModelJson(
        pages=raw,
        page_index_map=[] if indices == list(range(len(pages))) else indices,
        metadata=DocumentMetadata(
            file_suffix="pdf", producer=Producer(name=PRODUCER, version=f"assembly-{ASSEMBLY_VERSION}")
        ),
        extensions={"mineru_pipeline": {"assembly_version": ASSEMBLY_VERSION, "model": model_id}},
    )
    middle: MiddleJson = model_json_to_middle_json(model)
    return middle


def _acceptable(page: FinishedPage, model_id: str) -> tuple[FinishedPage, list[EndedDegradation]]:
    """``page`` with every block that docvortex refuses on its own turned into plain text."""
    from docvortex.render import render_structured_content

    blocks, endings = [], []
    for block in page.blocks:
        alone = replace(page, index=0, blocks=(block,))
        try:
            render_structured_content(_convert([alone], (), model_id))
        except Exception as error:  # noqa: BLE001  see above
            message = f"the block could not be assembled: {type(error).__name__}"
            endings.append(EndedDegradation(block.source, block.type, "invalid-answer", message, "plain-text"))
            text = strip_markup(block.content)
            blocks.append(replace(block, type="text", content=text, merge_prev=False, ending="plain-text"))
        else:
            blocks.append(block)
    return replace(page, blocks=tuple(blocks)), endings


def _json(value: Any) -> bytes:
    # Without indentation, which the standard library can only do in Python, ten times slower.
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def _ended_with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
