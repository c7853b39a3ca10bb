"""Answers ``Layout Detection``: the blocks of a page in reading order, so that no text is left out.

The model sends pages squeezed to a square; nothing here depends on the true aspect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr import sideways, upright
from mineru_pipeline.devserver.ocr.boxes import Box, hull
from mineru_pipeline.devserver.ocr.corrections import missed_words, tightened
from mineru_pipeline.devserver.ocr.grouping import is_prose, open_tables, paragraphs, rows
from mineru_pipeline.devserver.ocr.ink import Ink, cluster, find_ink
from mineru_pipeline.devserver.ocr.order import reading_order
from mineru_pipeline.devserver.ocr.reader import Reader, outline
from mineru_pipeline.devserver.ocr.regions import Region, RegionDetector
from mineru_pipeline.devserver.prompts import LayoutBlock

Image = NDArray[np.uint8]

# MinerU asks for an analysis of a picture only above this share of the page in both directions, or in area.
_ANALYSED_SIDE, _ANALYSED_AREA = 0.1, 0.01
_OWNED = 0.5
_NESTED = 0.7
_COVERED = 0.85
_LINE_HEIGHT = 12.0
# A line from top to bottom is this many usual lines high; less may be a bracket or a large capital.
_TALL_LINES = 4
# Two by two cells take three rules each way.
_GRID_RULES, _GRID_LINES = 3, 4
# A line of prose is longer than this many times its height; a picture holds fewer of them than that.
_PROSE_WIDTH, _PROSE_LINES = 8.0, 5
# Shares of the page: where headers and footers stand, and how wide a page number is at most.
_MARGIN, _NUMBER_WIDTH = 0.055, 0.05
_MARGINAL = frozenset({"header", "footer", "page_number"})
# Pixels around a part that is laid out for itself: the detector is weak at the very edge.
_PART_MARGIN = 8
_VISUAL = frozenset({"image", "chart", "table", "equation"})


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is known of an upright page: its lines, ink and size in pixels."""

    lines: list[Box]
    ink: Ink
    width: int
    height: int
    line_height: float


class LayoutFinder:
    """Page layout; safe to call from several threads."""

    def __init__(self, reader: Reader, regions: RegionDetector) -> None:
        self._reader = reader
        self._regions = regions

    def find(self, image: Image) -> list[LayoutBlock]:
        """Blocks of a BGR page of any size, in reading order, boxes in fractions of the page."""
        ink = find_ink(image)
        lines = [outline(line) for line in self._reader.locate(image, ink)]
        angle = upright.angle_of(self._reader, image, lines) if lines else 0
        if angle:
            image = upright.turned(image, angle)
            ink = find_ink(image)
            lines = [outline(line) for line in self._reader.locate(image, ink)]
        scene = _scene_of(image, ink, lines)
        candidates = self._regions.find(image)
        areas = self._sideways(image, scene, candidates)
        if not areas:
            found = in_order(self._arrange(image, scene, candidates), scene)
        else:
            found = self._around(image, scene, candidates, areas)
        return [_placed(region, scene, angle) for region in found]

    def _arrange(self, image: Image, scene: _Scene, candidates: Sequence[Region]) -> list[Region]:
        tall = [box for box in scene.lines if upright.is_tall(box) and box.height > _TALL_LINES * scene.line_height]
        flat = replace(scene, lines=[box for box in scene.lines if box not in tall])
        regions = _settled(candidates, flat)
        regions += [Region("aside_text", box, 1.0) for box in _free(tall, regions)]
        return [self._with_turn(region, image, tall, flat.lines) for region in regions]

    def _sideways(self, image: Image, scene: _Scene, candidates: Sequence[Region]) -> list[sideways.Area]:
        """Parts of the page that lie on their side."""
        tables = [*ruled_tables(scene), *(region.box for region in candidates if region.kind == "table")]
        tall = [line for line in scene.lines if upright.is_tall(line)]
        # The model takes lines of turned text for a picture; nothing else is that full of them.
        pictures = [
            region.box
            for region in candidates
            if region.kind == "image" and sum(map(region.box.shared, tall)) < _OWNED * region.box.area
        ]
        return sideways.areas(self._reader, image, scene.lines, tables, pictures)

    def _around(
        self, image: Image, scene: _Scene, candidates: Sequence[Region], areas: Sequence[sideways.Area]
    ) -> list[Region]:
        """Regions of a page of which ``areas`` lie sideways: each area is laid out for itself and read as a whole."""
        outside = [line for line in scene.lines if all(line.share_inside(area.box) <= _OWNED for area in areas)]
        rest = replace(scene, lines=outside, line_height=_usual_height(outside))
        upright_only = [
            region for region in candidates if all(region.box.share_inside(area.box) <= _OWNED for area in areas)
        ]
        whole = {area.box: area for area in areas}
        regions = self._arrange(image, rest, upright_only) + [Region("table", box, 1.0) for box in whole]
        found: list[Region] = []
        for region in in_order(regions, rest):
            area = whole.get(region.box)
            found += [region] if area is None else self._turned_part(image, area)
        return found

    def _turned_part(self, image: Image, area: sideways.Area) -> list[Region]:
        """Regions of a part of the page that lies sideways, in its own reading order."""
        x0, y0, x1, y1 = area.box.grown(_PART_MARGIN, _PART_MARGIN).clipped(image.shape[1], image.shape[0])
        cropped = image[int(y0) : int(y1), int(x0) : int(x1)]
        part = upright.turned(cropped, area.turn)
        ink = find_ink(part)
        scene = _scene_of(part, ink, [outline(line) for line in self._reader.locate(part, ink)])
        # The margins of a part are not those of the page.
        regions = [
            replace(region, kind="text") if region.kind in _MARGINAL else region
            for region in self._arrange(part, scene, self._regions.find(part))
        ]
        height, width = cropped.shape[:2]
        found = []
        for region in in_order(regions, scene):
            left, top, right, bottom = _share(region.box, scene, area.turn)
            box = Box(
                int(x0) + left * width, int(y0) + top * height, int(x0) + right * width, int(y0) + bottom * height
            )
            found.append(replace(region, box=box, turn=(region.turn + area.turn) % 360))
        return found

    def _with_turn(self, region: Region, image: Image, tall: Sequence[Box], flat: Sequence[Box]) -> Region:
        """The region with a turn of its own when most of its text runs from top to bottom."""
        inside = [box for box in tall if box.share_inside(region.box) > _OWNED]
        across = sum(box.width for box in flat if box.share_inside(region.box) > _OWNED)
        if region.kind == "image" or not inside or sum(box.height for box in inside) <= across:
            return region
        return replace(region, turn=upright.turn_of_lines(self._reader, image, inside))


