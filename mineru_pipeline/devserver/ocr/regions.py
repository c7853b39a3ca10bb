"""Finds the regions of a page (text, titles, figures, tables …): PicoDet trained on CDLA.

Decoding after Li et al., "Generalized Focal Loss", 2020: each side of a box is a distribution over distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr.boxes import Box

Image = NDArray[np.uint8]

_WIDTH, _HEIGHT = 608, 800
_STRIDES = (8, 16, 32, 64)
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
_THRESHOLD = 0.4
_DUPLICATE = 0.5
#: CDLA's classes, in the order of the model, as MinerU's block types.
_KINDS = (
    "text",
    "title",
    "image",
    "image_caption",
    "table",
    "table_caption",
    "header",
    "footer",
    "ref_text",
    "equation",
)


@dataclass(frozen=True, slots=True)
class Region:
    """A region: MinerU's type, box in pixels of the page, score, and the turn that makes it readable."""

    kind: str
    box: Box
    score: float
    turn: int = 0


class RegionDetector:
    """The region detector; safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def find(self, image: Image) -> list[Region]:
        """Regions of a BGR page, best first, without duplicates."""
        height, width = image.shape[:2]
        resized = cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
        tensor = ((resized - _MEAN) / _STD).transpose(2, 0, 1)[None].astype(np.float32)
        outputs = self._session.run(None, {self._input: tensor})
        scores = np.concatenate([level[0] for level in outputs[:4]])
        sides = np.concatenate([_boxes(level[0], stride) for level, stride in zip(outputs[4:], _STRIDES, strict=True)])
        sides *= np.array([width / _WIDTH, height / _HEIGHT] * 2, np.float32)
        regions = [
            Region(_KINDS[kind], Box(*sides[row].tolist()).clipped(width, height), float(scores[row, kind]))
            for row, kind in np.argwhere(scores > _THRESHOLD).tolist()
        ]
        return _distinct(sorted(regions, key=lambda region: -region.score))


def _boxes(distributions: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Boxes (left, top, right, bottom) in pixels of the model's input for one level of the pyramid."""
    rows, columns = -(-_HEIGHT // stride), -(-_WIDTH // stride)
    bins = distributions.reshape(rows * columns, 4, -1)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    distances = (weights * np.arange(bins.shape[2], dtype=np.float32)).sum(axis=2) * stride
    y, x = np.divmod(np.arange(rows * columns), columns)
    centres = (np.stack([x, y, x, y], axis=1) + 0.5) * stride
    return np.asarray(centres + distances * np.array([-1, -1, 1, 1]), np.float32)


def _distinct(regions: list[Region]) -> list[Region]:
    kept: list[Region] = []
    for region in regions:
        if all(_overlap(region.box, other.box) < _DUPLICATE for other in kept if other.kind == region.kind):
            kept.append(region)
    return kept


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    shared = a.shared(b)
    return shared / (a.area + b.area - shared) if shared else 0.0
