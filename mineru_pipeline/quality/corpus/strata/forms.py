"""Forms that somebody filled in: text fields and boxes to tick, as fields of an interactive form."""

from __future__ import annotations

from dataclasses import replace

from mineru_pipeline.quality.corpus.draft import Draft
from mineru_pipeline.quality.corpus.flow import Flow
from mineru_pipeline.quality.corpus.prose import TIE
from mineru_pipeline.quality.corpus.sheet import Block, Box, Field, Run
from mineru_pipeline.quality.corpus.strata.parts import add_pages, paragraph
from mineru_pipeline.quality.truth import TruthKind

#: What stands in the truth for a box with and without a cross.
TICKED, OPEN = "☒", "☐"
_TALL, _STEP, _BOX = 17.0, 23.0, 11.0
#: The room that a part of a form is sure to find enough, whatever the lot makes of it.
_PART = 330.0
_PARTS = "ABCDEFG"


def forms(draft: Draft) -> None:
    """Two pages of an application; each group of fields is a block of ``label: value`` lines."""
    draft.style = replace(draft.style, size=10.0, leading=13.0)
    add_pages(draft, 2)
    flow = draft.flow([frame for page in draft.pages for frame in draft.frames(page)])
    flow.heading(f"{draft.prose.word('form')} {draft.prose.value('ref')}", 1)
    paragraph(draft, flow, first=True)
    part, used = 0, 0
    while flow.left > _PART and part < len(_PARTS):
        labels = draft.dice.some(draft.prose.language.fields, draft.dice.integer(4, 6))
        # A heading stays with its fields.
        flow.need((len(labels) + 3) * _STEP)
        flow.heading(f"{draft.prose.word('part')} {_PARTS[part]}: {draft.prose.short_thing()}", 2)
        part += 1
        used = _fields(draft, flow, labels, used)
        used = _ticks(draft, flow, draft.dice.integer(2, 4), used)
        if draft.dice.chance(0.5):
            flow.text(draft.prose.sentence())


def _fields(draft: Draft, flow: Flow, labels: list[tuple[str, str]], used: int) -> int:
    flow.need(len(labels) * _STEP)
    block = flow.frame.page.block(TruthKind.FORM)
    setting, said = draft.style.plain(), list[str]()
    shift = max(setting.measure(f"{label}:") for label, _ in labels) + 12
    for label, kind in labels:
        value = _value(draft, kind)
        said.append(f"{label}: {value}")
        block.put(Run(flow.frame.x, flow.y + 12.5, f"{label}:", setting.face, setting.size))
        left = flow.frame.x + shift
        wide = min(flow.frame.width - shift, draft.dice.fraction(190, 280))
        block.put(Field(Box(left, flow.y, left + wide, flow.y + _TALL), f"field{used}", value))
        used += 1
        flow.y += _STEP
    block.say("\n".join(said))
    return used


def _ticks(draft: Draft, flow: Flow, count: int, used: int) -> int:
    flow.skip(4)
    flow.need(count * _STEP)
    block: Block = flow.frame.page.block(TruthKind.FORM)
    setting, said = draft.style.plain(), list[str]()
    for _ in range(count):
        ticked, text = draft.dice.chance(0.5), draft.prose.clause()
        said.append(f"{TICKED if ticked else OPEN} {text}")
        box = Box(flow.frame.x, flow.y, flow.frame.x + _BOX, flow.y + _BOX)
        block.put(Field(box, f"tick{used}", "yes" if ticked else "", tick=True))
        block.put(Run(box.x1 + 6, flow.y + 9.5, text, setting.face, setting.size))
        used += 1
        flow.y += _STEP - 4
    block.say("\n".join(said))
    return used


def _value(draft: Draft, kind: str) -> str:
    prose, dice = draft.prose, draft.dice
    match kind:
        case "surname":
            text = dice.pick(prose.language.surnames)
        case "first":
            text = dice.pick(prose.language.first_names)
        case "street":
            text = f"{dice.pick(prose.language.places)} {dice.integer(1, 180)}"
        case "code":
            text = str(dice.integer(10_000, 99_999))
        case "phone":
            text = f"0{dice.integer(30, 799)} {dice.integer(100_000, 9_999_999)}"
        case "account":
            text = " ".join(str(dice.integer(1000, 9999)) for _ in range(4))
        case "word":
            text = prose.short_thing()
        case _:
            text = prose.value(kind)
    # reportlab writes the values of fields in Latin-1.
    for char, plain in ((TIE, " "), ("−", "-"), ("’", "'"), ("€", "EUR ")):
        text = text.replace(char, plain)
    return text.strip()
