"""Measurements: what a parse of the corpus gave, kept in the store so that comparing never needs a second parse.

A measurement is made in three steps, each of which can be repeated after a crash and then asks for nothing twice:

1. :func:`stored_corpus` or :func:`make_corpus`: the documents and their truths, under ``quality/corpus/<version>/``.
2. :func:`begin`, and the parse by whoever may use the engine (``resources.measuring``); :func:`keep` stores what
   became of each document. The outputs lie under ``parsed/`` as always, for a tenant of the measurement's own.
3. :func:`score`: the scores of each document, and their means.

Everything is in ``quality/<corpus version>/<parser revision>/<measurement>/``, and nothing there is written twice:

- ``begun.json``: a :class:`Begun`.
- ``measurement.json``: a :class:`Measurement`, once all documents have ended. Dates are in these two and nowhere else.
- ``scores-<version of the scorer>/<document>.json``: :class:`DocumentScores`.
- ``scores-<version of the scorer>/summary.json``: :class:`Summary`, written last.

:func:`begun` lists them, :func:`latest` finds the newest, :func:`scores_of` reads its scores. The page of a document
can be shown from ``corpus_key(version, f"{name}.pdf")``, its truth from ``….truth.json`` beside it
(:func:`truth_of`), its parse from :func:`content_list_of`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.errors import InvalidKeyError, ObjectNotFoundError, QualityError
from mineru_pipeline.quality.extra import needs_extra
from mineru_pipeline.quality.reading import check_place, decoded, loaded
from mineru_pipeline.quality.scores.model import SCORES_VERSION, DocumentScores
from mineru_pipeline.quality.scores.summary import Summary, summarise
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.storage import layout
from mineru_pipeline.storage.store import ObjectStore

if TYPE_CHECKING:
    from mineru_pipeline.quality.corpus import CorpusDocument

BASELINE: Final = "baseline"
HELD_BACK: Final = "held-back"
#: Written after the scores of all documents.
SUMMARY: Final = "summary.json"
_SCHEMA: Final = 1
_MOVE_AWAY: Final = "Restore it, or move its folder away."

#: Told after each document: how many are done.
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents of the corpus are meant: of which seed, and how many of each stratum (None: all)."""

    seed: str = BASELINE
    sample: int | None = None

    @property
    def name(self) -> str:
        """``all`` or ``sample-2``."""
        return "all" if self.sample is None else f"sample-{self.sample}"


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """A document of a stored corpus; ``pdf`` and ``truth`` are keys."""

    name: str
    stratum: str
    pages: int
    sha256: str
    pdf: str
    truth: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus in the store."""

    version: str
    selection: Selection
    entries: tuple[CorpusEntry, ...]

    @property
    def pages(self) -> int:
        """Pages of all documents."""
        return sum(entry.pages for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Begun:
    """A measurement that has begun; ``origin`` is who began it: ``command``, or a Dagster run."""

    #: Sorts by time.
    name: str
    corpus: str
    selection: Selection
    parser_revision: str
    #: ISO 8601 in UTC.
    started_at: str
    origin: str

    @property
    def tenant(self) -> str:
        """Whose the outputs are: nobody else's, so that each measurement asks the model anew."""
        return f"quality-{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """Who answered: a stand-in is a server of ours that is not the model."""

    name: str
    revision: str | None
    is_stand_in: bool
    #: Addresses without credentials; none where a development server was started for the measurement.
    servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredDocument:
    """What became of one document: as a row of the tables, and ``outputs``, the key of its folder or ""."""

    name: str
    stratum: str
    pages: int
    sha256: str
    #: ``parsed``, ``degraded`` or, without outputs, ``rejected`` or ``failed``.
    state: str
    reason: str
    message: str
    degraded_pages: int
    seconds: float
    requests: int
    outputs: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One parse of the corpus."""

    #: Sorts by time.
    name: str
    corpus: str
    selection: Selection
    parser_revision: str
    extraction_revision: str
    model: MeasuredModel
    #: ISO 8601 in UTC.
    started_at: str
    ended_at: str
    documents: tuple[MeasuredDocument, ...]

    @property
    def unparsed(self) -> tuple[MeasuredDocument, ...]:
        """Documents without outputs; they score as if nothing had been read."""
        return tuple(document for document in self.documents if not document.outputs)

    @property
    def prefix(self) -> str:
        """The folder of the measurement, with its slash."""
        return layout.measurement_prefix(self.corpus, self.parser_revision, self.name)

    @property
    def key(self) -> str:
        """Where :func:`keep` puts it."""
        return layout.measurement_key(self.corpus, self.parser_revision, self.name)

    def scores_prefix(self, version: int = SCORES_VERSION) -> str:
        """The folder of its scores, with its slash."""
        return f"{self.prefix}scores-{version}/"

    def to_json(self) -> str:
        """Return it as JSON that :meth:`from_json` reads."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Measurement:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is no measurement.
        """
        read = decoded(cls, text, _SCHEMA)
        if len({document.name for document in read.documents}) < len(read.documents):
            raise ValueError("a document comes twice")
        return read


