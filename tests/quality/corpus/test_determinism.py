"""The same seed gives the same bytes, and a change of the generator is not forgotten in its version."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from mineru_pipeline.quality.corpus import SEEDS, CorpusDocument, corpus_version
from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.seeds import GENERATOR_VERSION

_DIGEST = """
import hashlib
from mineru_pipeline.quality.corpus import generate
digest = hashlib.sha256()
for document in generate(5, sample=1):
    digest.update(document.name.encode() + document.pdf + document.truth.to_json().encode())
print(digest.hexdigest())
"""
#: What the documents of the baseline say, by version of the generator. The stratum of formulas is left out: their
#: heights, and with them the ends of pages, may change with a version of ziamath.
_TRUTHS = {1: "1af3304575ccf30dd2a5a9afcb0154f6e46766d5b2b3ddc06d03e0be5ae29ba8"}


def test_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    """Neither hash randomisation nor time zone, locale, folder or process shows in PDFs and truths."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _DIGEST],
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C.UTF-8"},
        )
        for folder, seed, zone in ((tmp_path, "1", "Asia/Tokyo"), (Path.cwd(), "4711", "America/Lima"))
    ]
    digests = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64


def test_whoever_changes_the_corpus_raises_its_version(baseline: tuple[CorpusDocument, ...]) -> None:
    """The baseline says what is pinned for this version; if not, raise GENERATOR_VERSION and pin the new digest."""
    digest = hashlib.sha256()
    for document in baseline:
        if document.truth.stratum != "formulas":
            for block in document.truth.blocks:
                stated = (document.name, block.id, block.kind.value, block.page, block.level, block.continues)
                digest.update(f"{stated}{block.content}\n".encode())
    assert digest.hexdigest() == _TRUTHS[GENERATOR_VERSION]


def test_a_version_names_generator_and_seed() -> None:
    """Versions of different seeds differ, and those of the same seed are equal."""
    first, second = SEEDS.values()
    assert corpus_version(first) == corpus_version(first)
    assert corpus_version(first) != corpus_version(second)
    assert corpus_version(first).startswith(f"v{GENERATOR_VERSION}-")


def test_dice_fall_the_same_everywhere() -> None:
    """The stream of numbers is SplitMix64 from a hash of the key: pinned, because everything hangs on it."""
    dice = Dice(1, "lists", 0)
    assert [dice.integer(1, 6) for _ in range(12)] == [1, 4, 5, 3, 3, 3, 4, 3, 3, 5, 3, 4]
    assert dice.fork("a").bits() != dice.fork("b").bits()
