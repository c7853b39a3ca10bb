"""What a batch shows of its quality: bands in its metadata, and a check on drift that never costs the batch."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg

from assets.drift import bands_metadata, leave_for_detector, no_drift_of
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import SignalsRow
from mineru_pipeline.quality.gates.drift import Detector
from mineru_pipeline.storage import FilesystemStore, layout
from mineru_pipeline.storage.store import ObjectStore

REVISION, BATCH = "0123456789ab", "20260101T000000Z-a"
LOG = logging.getLogger(__name__)


def row(number: int, band: str = "excellent", because: str = "", batch: str = BATCH) -> SignalsRow:
    return SignalsRow(
        entry=number,
        uri=f"file:///{number}.pdf",
        sha256=f"{number:064x}",
        tenant="t",
        committed_by=batch,
        band=band,
        because=because,
        thresholds="2026-01-01/abc",
        layer_agreement=0.9 + number % 10 / 100,
        seconds_per_page=None,
    )


def parsed(store: ObjectStore, batch: str, rows: list[SignalsRow]) -> dg.AssetCheckResult:
    """What a run does with the signals of its batch."""
    leave_for_detector(store, REVISION, batch, rows)
    ledger.write(store, ledger.DOCUMENT_SIGNALS, REVISION, batch, rows, SignalsRow)
    return no_drift_of(store, REVISION, LOG)


def fed(result: dg.AssetCheckResult) -> int:
    figures = result.metadata["figures"].value
    assert isinstance(figures, dict)
    return int(figures["fed_now"])


def test_bands_are_shares_of_documents() -> None:
    """The metadata say how many documents have which band, by which thresholds, and name the poor ones."""
    metadata = bands_metadata([row(0), row(1), row(2, "acceptable", "gap_share"), row(3, "poor", "layer_match")])
    bands = metadata["bands"].value
    assert bands == {
        "documents": 4,
        "shares": {"excellent": 0.5, "acceptable": 0.25, "poor": 0.25},
        "thresholds": "2026-01-01/abc",
    }
    poor = metadata["poor_documents"]
    assert isinstance(poor, dg.TableMetadataValue)
    assert [dict(record.data) for record in poor.records] == [{"uri": "file:///3.pdf", "because": "layer_match"}]
    assert bands_metadata([]) == {}


def test_the_rows_survive_their_table(tmp_path: Path) -> None:
    """What a query engine reads is what was written, missing signals included."""
    store = FilesystemStore(tmp_path)
    ledger.write(store, ledger.DOCUMENT_SIGNALS, REVISION, BATCH, [row(1)], SignalsRow)
    assert ledger.read(store, ledger.DOCUMENT_SIGNALS, REVISION, BATCH, SignalsRow) == [row(1)]


def test_a_batch_that_is_parsed_again_feeds_what_is_new_alone(tmp_path: Path) -> None:
    """Documents that had failed and are there at last are fed; those of the first run are not fed again."""
    store = FilesystemStore(tmp_path)
    assert fed(parsed(store, BATCH, [row(0), row(1)])) == 2
    assert fed(parsed(store, BATCH, [row(0), row(1)])) == 0
    assert fed(parsed(store, BATCH, [row(0), row(1), row(2)])) == 1


def test_a_run_that_was_killed_before_its_table_feeds_once(tmp_path: Path) -> None:
    """What it had left waits, is fed by another batch, and is not fed again by its own second run."""
    store = FilesystemStore(tmp_path)
    leave_for_detector(store, REVISION, BATCH, [row(0), row(1)])
    other = "20260101T000001Z-b"
    assert fed(parsed(store, other, [row(5, batch=other)])) == 3
    assert fed(parsed(store, BATCH, [row(0), row(1)])) == 0


def test_a_document_of_an_earlier_batch_is_not_new(tmp_path: Path) -> None:
    """The same bytes in another batch were parsed once, and count once."""
    store = FilesystemStore(tmp_path)
    parsed(store, BATCH, [row(0)])
    assert fed(parsed(store, "20260101T000001Z-b", [row(0), row(1, batch="20260101T000001Z-b")])) == 1


def test_the_first_documents_are_taken_as_they_are_and_a_change_is_a_warning_with_a_plot(tmp_path: Path) -> None:
    """The check passes until documents look other than those before, and never does more than warn."""
    store, size = FilesystemStore(tmp_path), Detector().reference
    first = parsed(store, BATCH, [row(number) for number in range(size // 2)])
    assert first.passed
    assert f"{size // 2} of the first {size}" in (first.description or "")
    calm = parsed(
        store, "20260102T000000Z-b", [row(n, batch="20260102T000000Z-b") for n in range(size // 2, size + 50)]
    )
    assert calm.passed
    assert "no drift" in (calm.description or "")
    worse = [replace(row(n, batch="20260103T000000Z-c"), layer_agreement=0.4) for n in range(1000, 1060)]
    changed = parsed(store, "20260103T000000Z-c", worse)
    assert (changed.passed, changed.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "layer_agreement" in (changed.description or "")
    assert "data:image/svg+xml;base64," in str(changed.metadata["evidence"].value)


def test_a_check_that_cannot_run_says_so_and_costs_nothing(tmp_path: Path) -> None:
    """A damaged state is a warning with the reason, not an error of the run."""
    store = FilesystemStore(tmp_path)
    store.put(layout.drift_state_key(REVISION, 1), b"nothing of the kind")
    result = parsed(store, BATCH, [row(0)])
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (result.description or "").startswith("drift was not looked for")


def test_a_worker_without_the_extra_has_bands_and_the_check() -> None:
    """None of the libraries of the extra is imported for what runs beside every batch."""
    code = (
        "import sys\n"
        "for name in ('scipy', 'rapidfuzz', 'apted', 'reportlab', 'ziamath'): sys.modules[name] = None\n"
        "import assets.drift, resources.parsing\n"
        "from mineru_pipeline.quality.bands import shipped\n"
        "assert shipped().band({'layer_match': 1.0})[0] == 'excellent'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