def corpus_version_of(selection: Selection) -> str:
    """Return the version of the corpus that this installation makes.

    Raises:
        QualityError: the extra is missing, or there is no such seed.
    """
    with needs_extra():
        from mineru_pipeline.quality.corpus import SEEDS, corpus_version  # workers do not have the extra
    if selection.seed not in SEEDS:
        raise QualityError(f"There is no seed {selection.seed!a}; there are {', '.join(SEEDS)}.")
    return corpus_version(SEEDS[selection.seed])


def make_corpus(store: ObjectStore, selection: Selection, told: Told = lambda _done: None) -> Corpus:
    """Return the corpus of this version, made and stored first where it is not there yet.

    Raises:
        QualityError: the extra is missing, or there is no such seed.
    """
    version = corpus_version_of(selection)
    from mineru_pipeline.quality.corpus import SEEDS, generate, write  # workers do not have the extra

    if not store.exists(_index_key(version, selection)):

        def counted(documents: Iterable[CorpusDocument]) -> Iterable[CorpusDocument]:
            for done, document in enumerate(documents, start=1):
                yield document
                told(done)

        documents = generate(SEEDS[selection.seed], sample=selection.sample)
        write(store, version, counted(documents), index=selection.name)
    return stored_corpus(store, version, selection)


def stored_corpus(store: ObjectStore, version: str, selection: Selection) -> Corpus:
    """Return a corpus that is in the store; it needs no extra.

    Raises:
        QualityError: it is not there, or its index is damaged.
    """
    key = _index_key(version, selection)
    try:
        entries = decoded(tuple[CorpusEntry, ...], store.get(key))
    except ObjectNotFoundError as error:
        raise QualityError(
            f"The corpus {version} ({selection.name}) is not in the store: {store.uri(key)} does not exist. "
            "Materialize baseline_corpus, or run `mineru-pipeline baseline measure`."
        ) from error
    except ValueError as error:
        raise QualityError(f"The index of the corpus, {store.uri(key)}, is damaged: remove it. ({error})") from error
    return Corpus(version, selection, entries)


def keep(store: ObjectStore, measurement: Measurement) -> Measurement:
    """Store a measurement whose documents have all ended; return what the store holds, which is what counts."""
    store.put_if_absent(measurement.key, measurement.to_json().encode())
    return read(store, measurement.key)


def read(store: ObjectStore, key: str) -> Measurement:
    """Return the measurement under a key; raises QualityError if it is not there or damaged."""
    try:
        found = Measurement.from_json(store.get(key))
        check_place(key, found.key)
    except ObjectNotFoundError as error:
        raise QualityError(f"There is no measurement {store.uri(key)}.") from error
    except (ValueError, InvalidKeyError) as error:
        raise QualityError(f"The measurement {store.uri(key)} is damaged: {error}. {_MOVE_AWAY}") from error
    return found


def begin(store: ObjectStore, begun: Begun) -> Begun:
    """Note that a measurement begins; return what the store holds: of one that is resumed, its first note."""
    key = layout.begun_key(begun.corpus, begun.parser_revision, begun.name)
    store.put_if_absent(key, (json.dumps(asdict(begun), indent=1, sort_keys=True) + "\n").encode())
    return _read_begun(store, key)


def begun(store: ObjectStore, corpus: str, parser_revision: str | None = None) -> list[Begun]:
    """Return the measurements that were begun on a corpus, with one revision or with any, the oldest first."""
    keys = [item.key for item in store.list(layout.measurements_prefix(corpus))]
    places = [(key, layout.measurement_place(key)) for key in keys]
    wanted = [key for key, place in places if place is not None and parser_revision in {None, place[1]}]
    return sorted((_read_begun(store, key) for key in wanted), key=lambda each: each.name)


def find(store: ObjectStore, each: Begun) -> Measurement | None:
    """Return the measurement that was begun, or None while its documents have not all ended."""
    key = layout.measurement_key(each.corpus, each.parser_revision, each.name)
    return read(store, key) if store.exists(key) else None


