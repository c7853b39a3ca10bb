"""The corpus in the object store and in a folder."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mineru_pipeline.quality.corpus import generate, write
from mineru_pipeline.quality.corpus.__main__ import main
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.storage.filesystem import FilesystemStore


def test_a_stored_corpus_can_be_read_back(tmp_path: Path) -> None:
    """The index names each document with hash and keys, and under them lie the PDF and its truth."""
    store = FilesystemStore(tmp_path)
    documents = list(generate(4, strata=["lists"], sample=2))
    stored = write(store, "v0-test", documents, index="lists")
    index = json.loads(store.get("quality/corpus/v0-test/index-lists.json"))
    assert [entry["name"] for entry in index] == ["lists-01", "lists-02"]
    for entry, document, each in zip(index, documents, stored, strict=True):
        assert store.get(entry["pdf"]) == document.pdf
        assert entry["sha256"] == hashlib.sha256(document.pdf).hexdigest() == each.sha256
        assert DocumentTruth.from_json(store.get(entry["truth"]).decode()) == document.truth


def test_the_command_writes_documents_truths_and_a_contact_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People get PDFs, truths, and a page on which every block of the truth is drawn over its page."""
    assert main(["--out", str(tmp_path), "--sample", "1", "--stratum", "lists", "--stratum", "forms"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.pdf")) == ["forms-01.pdf", "lists-01.pdf"]
    truth = DocumentTruth.from_json((tmp_path / "lists-01.truth.json").read_text())
    html = (tmp_path / "index.html").read_text()
    assert all(f'id="lists-01-{block.id}"' in html for block in truth.blocks)
    assert len(list((tmp_path / "pages").glob("*.png"))) == 4
    assert "2 documents, 4 pages" in capsys.readouterr().out


def test_nobody_is_shown_what_is_held_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The held-back seed gives documents for a measurement, but no contact sheet."""
    assert main(["--out", str(tmp_path), "--seed", "held-back", "--sample", "1", "--stratum", "lists"]) == 0
    assert not (tmp_path / "index.html").exists()
    assert "not looked at" in capsys.readouterr().out


def test_without_the_extra_the_import_says_what_to_install() -> None:
    """Where reportlab is missing, the truth can still be read, and making documents names the extra."""
    code = (
        "import sys; sys.modules['reportlab'] = None\n"
        "import mineru_pipeline.quality.truth\n"
        "try:\n    import mineru_pipeline.quality.corpus\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Making the corpus needs reportlab: pip install 'mineru-pipeline[quality]'"
