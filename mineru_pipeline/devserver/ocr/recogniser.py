"""Reads pictures of single lines: PP-OCR's recogniser with greedy CTC decoding.

Algorithm: Graves et al., "Connectionist Temporal Classification", 2006; best-path decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_HEIGHT = 48
_MIN_WIDTH = 48
# Lines are squeezed a little: a tenth less work, and as many words right (0.85 starts to cost small print).
_SQUEEZE = 0.9
_MAX_WIDTH = 3200
# Bounds a batch by padded pixels: large batches waste memory bandwidth without being faster on a CPU.
_BATCH_WIDTH = 6400


@dataclass(frozen=True, slots=True)
class Reading:
    """What one line says: its text, where each character's centre lies (0 to 1 of the width), mean confidence."""

    text: str
    centres: tuple[float, ...]
    confidence: float


class TextRecogniser:
    """The recogniser; safe to call from several threads."""

    def __init__(self, session: onnxruntime.InferenceSession, keys: Path) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._alphabet = _alphabet(keys)

    def read(self, lines: Sequence[Image]) -> list[Reading]:
        """One reading for each picture of a line (BGR, any height)."""
        readings = [Reading("", (), 0.0)] * len(lines)
        widths = [_target_width(line) for line in lines]
        for batch in _batches(widths):
            padded = max(widths[index] for index in batch)
            tensor = np.zeros((len(batch), 3, _HEIGHT, padded), np.float32)
            for slot, index in enumerate(batch):
                tensor[slot, :, :, : widths[index]] = _normalised(lines[index], widths[index])
            scores = self._session.run(None, {self._input: tensor})[0]
            for slot, index in enumerate(batch):
                readings[index] = self._decode(scores[slot], padded / widths[index])
        return readings

    def _decode(self, scores: NDArray[np.float32], stretch: float) -> Reading:
        best = scores.argmax(axis=1)
        keep = np.ones(len(best), bool)
        keep[1:] = best[1:] != best[:-1]
        keep &= best != 0
        steps = np.flatnonzero(keep)
        if not len(steps):
            return Reading("", (), 0.0)
        text = "".join(self._alphabet[index] for index in best[steps])
        centres = np.minimum(1.0, (steps + 0.5) / len(best) * stretch)
        return Reading(text, tuple(float(c) for c in centres), float(scores[steps, best[steps]].mean()))


def _alphabet(keys: Path) -> list[str]:
    """Characters by class: the CTC blank, the alphabet, and the space that the list leaves out."""
    listed = keys.read_text(encoding="utf-8").split("\n")
    if listed and not listed[-1]:
        listed.pop()
    return ["", *listed, " "]


def _target_width(line: Image) -> int:
    height, width = line.shape[:2]
    scaled: int = round(width * _HEIGHT * _SQUEEZE / max(1, height))
    return min(_MAX_WIDTH, max(_MIN_WIDTH, scaled))


def _normalised(line: Image, width: int) -> NDArray[np.float32]:
    if not line.size:
        return np.zeros((3, _HEIGHT, width), np.float32)
    resized = cv2.resize(line, (width, _HEIGHT), interpolation=cv2.INTER_LINEAR)
    return (resized.transpose(2, 0, 1).astype(np.float32) - 127.5) / 127.5


def _batches(widths: Sequence[int]) -> Iterator[list[int]]:
    """Indices grouped so that neighbours in width share a batch of bounded padded width."""
    batch: list[int] = []
    for index in sorted(range(len(widths)), key=widths.__getitem__):
        if batch and widths[index] * (len(batch) + 1) > _BATCH_WIDTH:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
