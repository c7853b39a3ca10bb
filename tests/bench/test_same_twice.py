"""The proof that two measurements are the same can fail."""

from __future__ import annotations

from pathlib import Path

from bench.same_twice import compare, files_of


def test_a_byte_that_differs_is_named(tmp_path: Path) -> None:
    """Scores and reports are compared, whole; what holds dates is left out, and a missing file counts as different."""
    for name in ("first", "second"):
        folder = tmp_path / "quality" / name / "scores-1" / "against-x"
        folder.mkdir(parents=True)
        (folder.parent.parent / "measurement.json").write_text(name)
        (folder.parent / "a.json").write_text("{}")
        (folder / "report.json").write_text("{}")
    first, second = (files_of(tmp_path, {"folder": f"quality/{name}/"}) for name in ("first", "second"))
    assert sorted(first) == ["scores-1/a.json", "scores-1/against-x/report.json"]
    assert compare(first, second) == []
    (tmp_path / "quality" / "second" / "scores-1" / "a.json").write_text("{ }")
    (tmp_path / "quality" / "second" / "scores-1" / "b.json").write_text("{}")
    changed = files_of(tmp_path, {"folder": "quality/second/"})
    assert compare(first, changed) == ["scores-1/a.json", "scores-1/b.json"]
