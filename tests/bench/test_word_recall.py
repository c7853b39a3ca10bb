import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench.word_recall import TextLayer, main, measure, read_text_layer, state_fits
from bench.words import WordBag, compare, latin_share, output_words, text_layer_words


def _pdf(*pages: list[str], hidden: bool = False) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, A4, invariant=1)
    for lines in pages:
        if hidden:
            canvas.drawImage(ImageReader(Image.new("L", (8, 8), 250)), 0, 0, *A4)
        text = canvas.beginText(72, 700)
        text.setTextRenderMode(3 if hidden else 0)
        text.textLines(lines)
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _finish(store: Path, entries: list[dict[str, Any]]) -> None:
    """Write what a finished run leaves: the table, and for parsed files ``document.md`` and its JSON."""
    rows = []
    for entry in entries:
        sha256 = hashlib.sha256(entry["pdf"]).hexdigest()
        folder = f"parsed/default/r1/{sha256[:2]}/{sha256}"
        outputs = folder if "markdown" in entry else None
        row = {
            "uri": f"file:///in/{entry['name']}",
            "sha256": sha256,
            "state": entry["state"],
            "reason": entry.get("reason"),
        }
        rows.append({**row, "outputs": outputs})
        if outputs:
            (store / folder).mkdir(parents=True, exist_ok=True)
            (store / folder / "document.md").write_text(entry["markdown"], encoding="utf-8")
            (store / folder / "structured_content.json").write_text(json.dumps(entry["structured"]), encoding="utf-8")
    table = store / "tables/parsed_documents/revision=r1/batch=b1/part-0.parquet"
    table.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), table)


def _page(*blocks: tuple[str, str], index: int = 0) -> dict[str, Any]:
    return {"page_idx": index, "blocks": [{"type": kind, "content": content} for kind, content in blocks]}


def _layer(*pages: list[str]) -> TextLayer:
    bags = tuple(text_layer_words("\n".join(lines)) for lines in pages)
    words = sum((bag.words for bag in bags), Counter[str]())
    return TextLayer(bags, WordBag(words), "born-digital")


LINES = ["the river rose in the night and the ferry", "was tied to the third step of the church"]


def test_word_broken_over_two_lines_is_found_joined() -> None:
    """A word hyphenated at the end of a line counts once and is found in its joined form."""
    truth = text_layer_words("a hyphen\ufffeation and an-\nother")
    assert truth.total == 4
    assert compare(truth, output_words("a hyphenation and another")).share == 1


def test_hyphen_that_belongs_to_the_word_is_no_loss() -> None:
    """A compound that was broken at its own hyphen is found in its hyphenated form."""
    assert compare(text_layer_words("well-\nknown"), output_words("well-known")).lost == Counter()


def test_recall_counts_every_occurrence() -> None:
    """Recall is a multiset's: a word that stands three times and is found once is lost twice."""
    result = compare(text_layer_words("no no no yes"), output_words("no yes"))
    assert (result.found, result.total, result.lost) == (2, 4, Counter({"no": 2}))


def test_ligatures_case_and_soft_hyphens_do_not_matter() -> None:
    """Compatibility forms, case and soft hyphens are folded away on both sides."""
    assert (
        compare(
            text_layer_words("Of\ufb01ce STRASSE co\u00adoperate"), output_words("office stra\u00dfe cooperate")
        ).share
        == 1
    )


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("<table><tr><td>one</td><td colspan=2>two</td></tr></table>", ["one", "two"]),
        ("Carrow<sup>1</sup> and x<sub>i</sub>", ["carrow1", "and", "xi"]),
        (r"snow\_fall costs \$5 and \*more\*", ["snow", "fall", "costs", "5", "and", "more"]),
        (r"with $\alpha_{1} = x^{2}$ here", ["with", "\u03b11", "x2", "here"]),
        (r"\[ \frac{a}{b} \]", ["a", "b"]),
        (
            "**W**arm ![a picture](images/0f.jpg) [link](https://example.org)",
            ["warm", "link", "https", "example", "org"],
        ),
        ("a &lt; b &amp; c", ["a", "b", "c"]),
    ],
)
def test_markup_is_not_counted_as_words(markdown: str, words: list[str]) -> None:
    """Tags, escapes, LaTeX commands and image targets vanish, their text stays."""
    assert output_words(markdown) == Counter(words)


def test_latin_share_tells_scripts_apart() -> None:
    """The share is of letters alone: digits and marks do not count."""
    assert latin_share("abc 123 \u00e9") == 1
    assert latin_share("\u0645\u0631\u062d\u0628\u0627 a") == pytest.approx(1 / 6)
    assert latin_share("123") == 0


