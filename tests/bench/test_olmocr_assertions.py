import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.olmocr_assertions import find_file, main, measure
from mineru_pipeline.quality.assertions import read_claims


def _claim(**fields: Any) -> str:
    return json.dumps({"pdf": "sub/letter.pdf", "page": 1, "id": "a", "type": "present", **fields})


def test_a_folder_without_assertions_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is to be checked, the command says so and is content."""
    assert main([str(tmp_path / "nowhere")]) == 0
    assert "no assertions" in json.loads(capsys.readouterr().out)["skipped"]


def test_files_may_carry_the_name_of_their_collection(tmp_path: Path) -> None:
    """An assertion's ``sub/letter.pdf`` is the folder's ``collection__letter.pdf``."""
    (tmp_path / "collection__letter.pdf").touch()
    assert find_file(tmp_path, "sub/letter.pdf") == tmp_path / "collection__letter.pdf"
    assert find_file(tmp_path, "etter.pdf") is None


def test_claims_are_checked_on_what_a_run_left(tmp_path: Path) -> None:
    """Rates come from the run's content list; a file that is not there is named and counts for nothing."""
    pdf = tmp_path / "letter.pdf"
    pdf.write_bytes(b"%PDF-1.7 of a kind")
    sha256 = hashlib.sha256(pdf.read_bytes()).hexdigest()
    folder = f"parsed/default/r1/{sha256[:2]}/{sha256}"
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "document.md").touch()
    entries = [{"type": "text", "text": "Dear reader", "page_idx": 0}]
    (tmp_path / folder / "content_list.json").write_text(json.dumps(entries), encoding="utf-8")
    table = tmp_path / "tables/parsed_documents/revision=r1/batch=b1/part-0.parquet"
    table.parent.mkdir(parents=True)
    row = {"uri": pdf.as_uri(), "sha256": sha256, "state": "parsed", "outputs": folder}
    pq.write_table(pa.Table.from_pylist([row]), table)
    claims = read_claims([_claim(text="Dear reader"), _claim(text="Yours", id="b"), _claim(text="x", pdf="other.pdf")])
    measured = measure(claims, tmp_path, tmp_path)
    assert measured["rates"]["present"] == {"passed": 1, "claims": 2, "rate": 0.5}
    assert measured["missing_files"] == ["other.pdf"]
    assert measured["unparsed_files"] == []
    assert [failed["id"] for failed in measured["failed"]] == ["b"]
