"""``mineru-pipeline drift``: what a run has fed is shown, once, and can be begun anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import ModelServer, pdf
from typer.testing import CliRunner

from mineru_pipeline.cli import app
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import DOCUMENT_SIGNALS, SignalsRow
from mineru_pipeline.quality.bands import Band
from mineru_pipeline.quality.drifting import leave
from mineru_pipeline.quality.gates.drift import SIGNALS
from mineru_pipeline.storage import FilesystemStore

pytestmark = pytest.mark.timeout(300)


def command(environ: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env=dict(environ))


def shown(environ: Mapping[str, str], code: int = 0) -> dict[str, Any]:
    done = command(environ, "drift", "show", "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_run_feeds_its_documents_once(
    tmp_path: Path, environment: Callable[[ModelServer | str], dict[str, str]], model_server: ModelServer
) -> None:
    """Each distinct document has a row with signals and band, and the detector has seen it once, however often run."""
    environ = environment(model_server)
    papers = tmp_path / "papers"
    papers.mkdir()
    for name, page in {"a.pdf": "first page", "b.pdf": "another page", "same-as-a.pdf": "first page"}.items():
        (papers / name).write_bytes(pdf(page))
    assert shown(environ)["documents"] == 0
    for _ in range(2):
        done = command(environ, "run", str(papers))
        assert done.exit_code == 0, done.output
        found = shown(environ)
        assert (found["documents"], found["batches_waiting"], found["warning"]) == (2, 0, None)
    store = FilesystemStore(tmp_path / "data" / "store")
    ((revision, batch),) = ledger.places(store, DOCUMENT_SIGNALS)
    rows = ledger.read(store, DOCUMENT_SIGNALS, revision, batch, SignalsRow)
    assert revision == found["revision"]
    assert {row.committed_by for row in rows} == {batch}
    assert len({row.sha256 for row in rows}) == len(rows) == 2
    assert all(row.band in set(Band) and row.layer_match is not None for row in rows)
    assert set(SIGNALS) <= set(rows[0].signals)
    assert all(row.seconds_per_page for row in rows)


def test_a_warning_ends_with_1_until_begun_anew(
    tmp_path: Path, environment: Callable[[ModelServer | str], dict[str, str]]
) -> None:
    """``show`` tells the first document and the signal that leads; ``begin`` keeps why, and what was fed stays fed."""
    from mineru_pipeline.quality.drifting import feed
    from mineru_pipeline.quality.gates.drift import Detector

    environ = environment("http://127.0.0.1:9")
    revision = shown(environ)["revision"]
    store = FilesystemStore(tmp_path / "data" / "store")
    calm = [(f"/{n}", {"layer_agreement": 0.9 + n % 10 / 100}) for n in range(600)]
    leave(store, revision, "a", [*calm, *((f"/worse-{n}", {"layer_agreement": 0.3}) for n in range(40))])
    feed(store, revision, Detector())
    warning = shown(environ, code=1)["warning"]
    assert warning["leading"] == "layer_agreement"
    assert warning["document"].startswith("/worse-")
    done = command(environ, "drift", "begin", "--why", "a new scanner", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"revision": revision, "why": "a new scanner"}
    found = shown(environ)
    assert (found["documents"], found["warning"], found["begun"]) == (0, None, "a new scanner")


def test_a_detector_is_not_begun_anew_without_a_reason(
    environment: Callable[[ModelServer | str], dict[str, str]],
) -> None:
    """A blank reason is none, and the record would say nothing."""
    done = command(environment("http://127.0.0.1:9"), "drift", "begin", "--why", " ")
    assert (done.exit_code, "--why" in done.output) == (2, True)


def test_what_is_shown_cannot_steer_the_terminal(
    environment: Callable[[ModelServer | str], dict[str, str]],
) -> None:
    """Names of documents and reasons are others' words: control characters are shown and not sent."""
    environ = environment("http://127.0.0.1:9")
    command(environ, "drift", "begin", "--why", "red \x1b[31m alert")
    done = command(environ, "drift", "show")
    assert ("red" in done.output, "\x1b" in done.output) == (True, False)


def test_calibrating_answers_programs_on_standard_output_alone(
    tmp_path: Path, environment: Callable[[ModelServer | str], dict[str, str]]
) -> None:
    """With ``--json`` what went wrong goes to standard error, and nothing is written."""
    out = tmp_path / "out"
    done = command(environment("http://127.0.0.1:9"), "thresholds", "calibrate", "--out", str(out), "--json")
    assert (done.exit_code, done.stdout, "parse the corpus first" in done.stderr) == (2, "", True)
    assert not out.exists()


def test_a_corpus_that_was_not_parsed_is_told(
    environment: Callable[[ModelServer | str], dict[str, str]],
) -> None:
    """Thresholds are calibrated on a parse; without one the command says what to do, and writes nothing."""
    done = command(environment("http://127.0.0.1:9"), "thresholds", "measure", "--seed", "no-such-seed")
    assert done.exit_code == 2
    assert "there is no seed" in done.output