def _scene_of(image: Image, ink: Ink, lines: Sequence[Box]) -> _Scene:
    """What is known of an upright picture whose ``lines`` the detector found."""
    height, width = image.shape[:2]
    missed = [box for box in missed_words(ink, lines) if box.width < 0.5 * width]
    tight = [tightened(ink, box).clipped(width, height) for box in (*lines, *missed)]
    return _Scene(tight, ink, width, height, _usual_height(tight))


def _usual_height(lines: Sequence[Box]) -> float:
    return median(box.height for box in lines) if lines else _LINE_HEIGHT


def _settled(candidates: Sequence[Region], scene: _Scene) -> list[Region]:
    """Regions that share the page without overlap and leave no line of text out."""
    tables = [Region("table", box, 1.0) for box in ruled_tables(scene)]
    regions = _without_nested([*tables, *(region for region in candidates if is_plausible(region, scene))])
    for box in open_tables(_free(scene.lines, regions), scene.width):
        regions.append(Region("table", box.grown(3, 3), 0.5))
    regions = [_fitted(region, scene, regions) for region in regions]
    regions += [Region(_margin_kind(box, scene), box, 0.5) for box in paragraphs(_free(scene.lines, regions))]
    regions += _words_in_small_pictures(regions, scene)
    return [region for region in _without_covered(regions) if min(region.box.width, region.box.height) > 1]


def _without_covered(regions: Sequence[Region]) -> list[Region]:
    """Regions without texts that lie almost wholly inside a text found later, which has grown around them."""
    texts = [(place, region) for place, region in enumerate(regions) if region.kind not in _VISUAL]
    covered = {
        place
        for place, region in texts
        if any(other > place and region.box.share_inside(around.box) > _COVERED for other, around in texts)
    }
    return [region for place, region in enumerate(regions) if place not in covered]


def _margin_kind(box: Box, scene: _Scene) -> str:
    """``header``, ``footer`` or ``page_number`` for a line in the outermost margin, else ``text``."""
    if box.height > 2.5 * scene.line_height or _MARGIN < box.mid_y / scene.height < 1 - _MARGIN:
        return "text"
    if box.width < _NUMBER_WIDTH * scene.width:
        return "page_number"
    return "header" if box.mid_y < scene.height / 2 else "footer"


