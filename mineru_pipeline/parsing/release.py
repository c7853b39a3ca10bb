"""Getting documents out of the quarantine: which ones, tried again as a batch of their own, or dropped for good."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from mineru_pipeline.documents.manifest import BatchManifest, read_manifest, write_manifest
from mineru_pipeline.documents.refs import INVALID, DocumentRef, utc_moment, utc_text
from mineru_pipeline.errors import (
    InvalidKeyError,
    ObjectNotFoundError,
    SourceError,
    StoreError,
    StoreUnavailableError,
)
from mineru_pipeline.parsing import quarantine
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import ObjectStore, layout

logger = logging.getLogger(__name__)

#: Notes that are read at once.
MOST_NOTES = 5000
#: Notes that are counted.
MOST_COUNTED = 100_000
_AT_ONCE = 8
_HASH_DIGITS = 12
_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("uri", "tenant", "batch", "origin", "reason", "message", "at", "first_at"), (str,)),
    **dict.fromkeys(("sha256", "revision"), (str, type(None))),
    "attempts": (int,),
    "entry": (int, type(None)),
    "batches": (list, tuple),
}


@dataclass(frozen=True, slots=True)
class Note:
    """Why, when and from where a document came into the quarantine; times are ISO 8601."""

    identity: str
    uri: str
    sha256: str | None
    tenant: str
    batch: str
    origin: str
    reason: str
    message: str
    at: str
    first_at: str
    #: How often it has failed under its revision since it last ended well.
    attempts: int = 1
    #: Its place in the manifest; notes of earlier versions have none.
    entry: int | None = None
    #: All batches in which it has failed since it last ended well; notes of earlier versions name none.
    batches: Sequence[str] = ()
    #: The parser revision under which it failed; notes of earlier versions have none.
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A note that cannot be read."""

    #: Of the object in the store.
    key: str
    #: What is wrong, and what is to be done about it, for people.
    text: str

    @property
    def identity(self) -> str:
        """What it is called in the quarantine, as any note."""
        return layout.identity_of_note(self.key)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in the quarantine, the latest failure first."""

    notes: tuple[Note, ...]
    damaged: tuple[Damaged, ...] = ()
    #: Notes in all, read or not; of more than ``MOST_COUNTED`` that many.
    total: int = 0
    #: Whether ``notes`` and ``damaged`` are not all there is.
    truncated: bool = False

    def __str__(self) -> str:
        """How many there are, and how many of them were looked at."""
        least = "at least " if self.total >= MOST_COUNTED else ""
        looked = f", of which {MOST_NOTES} are read at a time" if self.truncated else ""
        return f"{least}{self.total} documents in the quarantine{looked}"


def survey(store: ObjectStore, *, turn: int = 0) -> Survey:
    """Look at the notes; a damaged one does not hide the others.

    Of more than ``MOST_NOTES`` these are the first or, with a ``turn`` that is counted up, all of them by portions.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    keys = [item.key for item in islice(store.list(layout.QUARANTINE), MOST_COUNTED)]
    truncated = len(keys) > MOST_NOTES
    start = turn % -(-len(keys) // MOST_NOTES) * MOST_NOTES if truncated else 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = list(pool.map(lambda key: read_note(store, key), keys[start : start + MOST_NOTES]))
    found = [note for note in read if isinstance(note, Note)]
    return Survey(
        tuple(sorted(found, key=lambda note: (note.at, note.identity), reverse=True)),
        tuple(note for note in read if isinstance(note, Damaged)),
        # What went while it was read is no longer there.
        len(keys) - read.count(None),
        truncated=truncated,
    )


def settle(
    store: ObjectStore,
    rows: Sequence[ParsedRow],
    refs: Sequence[DocumentRef],
    batch: str,
    *,
    revision: str | None = None,
) -> list[ParsedRow]:
    """Bring older notes of a batch in line with what its entries are now; the rows, named as their notes name them.

    A note that no later failure counts up would ask for its batch for ever. So a document whose bytes cannot be had
    again goes on under their SHA-256; and where there are other bytes now, the note on the old ones goes.
    """
    settled, found = list(rows), survey(store)
    if found.truncated:
        logger.warning("notes of %s may stay after what they speak of: %s", batch, found)
    for note in found.notes:
        if note.batch != batch or note.sha256 is None:
            continue
        for entry, (row, ref) in enumerate(zip(rows, refs, strict=True)):
            if note.entry not in {None, entry} or note.uri != row.uri or not _names(note, ref):
                continue
            if row.sha256 is None:
                settled[entry] = replace(row, sha256=note.sha256)
            # A note of an earlier version names no entry: it may be of another version of the object.
            elif row.sha256 != note.sha256 and note.entry is not None:
                quarantine.remove(store, layout.quarantine_key(note.identity), revision)
                logger.warning(
                    "%s left the quarantine: entry %d of %s has other bytes now", note.identity, entry, batch
                )
    return settled


def chosen(
    survey: Survey, prefixes: Sequence[str], *, every: bool, reason: str | None
) -> tuple[list[Note], list[Damaged]]:
    """Return the notes meant: by the first digits of identity or SHA-256, all of them, or those with a reason.

    Damaged ones have no reason that anybody could name, and are meant by their identity or key or with all.

    Raises:
        SourceError: a prefix is none, or names no document or several; no document has the reason; or nothing says
            which are meant.
    """
    if (bool(prefixes), every, reason is not None).count(True) != 1:
        raise SourceError(INVALID, "Say which documents: by the first digits of their identity, or --all, or --reason.")
    if every:
        return list(survey.notes), list(survey.damaged)
    if reason is not None:
        return _for_reason(survey.notes, reason), []
    hits = {hit.identity: hit for hit in (_one(survey, prefix) for prefix in prefixes)}.values()
    return [hit for hit in hits if isinstance(hit, Note)], [hit for hit in hits if isinstance(hit, Damaged)]


def retry_manifests(store: ObjectStore, meant: Sequence[Note], size: int) -> tuple[list[BatchManifest], list[str]]:
    """Fix batches of the documents, at most ``size`` each, and say which could not be found in their old batches.

    Batches are of one tenant each, and every reference stays what it was, or its note would not be found again. As long
    as the notes stay as they are, the batches are the same ones: what was interrupted goes on.
    """
    by_tenant: dict[str, list[tuple[Note, DocumentRef]]] = {}
    lost: list[str] = []
    old: dict[str, BatchManifest | str] = {}
    for note in meant:
        if note.batch not in old:
            old[note.batch] = _manifest(store, note.batch)
        manifest = old[note.batch]
        ref = _ref(manifest, note) if isinstance(manifest, BatchManifest) else None
        if isinstance(manifest, str) or ref is None:
            why = manifest if isinstance(manifest, str) else f"it is not in the batch {note.batch} any more"
            lost.append(f"{note.uri}: {why}; submit it again, or drop the note")
        else:
            by_tenant.setdefault(manifest.tenant, []).append((note, ref))
    parts = [
        (tenant, pairs[start : start + size])
        for tenant, pairs in sorted(by_tenant.items())
        for start in range(0, len(pairs), size)
    ]
    return [write_manifest(store, _batch(tenant, part)) for tenant, part in parts], lost


def drop(store: ObjectStore, note: Note, *, by: str, why: str, now: datetime) -> None:
    """Remove the note, after a record of it in ``dropped/``: what it said, and who removed it, when and why.

    The record names all batches in which the document had failed, those of earlier times when it was dropped, too.
    """
    _write_record(store, note.identity, note, by=by, why=why, now=now)
    store.delete(layout.quarantine_key(note.identity))


def drop_damaged(store: ObjectStore, damaged: Damaged, note: Note | None, *, by: str, why: str, now: datetime) -> None:
    """Remove a note that cannot be read, with a record of the ``note`` that was recovered in its place, if any."""
    # Not every key in the quarantine is a note's.
    _write_record(store, damaged.identity.replace("/", "_"), note, by=by, why=why, now=now)
    store.delete(damaged.key)


def _write_record(store: ObjectStore, identity: str, note: Note | None, *, by: str, why: str, now: datetime) -> None:
    named = [*note.batches, note.batch] if note is not None else []
    batches = list(dict.fromkeys([*quarantine.dropped_in(store, identity), *named]))
    values = {"by": by, "at": utc_text(now), "why": why, "note": note and asdict(note), "batches": batches}
    text = json.dumps(values, ensure_ascii=False, indent=1)
    store.put(layout.dropped_key(identity), text.encode("utf-8", "backslashreplace") + b"\n")
    logger.warning("%s was dropped from the quarantine by %s: %s", identity, by, why or "no reason was given")


def _for_reason(found: Sequence[Note], reason: str) -> list[Note]:
    meant = [note for note in found if note.reason == reason]
    if not meant:
        known = ", ".join(sorted({note.reason for note in found})) or "none at all"
        raise SourceError(INVALID, f"No document in the quarantine has the reason {reason[:80]!a}; there are: {known}.")
    return meant


def _one(survey: Survey, prefix: str) -> Note | Damaged:
    # Whatever lies in the quarantine can be named by the whole of its key.
    for damaged in survey.damaged:
        if prefix in {damaged.key, damaged.identity}:
            return damaged
    if not _PREFIX.fullmatch(prefix):
        raise SourceError(INVALID, f"{prefix[:80]!a} is not the start of an identity: 8 to 64 digits are, 0–9 and a–f.")
    # The same bytes of several tenants are several notes, and only the identity tells them apart.
    hits: list[Note | Damaged] = [note for note in survey.notes if note.identity == prefix] or [
        *(n for n in survey.notes if n.identity.startswith(prefix) or (n.sha256 or "").startswith(prefix)),
        *(damaged for damaged in survey.damaged if damaged.identity.startswith(prefix)),
    ]
    if len(hits) != 1:
        raise SourceError(
            INVALID, f"{len(hits) or 'No'} documents in the quarantine start with {prefix}; see `quarantine list`."
        )
    return hits[0]


def _batch(tenant: str, part: Sequence[tuple[Note, DocumentRef]]) -> BatchManifest:
    # With the failure in the key, another attempt after another failure is another batch, with a table of its own.
    failures = sorted(json.dumps([note.identity, note.batch, note.at]) for note, _ in part)
    digest = hashlib.sha256("\n".join(["retry", tenant, *failures]).encode()).hexdigest()[:_HASH_DIGITS]
    newest = max(utc_moment(note.at) for note, _ in part)
    return BatchManifest(f"{newest:%Y%m%dT%H%M%SZ}-{digest}", tenant, tuple(ref for _, ref in part))


def _manifest(store: ObjectStore, batch: str) -> BatchManifest | str:
    """The manifest, or why there is none that can be read."""
    try:
        return read_manifest(store, batch)
    except ObjectNotFoundError:
        return f"the batch {batch} is not there any more"
    except StoreUnavailableError:
        raise
    except StoreError as error:
        # It holds up its own documents alone.
        return str(error).removesuffix(".")


def _ref(manifest: BatchManifest, note: Note) -> DocumentRef | None:
    if note.entry is not None and 0 <= note.entry < len(manifest.refs):
        candidates = [manifest.refs[note.entry]]
    else:
        candidates = list(manifest.refs)
    matching = (ref for ref in candidates if ref.uri == note.uri)
    return next((ref for ref in matching if _names(note, ref)), None)


def _names(note: Note, ref: DocumentRef) -> bool:
    try:
        return quarantine.identity(note.sha256, ref) == note.identity
    except InvalidKeyError:
        # Whatever stands in the note is no SHA-256.
        return False


def read_note(store: ObjectStore, key: str) -> Note | Damaged | None:
    """The note; None where it went meanwhile."""
    try:
        value = json.loads(store.get(key))
        known = {name: value[name] for name in Note.__dataclass_fields__ if name in value}
        note = Note(**{"first_at": value["at"], **known, "identity": layout.identity_of_note(key)})
        _require_usable(note, key)
    except ObjectNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        identity = layout.identity_of_note(key)
        todo = f"`mineru-pipeline quarantine retry {identity}` looks for its document, `quarantine drop` removes it"
        return Damaged(key, f"The note {store.uri(key)} is damaged ({error}): {todo}.")
    return note


def _require_usable(note: Note, key: str) -> None:
    """Refuse what would stop whoever looks at all notes: a schedule, and the end of every run."""
    if not layout.is_quarantine_key(key):
        raise ValueError("no document's note has such a key")
    for name, kind in _KINDS.items():
        if type(getattr(note, name)) not in kind:
            raise TypeError(f"{name} is a {type(getattr(note, name)).__name__}")
    if not all(isinstance(batch, str) for batch in note.batches):
        raise TypeError("batches are not names")
    # With room for the pause after it, before the calendar ends.
    utc_moment(note.at) + timedelta(days=1)