@pytest.mark.parametrize(
    ("expected", "state", "reason", "fits"),
    [
        ("parsed", "parsed", "", True),
        ("parsed", "degraded", "", True),
        ("parsed", "failed", "", False),
        ("rejected: corrupt or no pages", "rejected", "no-pages", True),
        ("rejected: corrupt or no pages", "rejected", "encrypted", False),
        ("rejected: encrypted", "rejected", "encrypted: it asks for a password", True),
        ("rejected: encrypted", "parsed", "", False),
        ("rejected", "rejected", "whatever", True),
    ],
)
def test_end_states_are_compared_as_the_manifest_spells_them(
    expected: str, state: str, reason: str, fits: bool
) -> None:
    """``degraded`` counts as parsed, and several reasons can be accepted."""
    assert state_fits(expected, state, reason) is fits


def test_headers_and_page_numbers_come_from_the_structured_content() -> None:
    """What ``document.md`` leaves out is taken from the blocks for headers, footers and page numbers only."""
    layer = _layer(["Running head", "body words", "7"])
    structured = {"pages": [_page(("header", "Running head"), ("text", "body words"), ("page_number", "7"))]}
    recall, empty = measure(layer, "", structured)
    assert (recall.found, recall.lost, empty) == (3, Counter({"body": 1, "words": 1}), ())


def test_page_with_words_and_no_output_is_named_unless_it_was_merged_away() -> None:
    """A page without blocks is empty, except when its words stand elsewhere, as the end of a table does."""
    layer = _layer(["start of table"], ["end of table"], ["lost words only"])
    structured = {"pages": [_page(("table", "start of table end of table")), _page(index=1), _page(index=2)]}
    assert measure(layer, "start of table end of table", structured)[1] == (3,)


def test_kind_of_a_file_is_read_from_its_text_layer(tmp_path: Path) -> None:
    """Text makes a file born-digital; too little of it, hidden text over a scan, or bytes that do not open, do not."""
    kinds = {}
    for name, content in (
        ("text", _pdf(LINES)),
        ("few", _pdf(["two words"])),
        ("junk", b"junk"),
        ("scan", _pdf(LINES, hidden=True)),
    ):
        (tmp_path / name).write_bytes(content)
        kinds[name] = read_text_layer(tmp_path / name).kind
    assert kinds == {
        "text": "born-digital",
        "few": "no text layer",
        "junk": "unreadable",
        "scan": "scan with hidden text",
    }


def test_complete_run_passes_and_a_lossy_one_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 0 when all words are found and states fit, 1 when the mean is below the minimum."""
    pdfs, good, bad = (tmp_path / name for name in ("pdfs", "good", "bad"))
    pdfs.mkdir()
    content, junk = _pdf(LINES), b"junk"
    (pdfs / "a b.pdf").write_bytes(content)
    (pdfs / "junk.pdf").write_bytes(junk)
    (pdfs / "manifest.csv").write_text("file,expected\na b.pdf,parsed\njunk.pdf,rejected: corrupt\n")
    rejected = {"name": "junk.pdf", "pdf": junk, "state": "rejected", "reason": "corrupt"}
    parsed = {"name": "a%20b.pdf", "pdf": content, "state": "degraded"}
    whole = {**parsed, "markdown": " ".join(LINES), "structured": {"pages": [_page(("text", " ".join(LINES)))]}}
    half = {**parsed, "markdown": LINES[0], "structured": {"pages": [_page(("text", LINES[0]))]}}
    _finish(good, [whole, rejected])
    _finish(bad, [half, rejected])
    assert main([str(pdfs), str(good), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (measured["mean"], measured["counted"], measured["unexpected_states"]) == (1.0, 1, [])
    assert main([str(pdfs), str(bad), "--explain"]) == 1
    assert "church (1)" in capsys.readouterr().out.replace("\n", " ")
    assert main([str(pdfs), str(bad), "--minimum", "0.4"]) == 0


def test_file_without_a_row_and_outputs_that_vanished_are_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that the run's table does not know, or whose outputs are gone, is an unexpected state."""
    pdfs, store = tmp_path / "pdfs", tmp_path / "store"
    pdfs.mkdir()
    (pdfs / "lost.pdf").write_bytes(_pdf(LINES))
    (pdfs / "gone.pdf").write_bytes(_pdf(LINES, LINES))
    _finish(store, [{"name": "gone.pdf", "pdf": _pdf(LINES, LINES), "state": "parsed"}])
    assert main([str(pdfs), str(store), "--json", "--minimum", "0"]) == 1
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert measured["unexpected_states"] == ["gone.pdf", "lost.pdf"]
    assert measured["mean"] == 0


def test_duplicate_is_found_by_its_bytes(tmp_path: Path) -> None:
    """A file that the run knew under another name is matched by its hash."""
    pdfs, store = tmp_path / "pdfs", tmp_path / "store"
    pdfs.mkdir()
    (pdfs / "renamed.pdf").write_bytes(_pdf(LINES))
    text = " ".join(LINES)
    entry = {"name": "original.pdf", "pdf": _pdf(LINES), "state": "parsed", "markdown": text}
    _finish(store, [{**entry, "structured": {"pages": [_page(("text", text))]}}])
    assert main([str(pdfs), str(store)]) == 0