def ruled_tables(scene: _Scene) -> list[Box]:
    """Boxes of grids: at least two by two cells of rules that cross, with text in them."""
    found = []
    rules = [*scene.ink.horizontal, *scene.ink.vertical]
    for group in _touching(rules, 4):
        box = hull(group)
        across = cluster([rule.mid_y for rule in group if rule.width > rule.height], 4)
        down = cluster([rule.mid_x for rule in group if rule.height >= rule.width], 4)
        cells = [line for line in scene.lines if line.share_inside(box) > _OWNED]
        if min(len(across), len(down)) >= _GRID_RULES and len(cells) >= _GRID_LINES:
            found.append(box)
    return found


def _touching(rules: Sequence[Box], slack: float) -> list[list[Box]]:
    """Rules grouped by touching each other."""
    groups: list[list[Box]] = []
    for rule in rules:
        near = rule.grown(slack, slack)
        hits = [group for group in groups if any(near.overlap_x(o) >= 0 and near.overlap_y(o) >= 0 for o in group)]
        groups = [group for group in groups if group not in hits]
        groups.append([rule, *(other for group in hits for other in group)])
    return groups


def is_plausible(region: Region, scene: _Scene) -> bool:
    """Whether the page bears out what the model takes a region for.

    A table has rows of cells, which columns of prose have not; a picture is not full of wide lines of text.
    """
    inside = [line for line in scene.lines if line.share_inside(region.box) > _OWNED]
    if region.kind == "image":
        return sum(1 for line in inside if line.width > _PROSE_WIDTH * line.height) < _PROSE_LINES
    if region.kind != "table":
        return True
    found = rows(inside)
    split = [row for row in found if len(row) > 1]
    if len(split) < max(2, 0.3 * len(found)):
        return False
    return not is_prose(split)


def _without_nested(regions: Sequence[Region]) -> list[Region]:
    """The best regions, without those that lie mostly inside a better one."""
    kept: list[Region] = []
    for region in sorted(regions, key=lambda item: -item.score):
        inside = any(region.box.share_inside(other.box) > _NESTED for other in kept)
        around = any(other.box.share_inside(region.box) > _NESTED and other.kind == region.kind for other in kept)
        if not inside and not around:
            kept.append(region)
    return kept


def _free(lines: Sequence[Box], regions: Sequence[Region]) -> list[Box]:
    return [line for line in lines if all(line.share_inside(region.box) < _OWNED for region in regions)]


def _fitted(region: Region, scene: _Scene, regions: Sequence[Region]) -> Region:
    """The region grown around the lines it owns, so that no crop cuts through a line."""
    own = [
        line
        for line in scene.lines
        if line.share_inside(region.box) >= _OWNED
        and line.share_inside(region.box) >= max(line.share_inside(other.box) for other in regions)
    ]
    if not own:
        return region
    around = hull(own)
    box = hull((region.box, around)) if region.kind in _VISUAL else around.grown(7, 3)
    return replace(region, box=box.clipped(scene.width, scene.height))


def _words_in_small_pictures(regions: Sequence[Region], scene: _Scene) -> list[Region]:
    """Text of pictures too small to be analysed, as blocks of its own."""
    found = []
    for region in regions:
        width, height = region.box.width / scene.width, region.box.height / scene.height
        analysed = (width > _ANALYSED_SIDE and height > _ANALYSED_SIDE) or width * height > _ANALYSED_AREA
        if region.kind == "image" and not analysed:
            inside = [line for line in scene.lines if line.share_inside(region.box) >= _OWNED]
            found += [Region("text", box, 0.5) for box in paragraphs(inside)]
    return found


def in_order(regions: Sequence[Region], scene: _Scene) -> list[Region]:
    """Headers first, footers last, everything else by columns and bands."""
    margin = [region for region in regions if region.kind in _MARGINAL]
    head = [region for region in margin if region.box.mid_y < scene.height / 2]
    foot = [region for region in margin if region not in head]
    body = [region for region in regions if region not in head and region not in foot]
    by_rows = lambda region: (round(region.box.mid_y / scene.line_height), region.box.x0)  # noqa: E731 used twice below
    order = reading_order([region.box for region in body], gutter=0.008 * scene.width, overlap=0.5 * scene.line_height)
    return [*sorted(head, key=by_rows), *(body[index] for index in order), *sorted(foot, key=by_rows)]


def _placed(region: Region, scene: _Scene, angle: int) -> LayoutBlock:
    """The block on the page as it was sent; pages are squared before they are turned back."""
    return LayoutBlock(region.kind, _share(region.box, scene, angle), (angle + region.turn) % 360)


def _share(box: Box, scene: _Scene, angle: int) -> Box:
    """The box in fractions of the picture before it was turned by ``angle``."""
    square = Box(box.x0 / scene.width, box.y0 / scene.height, box.x1 / scene.width, box.y1 / scene.height)
    return upright.turned_back(square, angle, 1.0)
