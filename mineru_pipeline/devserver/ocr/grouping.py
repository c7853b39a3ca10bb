"""Groups lines that no region claims into paragraphs and into tables without rules."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from mineru_pipeline.devserver.ocr.boxes import Box, hull

_MIN_TABLE_ROWS = 3
_MIN_TABLE_CELLS = 3
_NARROW = 0.24
_TABLE_GAP = 3.0
_PROSE_FILL = 0.8
_MAX_PROSE_COLUMNS = 4


def paragraphs(lines: Sequence[Box]) -> list[Box]:
    """Boxes of lines that follow each other closely and share a column, or stand beside each other."""
    parents = list(range(len(lines)))

    def root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    ordered = sorted(lines, key=lambda box: box.y0)
    for i, upper in enumerate(ordered):
        for j in range(i + 1, len(ordered)):
            if ordered[j].y0 > upper.y1 + upper.height:
                break
            if _belong(upper, ordered[j]):
                parents[root(j)] = root(i)
    groups: dict[int, list[Box]] = {}
    for index, box in enumerate(ordered):
        groups.setdefault(root(index), []).append(box)
    return separate([hull(group) for group in groups.values()])


def _belong(upper: Box, lower: Box) -> bool:
    height = min(upper.height, lower.height)
    alike = max(upper.height, lower.height) < 1.6 * height
    if not alike:
        return False
    if upper.overlap_y(lower) > 0.5 * height:
        return upper.overlap_x(lower) > -0.6 * height
    close = lower.y0 - upper.y1 < 0.7 * height
    return close and upper.overlap_x(lower) > 0.5 * min(upper.width, lower.width)


def separate(boxes: list[Box]) -> list[Box]:
    """Boxes joined until no two overlap by more than a third of the smaller one."""
    merged = list(boxes)
    changed = True
    while changed:
        changed = False
        for i, box in enumerate(merged):
            clash = next((j for j in range(i + 1, len(merged)) if _clash(box, merged[j])), None)
            if clash is not None:
                merged[i] = hull((box, merged.pop(clash)))
                changed = True
                break
    return merged


def _clash(a: Box, b: Box) -> bool:
    return a.shared(b) > 0.33 * min(a.area, b.area)


def rows(lines: Sequence[Box]) -> list[list[Box]]:
    """Lines that stand beside each other, top to bottom, each row left to right."""
    found: list[list[Box]] = []
    for box in sorted(lines, key=lambda item: item.mid_y):
        if found:
            top, bottom = median(b.y0 for b in found[-1]), median(b.y1 for b in found[-1])
            if min(bottom, box.y1) - max(top, box.y0) > 0.5 * min(bottom - top, box.height):
                found[-1].append(box)
                continue
        found.append([box])
    return [sorted(row, key=lambda box: box.x0) for row in found]


def is_prose(split: Sequence[Sequence[Box]]) -> bool:
    """Whether rows of several pieces are columns of running text: a few wide pieces that fill their row."""
    filled = median(sum(box.width for box in row) / max(1.0, hull(row).width) for row in split)
    cells = median(len(row) for row in split)
    return filled > _PROSE_FILL and cells <= _MAX_PROSE_COLUMNS


def open_tables(lines: Sequence[Box], width: float) -> list[Box]:
    """Boxes of tables without rules: at least three rows below each other of at least three short cells.

    Rows of fewer cells go along inside a table, and directly above it, where column heads stand.
    """
    found = rows(lines)
    tables: list[Box] = []
    start = 0
    while start < len(found):
        end = start
        while end < len(found) and _goes_on(found, start, end, width):
            end += 1
        full = [row for row in found[start:end] if len(row) >= _MIN_TABLE_CELLS]
        if len(full) >= _MIN_TABLE_ROWS and not is_prose(full):
            first = _first_head(found, start, hull(box for row in found[start:end] for box in row), width)
            tables.append(hull(box for row in found[first:end] for box in row))
        start = max(end, start + 1)
    return tables


def _goes_on(found: Sequence[Sequence[Box]], start: int, row: int, width: float) -> bool:
    """Whether a row can belong to the table that began at ``start``."""
    cells = found[row]
    short = sum(1 for box in cells if box.width < _NARROW * width)
    full = len(cells) >= _MIN_TABLE_CELLS and short >= len(cells) - 1
    if row == start:
        return full
    near = min(box.y0 for box in cells) - max(box.y1 for box in found[row - 1]) < _TABLE_GAP * cells[0].height
    return near and (full or (len(cells) == _MIN_TABLE_CELLS - 1 and short >= 1))


def _first_head(found: Sequence[Sequence[Box]], start: int, table: Box, width: float) -> int:
    """The first of the rows of short texts right above a table, within its width."""
    first = start
    while first > 0:
        above, below = found[first - 1], found[first]
        near = min(box.y0 for box in below) - max(box.y1 for box in above) < above[0].height
        inside = all(box.x0 >= table.x0 - box.height and box.x1 <= table.x1 + box.height for box in above)
        if not (near and inside and all(box.width < _NARROW * width for box in above)):
            break
        # A lone text at the left edge is rather the last line of a paragraph.
        if len(above) == 1 and above[0].x0 < table.x0 + above[0].height:
            break
        first -= 1
    return first
