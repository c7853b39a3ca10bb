"""Where everything lies in the store: the only place that puts keys together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from mineru_pipeline.errors import InvalidKeyError
from mineru_pipeline.storage.store import validate_key

MANIFESTS = "manifests/"
MANIFEST_SUFFIX = ".jsonl"
OUTBOX = "outbox/"
QUARANTINE = "quarantine/"
DROPPED = "dropped/"
#: Records of accepted baselines; a measurement's folder is named by its corpus, and no corpus has such a name.
BASELINES = "quality/baselines/"
SHELVED = "shelved/"
#: What a tenant may be called: it is a segment of keys, and in no store do upper and lower case collide.
TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_PAGE_DIGITS = 6
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BEGUN = re.compile(r"quality/([^/]+)/([^/]+)/([^/]+)/begun\.json")
_TABLE = re.compile(r"tables/[^/]+/revision=([^/]+)/batch=([^/]+)/part-0\.parquet")


def manifest_key(batch: str) -> str:
    """Return the key of a batch's manifest."""
    return f"{MANIFESTS}{_segment('batch', batch)}{MANIFEST_SUFFIX}"


def extracted_prefix(tenant: str, extraction_revision: str, sha256: str) -> str:
    """Return the folder, with its slash, of the model's raw answers for one document."""
    return _document_prefix("extracted", tenant, extraction_revision, sha256)


def page_checkpoints_prefix(tenant: str, extraction_revision: str, sha256: str) -> str:
    """Return the folder, with its slash, of a document's page checkpoints."""
    return extracted_prefix(tenant, extraction_revision, sha256) + "pages/"


def page_checkpoint_key(tenant: str, extraction_revision: str, sha256: str, page: int) -> str:
    """Return the key of one page's checkpoint; ``page`` counts from 0 and is padded, so keys sort by page."""
    if page < 0:
        raise InvalidKeyError(f"Pages count from 0; there is no page {page}.")
    return f"{page_checkpoints_prefix(tenant, extraction_revision, sha256)}{page:0{_PAGE_DIGITS}d}.json"


def model_key(tenant: str, extraction_revision: str, sha256: str) -> str:
    """Return the key of the raw answers of a finished document, one page a line."""
    return extracted_prefix(tenant, extraction_revision, sha256) + "model.jsonl"


def parsed_prefix(tenant: str, parser_revision: str, sha256: str) -> str:
    """Return the folder, with its slash, of a document's outputs."""
    return _document_prefix("parsed", tenant, parser_revision, sha256)


def result_key(tenant: str, parser_revision: str, sha256: str) -> str:
    """Return the key of ``result.json``, which exists exactly when the document is complete."""
    return parsed_prefix(tenant, parser_revision, sha256) + "result.json"


def table_key(asset: str, parser_revision: str, batch: str) -> str:
    """Return the key of an asset's table for one batch, in the Hive style that query engines read."""
    return validate_key(
        f"tables/{_segment('asset', asset)}/revision={_segment('revision', parser_revision)}"
        f"/batch={_segment('batch', batch)}/part-0.parquet"
    )


def tables_prefix(asset: str, parser_revision: str | None = None) -> str:
    """Return the folder, with its slash, of an asset's tables of all batches, of one revision or of all."""
    revision = "" if parser_revision is None else f"revision={_segment('revision', parser_revision)}/"
    return f"tables/{_segment('asset', asset)}/{revision}"


def table_place(key: str) -> tuple[str, str] | None:
    """Return parser revision and batch of a table's key; None for any other key."""
    found = _TABLE.fullmatch(key)
    return (found[1], found[2]) if found else None


def batch_of_manifest(key: str) -> str:
    """Return the batch whose manifest lies under ``key``."""
    return key.removeprefix(MANIFESTS).removesuffix(MANIFEST_SUFFIX)


def seen_prefix(watched: str) -> str:
    """Return the folder, with its slash, of what was seen under ``watched``, a bucket with or without a prefix."""
    return f"intake/{hashlib.sha256(watched.encode()).hexdigest()[:16]}/"


def seen_key(watched: str, generation: int, sha256: str) -> str:
    """Return the key of a listing that was seen; keys sort by generation, and the bytes decide the rest."""
    return f"{seen_prefix(watched)}{generation:010d}-{_checked_sha256(sha256)[:32]}.seen"


def outbox_key(batch: str, parser_revision: str, digest: str) -> str:
    """Return the key of results that wait to be told; batches sort by time, so the oldest come first."""
    names = _segment("batch", batch), _segment("revision", parser_revision), _segment("digest", digest)
    return validate_key(f"{OUTBOX}{'.'.join(names)}.jsonl")


def quarantine_key(identity: str) -> str:
    """Return the key of the note on a document nothing could be made of; see :func:`document_identity`."""
    return f"{QUARANTINE}{_segment('document', identity)}.json"


def dropped_key(identity: str) -> str:
    """Return the key of the record of who took the note on a document out of the quarantine, and why."""
    return f"{DROPPED}{_segment('document', identity)}.json"


