"""Finds lines of text in an image: PP-OCR's detector with the box decoding of differentiable binarization.

Algorithm: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
_STRIDE = 32
_PIXEL_THRESHOLD = 0.25
_BOX_THRESHOLD = 0.4
_GROWTH = 1.5
_MIN_SIDE = 3
# Below this a line is cut out along the axes; beyond it, along its own direction.
_STRAIGHT_DEGREES = 0.7
# So is a line that rises by less than this share of its height: short lines wobble.
_RISE = 0.3


@dataclass(frozen=True, slots=True)
class LineBox:
    """A line of text: four corners (top left, top right, bottom right, bottom left) in pixels, and a score."""

    corners: NDArray[np.float32]
    score: float

    @property
    def is_straight(self) -> bool:
        """Whether the line runs along the axes of the picture."""
        return abs(float(self.corners[0, 1] - self.corners[1, 1])) < 1


class TextDetector:
    """The detector; safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def find(self, image: Image, scale: float = 1.0) -> list[LineBox]:
        """Lines of text in a BGR ``image``, which is looked at ``scale`` times its size."""
        height, width = image.shape[:2]
        rows = max(_STRIDE, round(height * scale / _STRIDE) * _STRIDE)
        columns = max(_STRIDE, round(width * scale / _STRIDE) * _STRIDE)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(image, (columns, rows), interpolation=method)
        tensor = ((resized - _MEAN) / _STD).transpose(2, 0, 1)[None].astype(np.float32)
        heat = self._session.run(None, {self._input: tensor})[0][0, 0]
        return _decode(heat, width / columns, height / rows)


def _decode(heat: NDArray[np.float32], fx: float, fy: float) -> list[LineBox]:
    mask = (heat > _PIXEL_THRESHOLD).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = (_line(np.asarray(contour, np.int32), heat, fx, fy) for contour in contours)
    return [line for line in found if line is not None]


def _line(contour: NDArray[np.int32], heat: NDArray[np.float32], fx: float, fy: float) -> LineBox | None:
    x, y, w, h = cv2.boundingRect(contour)
    if min(w, h) < _MIN_SIDE:
        return None
    inside = np.zeros((h, w), np.uint8)
    cv2.drawContours(inside, [contour], 0, 1, -1, offset=(-x, -y))
    score = float(cv2.mean(heat[y : y + h, x : x + w], inside)[0])
    if score < _BOX_THRESHOLD:
        return None
    corners = _grown_corners(contour, (x, y, w, h))
    return LineBox(corners * np.array([fx, fy], np.float32), score)


def _grown_corners(contour: NDArray[np.int32], bounds: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The rectangle of a shrunk line, grown back by area x ratio / perimeter as in the paper."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(contour)
    if w < h:
        w, h, angle = h, w, angle - 90
    angle = (angle + 90) % 180 - 90
    rise = w * abs(np.tan(np.radians(angle)))
    upright_box = bounds[3] > 1.5 * bounds[2] or abs(angle) < _STRAIGHT_DEGREES or w < 3 * h or rise < _RISE * h
    if upright_box:
        x, y, w, h = bounds
        cx, cy, angle = x + w / 2, y + h / 2, 0.0
    margin = w * h * _GROWTH / (2 * (w + h))
    box = cv2.boxPoints(((cx, cy), (w + 2 * margin, h + 2 * margin), 0))
    turn = cv2.getRotationMatrix2D((cx, cy), -angle, 1)
    ordered = box[np.lexsort((box[:, 0], box[:, 1]))]
    top, bottom = ordered[:2], ordered[2:]
    corners = np.array([top[0], top[1], bottom[1], bottom[0]], np.float32)
    return (corners @ turn[:, :2].T + turn[:, 2]).astype(np.float32)


def cut(image: Image, line: LineBox) -> Image:
    """The picture of one line, upright, at the image's own resolution."""
    corners = line.corners
    if line.is_straight:
        height, width = image.shape[:2]
        x0, x1 = max(0, int(corners[0, 0])), min(width, round(corners[1, 0] + 0.5))
        y0, y1 = max(0, int(corners[0, 1])), min(height, round(corners[2, 1] + 0.5))
        return image[y0:y1, x0:x1]
    width = max(1, round(float(np.linalg.norm(corners[1] - corners[0]))))
    height = max(1, round(float(np.linalg.norm(corners[3] - corners[0]))))
    target = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    matrix = cv2.getAffineTransform(corners[[0, 1, 3]], target)
    flat = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(flat, np.uint8)
