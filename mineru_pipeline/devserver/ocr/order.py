"""Puts boxes into reading order: columns side by side, bands below each other, recursively (XY-cut).

Algorithm: Nagy and Seth, "Hierarchical representation of optically scanned documents", 1984; here the bands
of a page are joined again as long as one gutter runs through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from mineru_pipeline.devserver.ocr.boxes import Box

_MAX_DEPTH = 40


def reading_order(boxes: Sequence[Box], *, gutter: float, overlap: float = 0.0) -> list[int]:
    """Indices of ``boxes`` in reading order.

    ``gutter`` is the least width of a gap between columns, ``overlap`` what two bands may overlap; in the
    unit of the boxes.
    """
    return _Cutter(boxes, gutter, overlap).cut(list(range(len(boxes))), 0)


class _Cutter:
    def __init__(self, boxes: Sequence[Box], gutter: float, overlap: float) -> None:
        self._boxes = boxes
        self._gutter = gutter
        self._overlap = overlap

    def cut(self, members: list[int], depth: int) -> list[int]:
        if len(members) <= 1 or depth > _MAX_DEPTH:
            return self._by_rows(members)
        columns = self._columns(members)
        if len(columns) > 1:
            return [index for column in columns for index in self.cut(column, depth + 1)]
        runs = self._runs(self._bands(members))
        if len(runs) > 1:
            return [index for run in runs for index in self.cut(run, depth + 1)]
        return self._by_rows(members)

    def _by_rows(self, members: list[int]) -> list[int]:
        return sorted(members, key=lambda index: (self._boxes[index].y0, self._boxes[index].x0))

    def _columns(self, members: list[int]) -> list[list[int]]:
        """Members split at every gap of at least a gutter in their projection on the x axis."""
        columns: list[list[int]] = []
        edge = float("-inf")
        for index in sorted(members, key=lambda i: self._boxes[i].x0):
            box = self._boxes[index]
            if columns and box.x0 - edge < self._gutter:
                columns[-1].append(index)
            else:
                columns.append([index])
            edge = max(edge, box.x1)
        return columns

    def _bands(self, members: list[int]) -> list[list[int]]:
        bands: list[list[int]] = []
        edge = float("-inf")
        for index in sorted(members, key=lambda i: self._boxes[i].y0):
            box = self._boxes[index]
            if bands and box.y0 < edge - self._overlap:
                bands[-1].append(index)
            else:
                bands.append([index])
            edge = max(edge, box.y1)
        return bands

    def _runs(self, bands: list[list[int]]) -> list[list[int]]:
        """Bands joined as long as a gutter runs through all of them."""
        runs: list[list[int]] = []
        for band in bands:
            if runs and len(self._columns(runs[-1] + band)) > 1:
                runs[-1] = runs[-1] + band
            else:
                runs.append(list(band))
        return runs
