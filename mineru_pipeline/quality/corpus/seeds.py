"""The two seeds of the corpus, and the version that says which documents were meant."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version

from PIL import features

#: Raise it with every change that gives other pages or another truth; a test notices when it was forgotten.
GENERATOR_VERSION = 1
#: The accepted baseline is measured on the first. The second is for the last word alone: nobody looks at
#: its pages or tunes anything on it. See docs/quality.md.
SEEDS: Mapping[str, int] = {"baseline": 20_261, "held-back": 57_203}
#: Libraries whose versions decide bytes: drawing, outlines of formulas, pictures of pages, their packing, faces.
_DECIDING = ("reportlab", "ziamath", "ziafont", "pypdfium2", "pillow", "font-source-serif-pro", "font-source-sans-pro")
#: What Pillow packs pictures with; a build of one's own may have others than the wheel.
_PACKERS = ("libjpeg_turbo", "libtiff")


def corpus_version(seed: int) -> str:
    """Return what identifies the documents of ``seed``: equal versions mean equal bytes and truths."""
    parts = [f"generator={GENERATOR_VERSION}", f"seed={seed}", *(f"{name}={version(name)}" for name in _DECIDING)]
    parts += [f"{name}={features.version(name)}" for name in _PACKERS]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"v{GENERATOR_VERSION}-{digest[:12]}"
