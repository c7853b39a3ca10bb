"""What a batch says of quality without any truth: its bands, and whether its documents drift from those before.

The check sits on the batch, because then it looks after every ingest, on any worker, with nothing else to run. It costs
a few requests to the store and, for each document, half a millisecond.
"""

import base64
import logging
from collections import Counter
from collections.abc import Sequence

import dagster as dg

from mineru_pipeline.errors import ObjectNotFoundError, PipelineError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import SignalsRow
from mineru_pipeline.quality.bands import Band
from mineru_pipeline.quality.drifting import Fed, feed, leave
from mineru_pipeline.quality.gates.chart import drift_chart
from mineru_pipeline.quality.gates.drift import Detector
from mineru_pipeline.storage import ObjectStore

#: Documents that the metadata name; the table has all.
_NAMED = 20


def leave_for_detector(store: ObjectStore, revision: str, batch: str, rows: Sequence[SignalsRow]) -> None:
    """Leave what is new in a batch for the detector of drift: what it committed itself, and its table does not have.

    Called before the table is written, so that whatever dies in between is made up for by the next run of the batch.
    """
    known = set()
    try:
        earlier = ledger.read(store, ledger.DOCUMENT_SIGNALS, revision, batch, SignalsRow)
        known = {row.document for row in earlier}
    except StoreUnavailableError:
        raise
    except (ObjectNotFoundError, StoreError):
        # None yet, or none that can be read: then it is written anew, and what was fed lately is not fed again.
        pass
    own = [row for row in rows if row.committed_by == batch and row.document not in known]
    leave(store, revision, batch, [(row.document, row.signals) for row in own])


def bands_metadata(rows: Sequence[SignalsRow]) -> dict[str, dg.MetadataValue]:
    """How many documents of the batch have which band, and the poor ones by name."""
    if not rows:
        return {}
    counts = Counter(row.band for row in rows)
    shares = {band.value: round(counts.get(band.value, 0) / len(rows), 4) for band in Band}
    poor = [row for row in rows if row.band == Band.POOR]
    found: dict[str, dg.MetadataValue] = {
        "bands": dg.MetadataValue.json({"documents": len(rows), "shares": shares, "thresholds": rows[0].thresholds})
    }
    if poor:
        records = [dg.TableRecord({"uri": row.uri, "because": row.because}) for row in poor[:_NAMED]]
        found["poor_documents"] = dg.MetadataValue.table(records)
    return found


def no_drift_of(store: ObjectStore, revision: str, log: logging.Logger) -> dg.AssetCheckResult:
    """Feed the detector and say what it has seen; a warning, whatever happens, and no more than that."""
    detector = Detector()
    try:
        fed = feed(store, revision, detector)
    except Exception as error:
        # The batch is parsed and its table written; the next one feeds what waits.
        log.warning("drift was not looked for", exc_info=error)
        reason = str(error) if isinstance(error, PipelineError) else type(error).__name__
        return _result(passed=False, text=f"drift was not looked for: {reason}")
    metadata: dict[str, dg.MetadataValue] = {"figures": dg.MetadataValue.json(_figures(fed, detector))}
    if fed.memory.points:
        picture = base64.b64encode(drift_chart(fed.memory.points, detector.every).encode()).decode()
        metadata["evidence"] = dg.MetadataValue.md(f"![evidence of drift](data:image/svg+xml;base64,{picture})")
    alarm = fed.memory.state.alarm
    return _result(passed=alarm is None and not fed.damaged, text=_sentence(fed, detector), metadata=metadata)


def _sentence(fed: Fed, detector: Detector) -> str:
    state, more = fed.memory.state, ""
    if fed.damaged:
        more = f"; damaged and left out: {', '.join(fed.damaged)}"
    if state.alarm is not None:
        return (
            f"documents look other than before since number {state.alarm.seen} ({state.alarm.document}), above all in "
            f"{state.alarm.leading}; docs/quality.md says what to do{more}"
        )
    if state.seen < detector.reference:
        return f"{state.seen} of the first {detector.reference} documents, which are taken as they are{more}"
    evidence = fed.memory.points[-1].evidence if fed.memory.points else 0.0
    return f"no drift in {state.seen} documents; evidence {evidence:.3g} of {detector.every:,}{more}"


def _figures(fed: Fed, detector: Detector) -> dict[str, object]:
    state, latest = fed.memory.state, fed.memory.points[-1:]
    return {
        "documents": state.seen,
        "fed_now": fed.documents,
        "batches_waiting": fed.waiting,
        "evidence": latest[0].evidence if latest else 0.0,
        "leading": latest[0].leading if latest else "",
        "warning_at": detector.every,
        "begun": fed.memory.begun,
    }


def _result(*, passed: bool, text: str, metadata: dict[str, dg.MetadataValue] | None = None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text, metadata=metadata or {}
    )
