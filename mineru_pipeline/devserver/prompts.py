"""The prompts of MinerU's two-step extraction and the tokens of its layout grammar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Task(Enum):
    """What a prompt asks for; the value is the prompt without the line break in front of it."""

    LAYOUT = "Layout Detection:"
    TEXT = "Text Recognition:"
    TABLE = "Table Recognition:"
    FORMULA = "Formula Recognition:"
    IMAGE = "Image Analysis:"


def task_of(prompt: str) -> Task:
    """The task a prompt asks for; every unknown prompt reads text, as MinerU's default does."""
    stripped = prompt.strip()
    return next((task for task in Task if stripped.startswith(task.value)), Task.TEXT)


#: Turning a crop counter-clockwise by this many degrees makes it upright; the token is MinerU's name for it.
ROTATION_TOKENS = {0: "<|rotate_up|>", 90: "<|rotate_right|>", 180: "<|rotate_down|>", 270: "<|rotate_left|>"}


@dataclass(frozen=True, slots=True)
class LayoutBlock:
    """One block of a page: type, box in fractions of the page, and the turn in degrees that makes it upright."""

    kind: str
    box: tuple[float, float, float, float]
    angle: int = 0
    continues: bool = False

    def line(self) -> str:
        """The block in MinerU's layout grammar; ``continues`` marks a paragraph that began in the block before."""
        x0, y0, x1, y1 = (min(1000, max(0, round(1000 * value))) for value in self.box)
        box = f"<|box_start|>{x0:03d} {y0:03d} {max(x1, x0 + 1):03d} {max(y1, y0 + 1):03d}<|box_end|>"
        tail = "<|txt_contd_tgt|>" if self.continues else ""
        return f"{box}<|ref_start|>{self.kind}<|ref_end|>{ROTATION_TOKENS[self.angle]}{tail}"


def layout_answer(blocks: Iterable[LayoutBlock]) -> str:
    """The whole layout answer, one block a line, in reading order."""
    return "\n".join(block.line() for block in blocks)
