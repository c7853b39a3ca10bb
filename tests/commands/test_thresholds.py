"""``mineru-pipeline thresholds``: the shipped bands hold, and what has drifted is told."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mineru_pipeline.commands import thresholds
from mineru_pipeline.commands.material import pack, unpack
from mineru_pipeline.commands.spoiling import KINDS, spoiled
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.bands import Band, Cut, Thresholds, shipped
from mineru_pipeline.quality.calibration import Judged


def validated(capsys: pytest.CaptureFixture[str], given: Thresholds | None = None) -> tuple[int, dict[str, object]]:
    code = thresholds.validate(Console(file=io.StringIO()), as_json=True, thresholds=given)
    return code, json.loads(capsys.readouterr().out)


def test_every_case_has_the_band_that_people_expect(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped thresholds hold; from the model's answers on, everything was computed anew."""
    code, report = validated(capsys)
    assert (code, report["holds"]) == (thresholds.EXIT_OK, True)
    names = {case["name"] for case in report["cases"]}  # type: ignore[attr-defined]
    edges = {"blank page", "mostly figure", "tiny page", "table only", "columns with floats", "scan and text"}
    assert edges <= names
    assert len(names) >= 12


def test_a_cut_that_moved_is_drift(capsys: pytest.CaptureFixture[str]) -> None:
    """With another cut, cases and shares leave their places, and the command says which."""
    moved = shipped()
    moved = replace(moved, cuts={**moved.cuts, "layer_match": Cut(high_is_good=True, excellent=0.4, acceptable=0.2)})
    code, report = validated(capsys, moved)
    assert (code, report["holds"]) == (thresholds.EXIT_DRIFT, False)
    drifted = {case["name"] for case in report["cases"] if not case["holds"]}  # type: ignore[attr-defined]
    assert "letters misread" in drifted
    assert "blank page" not in drifted
    assert report["disagreement"]["damaged"]["holds"] is False  # type: ignore[index]


def test_every_kind_of_damage_is_a_case() -> None:
    """No damage of the calibration is left without a case that people can look at."""
    assert {case.damage for case in thresholds.cases() if case.damage} == set(KINDS)


def test_damage_is_the_same_each_time() -> None:
    """The same document, kind and rate give the same answers, and other ones than it had."""
    materials = unpack(thresholds.packed_materials())
    for kind in KINDS:
        whole = materials["headers-footnotes-01"]
        once, again = (pack({"m": spoiled(whole, kind, 0.4)}) for _ in range(2))
        assert once == again != pack({"m": whole}), kind


def test_a_damaged_file_of_cases_is_an_error_of_ours() -> None:
    """No traceback of a library reaches the user."""
    with pytest.raises(GateInputError):
        unpack(b"nothing of the kind")


@pytest.mark.parametrize("text", ["", "5", "[5]", '[{"name": "x"}]', "[" * 100_000])
def test_damaged_files_of_cases_and_documents_are_named(text: str) -> None:
    """Whatever stands in them, the command ends with a sentence that names the file."""
    with pytest.raises(GateInputError, match=re.escape(thresholds.CASES)):
        thresholds.read_cases(text)
    with pytest.raises(GateInputError, match=re.escape(thresholds.DOCUMENTS)):
        thresholds.read_documents(text)
    with pytest.raises(GateInputError, match="no thresholds"):
        Thresholds.from_json(text)


def test_nothing_is_proved_by_nothing() -> None:
    """Without a case, or with fewer documents than were calibrated on, nothing holds."""
    case = thresholds.cases()[0]
    finding = thresholds.Finding(case.name, case.expected, case.expected, "", case.expected)
    known = shipped()
    whole = {name: known.disagreement[name] for name in (thresholds.AS_READ, thresholds.DAMAGED)}
    thresholds.check_whole([finding], whole, known)
    few = {**whole, thresholds.DAMAGED: replace(whole[thresholds.DAMAGED], documents=3)}
    for findings, shares in (([], whole), ([finding], {}), ([finding], few)):
        with pytest.raises(GateInputError, match="do not belong together"):
            thresholds.check_whole(findings, shares, known)


def test_files_of_a_calibration_come_together(tmp_path: Path) -> None:
    """Where one of them cannot be written, none is replaced, and the command says so."""
    (tmp_path / "one").write_bytes(b"old")
    (tmp_path / ".two").mkdir()
    with pytest.raises(GateInputError, match="cannot be written"):
        thresholds.write_all(tmp_path, {"one": b"new", "two": b"new"})
    assert (tmp_path / "one").read_bytes() == b"old"
    thresholds.write_all(tmp_path / "folder", {"one": b"new", "two": b"newer"})
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["one", "two"]


def test_a_calibration_on_one_kind_of_documents_says_so() -> None:
    """Where everything is poor, no cut is wrong, and none means anything."""
    known = [Judged("a", "s", {}, Band.POOR)]
    assert "excellent or acceptable" in thresholds.one_sided(known)
    assert thresholds.one_sided([replace(known[0], band=band) for band in Band]) == ""


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    """Not after a minute; a folder that is not there yet is none of those."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GateInputError, match="cannot be written"):
        thresholds.check_writable(tmp_path / "file" / "below")
    thresholds.check_writable(tmp_path / "new" / "below")