def latest(
    store: ObjectStore, corpus: str, *, parser_revision: str | None = None, selection: Selection | None = None
) -> Measurement | None:
    """Return the newest measurement on a corpus, of this revision and these documents where they are given."""
    for each in reversed(begun(store, corpus, parser_revision)):
        if selection in {None, each.selection} and (found := find(store, each)) is not None:
            return found
    return None


def not_measured(corpus: str, selection: Selection, parser_revision: str) -> QualityError:
    """The error that says what to do where a measurement is asked for that does not exist."""
    return QualityError(
        f"The parser revision {parser_revision} has not been measured on the corpus {corpus} ({selection.name}): run "
        "`mineru-pipeline baseline measure`, or the job measure_quality in the UI."
    )


def score(store: ObjectStore, measurement: Measurement, told: Told = lambda _done: None) -> list[DocumentScores]:
    """Return the scores of a measurement, computed and stored where they are not there yet.

    A document without outputs is scored as one of which nothing was read.

    Raises:
        QualityError: the extra is missing, or a truth or a parse is not there any more.
    """
    with needs_extra():
        from mineru_pipeline.quality.scores.document import score_document  # workers do not have the extra
    found = []
    for done, document in enumerate(measurement.documents, start=1):
        key = _scores_key(measurement, document.name)
        if not store.exists(key):
            scores = score_document(truth_of(store, measurement, document), content_list_of(store, document))
            store.put_if_absent(key, scores.to_json().encode())
        # What the store holds counts, also for its rounding.
        found.append(_read_scores(store, measurement, document.name))
        told(done)
    store.put_if_absent(measurement.scores_prefix() + SUMMARY, summarise(found).to_json().encode())
    return found


def scores_of(store: ObjectStore, measurement: Measurement) -> list[DocumentScores]:
    """Return the stored scores of a measurement; it needs no extra.

    Raises:
        QualityError: it has not been scored by this version of the scorer.
    """
    if not store.exists(summary := measurement.scores_prefix() + SUMMARY):
        raise QualityError(
            f"The measurement {measurement.name} has no scores of version {SCORES_VERSION}: {store.uri(summary)} does "
            "not exist. Materialize quality_scores, or run `mineru-pipeline baseline measure` again."
        )
    return [_read_scores(store, measurement, document.name) for document in measurement.documents]


def is_scored(store: ObjectStore, measurement: Measurement) -> bool:
    """Whether it has been scored, by this version of the scorer."""
    return store.exists(measurement.scores_prefix() + SUMMARY)


def summary_of(scores: Sequence[DocumentScores]) -> Summary:
    """Return the means of scores."""
    return summarise(scores)


def truth_of(store: ObjectStore, measurement: Measurement, document: MeasuredDocument) -> DocumentTruth:
    """Return what a document of a measurement says."""
    key = layout.corpus_key(measurement.corpus, f"{document.name}.truth.json")
    try:
        return DocumentTruth.from_json(store.get(key).decode())
    except (ObjectNotFoundError, ValueError) as error:
        raise QualityError(f"The truth {store.uri(key)} cannot be read: {error}") from error


def content_list_of(store: ObjectStore, document: MeasuredDocument) -> list[dict[str, Any]]:
    """Return the parsed ``content_list.json`` of a document; empty where it has no outputs."""
    if not document.outputs:
        return []
    key = f"{document.outputs}content_list.json"
    try:
        entries: list[dict[str, Any]] = loaded(store.get(key))
    except (ObjectNotFoundError, ValueError) as error:
        raise QualityError(
            f"The parse of {document.name}, {store.uri(key)}, cannot be read: {error} Measure the corpus again."
        ) from error
    return entries


def _index_key(version: str, selection: Selection) -> str:
    return layout.corpus_key(version, f"index-{selection.name}.json")


def _scores_key(measurement: Measurement, document: str) -> str:
    return f"{measurement.scores_prefix()}{document}.json"


def _read_begun(store: ObjectStore, key: str) -> Begun:
    try:
        found = decoded(Begun, store.get(key))
        utc_moment(found.started_at)
        check_place(key, layout.begun_key(found.corpus, found.parser_revision, found.name))
    except (ValueError, InvalidKeyError) as error:
        raise QualityError(f"The note {store.uri(key)} on a measurement is damaged: {error}. {_MOVE_AWAY}") from error
    return found


def _read_scores(store: ObjectStore, measurement: Measurement, document: str) -> DocumentScores:
    key = _scores_key(measurement, document)
    try:
        found = DocumentScores.from_json(store.get(key).decode())
        check_place(key, _scores_key(measurement, found.name))
    except (ObjectNotFoundError, ValueError) as error:
        raise QualityError(
            f"The scores {store.uri(key)} cannot be read: {error}. Remove them, and materialize quality_scores."
        ) from error
    return found