def shelved_prefix(parser_revision: str) -> str:
    """Return the folder, with its slash, of the notes that a return to a revision brings back."""
    return f"{SHELVED}{_segment('revision', parser_revision)}/"


def shelved_key(parser_revision: str, identity: str) -> str:
    """Return the key of the note on a document that failed under a revision and was last parsed under another one."""
    return f"{shelved_prefix(parser_revision)}{_segment('document', identity)}.json"


def is_shelved_key(key: str, parser_revision: str, identity: str) -> bool:
    """Whether ``key`` is that of a document's note under a revision; strange objects may lie beside the notes."""
    return _is(key, lambda: shelved_key(parser_revision, identity))


def is_quarantine_key(key: str) -> bool:
    """Whether ``key`` is that of a document's note; strange objects may lie beside the notes."""
    return _is(key, lambda: quarantine_key(identity_of_note(key)))


def drift_waiting_prefix(revision: str) -> str:
    """Return the folder, with its slash, of signals of one parser revision that the detector has not seen yet."""
    return f"quality/drift/{_segment('revision', revision)}/waiting/"


def drift_waiting_key(revision: str, batch: str, digest: str) -> str:
    """Return the key of a batch's new signals; batches sort by time, so the oldest come first."""
    names = _segment("batch", batch), _segment("digest", digest)
    return validate_key(f"{drift_waiting_prefix(revision)}{'.'.join(names)}.json.gz")


def drift_state_prefix(revision: str) -> str:
    """Return the folder, with its slash, of what the detector remembers of one parser revision."""
    return f"quality/drift/{_segment('revision', revision)}/state/"


def drift_state_key(revision: str, generation: int) -> str:
    """Return the key of one generation of it; keys sort by generation."""
    return f"{drift_state_prefix(revision)}{generation:010d}.json.gz"


def corpus_key(version: str, name: str) -> str:
    """Return the key of a file of the baseline corpus in one of its versions."""
    return f"quality/corpus/{_segment('version', version)}/{_segment('file', name)}"


def measurements_prefix(corpus: str) -> str:
    """Return the folder, with its slash, of all measurements on a corpus in one of its versions."""
    return f"quality/{_segment('corpus', corpus)}/"


def measurement_prefix(corpus: str, parser_revision: str, measurement: str) -> str:
    """Return the folder, with its slash, of one measurement: what was parsed, its scores and its reports."""
    names = _segment("revision", parser_revision), _segment("measurement", measurement)
    return f"{measurements_prefix(corpus)}{'/'.join(names)}/"


def measurement_key(corpus: str, parser_revision: str, measurement: str) -> str:
    """Return the key of what a measurement parsed, which exists exactly when every document has ended."""
    return measurement_prefix(corpus, parser_revision, measurement) + "measurement.json"


def begun_key(corpus: str, parser_revision: str, measurement: str) -> str:
    """Return the key of the note that a measurement has begun."""
    return measurement_prefix(corpus, parser_revision, measurement) + "begun.json"


def measurement_place(key: str) -> tuple[str, str, str] | None:
    """Return corpus, parser revision and name of the measurement that has begun under a key; None for other keys."""
    found = _BEGUN.fullmatch(key)
    return (found[1], found[2], found[3]) if found else None


def baseline_key(name: str) -> str:
    """Return the key of the record of an accepted baseline."""
    return f"{BASELINES}{_segment('baseline', name)}.json"


def identity_of_note(key: str) -> str:
    """Return the identity of the document whose note lies under ``key``."""
    return key.removeprefix(QUARANTINE).removesuffix(".json")


def document_identity(*, sha256: str | None, uri: str, version: str | None, tenant: str | None = None) -> str:
    """Return what names a document: its hash, or the hash of its place where it could not be read.

    Where whoever announced it named a ``tenant``, it goes into the hash: other tenants' bytes are other documents.
    """
    if sha256 is not None and tenant is None:
        return _checked_sha256(sha256)
    named = f"{uri}\n{version or ''}" if sha256 is None else _checked_sha256(sha256)
    return hashlib.sha256((named + (f"\n{tenant}" if tenant else "")).encode("utf-8", "surrogatepass")).hexdigest()


def _document_prefix(root: str, tenant: str, revision: str, sha256: str) -> str:
    digest = _checked_sha256(sha256)
    return f"{root}/{_segment('tenant', tenant)}/{_segment('revision', revision)}/{digest[:2]}/{digest}/"


def _checked_sha256(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise InvalidKeyError(f"{sha256[:80]!a} is no SHA-256: 64 lower-case hexadecimal digits are needed.")
    return sha256


def _is(key: str, made: Callable[[], str]) -> bool:
    try:
        return made() == key
    except InvalidKeyError:
        return False


def _segment(what: str, value: str) -> str:
    if "/" in value or not value:
        raise InvalidKeyError(f"The {what} {value[:80]!a} cannot be part of a key: it must be one plain name.")
    return validate_key(value)
