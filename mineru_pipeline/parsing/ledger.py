"""The tables of a batch, one row a manifest entry, as Parquet that DuckDB, Polars and Spark read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mineru_pipeline.documents.intake import ACCEPTED, SourceRow
from mineru_pipeline.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing.outcome import DocumentOutcome, State, mean_agreement
from mineru_pipeline.parsing.signals import NAMES
from mineru_pipeline.storage import ObjectStore, layout

SOURCE_DOCUMENTS = "source_documents"
PARSED_DOCUMENTS = "parsed_documents"
DOCUMENT_SIGNALS = "document_signals"


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """How one manifest entry ended. A duplicate repeats its original's outcome at no cost."""

    entry: int
    uri: str
    sha256: str | None
    duplicate_of: str | None
    state: str
    reason: str
    message: str
    #: Pages of the PDF, and pages in the outputs.
    pages: int
    parsed_pages: int
    degraded_pages: int
    #: Pages with an answer that repeats itself without end, or without text where there is some.
    degenerate_pages: int
    seconds: float
    requests: int
    #: Mean share of the text layer's words found in the outputs; None without a text layer.
    agreement: float | None
    #: Key of the folder of outputs; "" where there are none.
    outputs: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class SignalsRow:
    """What can be said of one parsed document without its truth; see :mod:`mineru_pipeline.parsing.signals`."""

    entry: int
    uri: str
    sha256: str
    tenant: str
    #: The batch whose run committed it: this one, or an earlier one that had the same document.
    committed_by: str
    #: How good it probably is, the signal that decided so, and the thresholds by which.
    band: str
    because: str
    thresholds: str
    layer_agreement: float | None = None
    layer_match: float | None = None
    truncated_share: float | None = None
    repetition_share: float | None = None
    empty_ink_share: float | None = None
    degraded_share: float | None = None
    gap_share: float | None = None
    odd_word_share: float | None = None
    repeated_share: float | None = None
    text_share: float | None = None
    table_share: float | None = None
    picture_share: float | None = None
    characters_per_page: float | None = None
    seconds_per_page: float | None = None

    @property
    def document(self) -> str:
        """What names the document among those of all tenants."""
        return f"{self.tenant}/{self.sha256}"

    @property
    def signals(self) -> dict[str, float | None]:
        """The signals by name."""
        return {name: getattr(self, name) for name in NAMES}


#: Tells the band of a document's signals, and the signal that decided.
Judge = Callable[[Mapping[str, float | None]], tuple[str, str]]

#: Tables that are fetched at once: a store far away answers late, but many at a time.
_AT_ONCE = 8
#: What a damaged table makes Arrow raise: tables have no checksums, and a text in one may be no UTF-8 any more.
_DAMAGES = (pa.ArrowException, OSError, UnicodeDecodeError)
_ARROW = {"int": pa.int64(), "str": pa.string(), "float": pa.float64()}

Row = TypeVar("Row", SourceRow, ParsedRow, SignalsRow)


def join(sources: Sequence[SourceRow], outcomes: Mapping[tuple[str, str], DocumentOutcome]) -> list[ParsedRow]:
    """One row a manifest entry: what intake said, or else what the engine made of it.

    Args:
        sources: every entry of the batch.
        outcomes: the engine's outcomes by tenant and sha256.
    """
    return [_row(source, outcomes.get((source.tenant, source.sha256 or ""))) for source in sources]


def _row(source: SourceRow, outcome: DocumentOutcome | None) -> ParsedRow:
    if source.state != ACCEPTED:
        outcome = DocumentOutcome(source.sha256 or "", State(source.state), source.reason, source.message)
    elif outcome is None:
        outcome = DocumentOutcome(source.sha256 or "", State.FAILED, "internal", "the engine returned no outcome")
    original = source.duplicate_of is None
    return ParsedRow(
        entry=source.entry,
        uri=source.uri,
        sha256=source.sha256,
        duplicate_of=source.duplicate_of,
        state=str(outcome.state),
        reason=outcome.reason,
        message=outcome.message,
        pages=source.pages,
        parsed_pages=len(outcome.page_summaries),
        degraded_pages=outcome.degraded_pages,
        degenerate_pages=sum(page.repetitive or page.missing_text for page in outcome.page_summaries),
        seconds=round(outcome.seconds, 3) if original else 0.0,
        requests=outcome.requests if original else 0,
        agreement=mean_agreement(outcome.page_summaries),
        outputs=outcome.outputs,
        tenant=source.tenant,
    )


def signal_rows(
    sources: Sequence[SourceRow], outcomes: Mapping[tuple[str, str], DocumentOutcome], judge: Judge, thresholds: str
) -> list[SignalsRow]:
    """One row for each distinct document that was parsed and has signals; those of earlier releases have none.

    Args:
        sources: every entry of the batch.
        outcomes: the engine's outcomes by tenant and sha256.
        judge: tells the band.
        thresholds: by which it does.
    """
    rows = []
    for source in sources:
        outcome = outcomes.get((source.tenant, source.sha256 or ""))
        if source.state != ACCEPTED or source.duplicate_of is not None or outcome is None or not outcome.signals:
            continue
        signals = {name: outcome.signals.get(name) for name in NAMES}
        band, because = judge(signals)
        row = SignalsRow(
            entry=source.entry,
            uri=source.uri,
            sha256=outcome.sha256,
            tenant=source.tenant,
            committed_by=outcome.batch,
            band=band,
            because=because,
            thresholds=thresholds,
        )
        rows.append(replace(row, **signals))  # type: ignore[arg-type]  # each of NAMES is a column
    return rows


def write(store: ObjectStore, asset: str, revision: str, batch: str, rows: Sequence[Row], kind: type[Row]) -> str:
    """Store the table of a batch and return its key."""
    schema = pa.schema([pa.field(f.name, _ARROW[str(f.type).split(" ", 1)[0]]) for f in fields(kind)])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), buffer)
    key = layout.table_key(asset, revision, batch)
    store.put(key, buffer.getvalue())
    return key


def read(store: ObjectStore, asset: str, revision: str, batch: str, kind: type[Row]) -> list[Row]:
    """The rows of a batch's table.

    Raises:
        ObjectNotFoundError: the asset was not materialized for this batch and revision.
        StoreError: the store cannot be used, or the table in it is damaged.
    """
    key = layout.table_key(asset, revision, batch)
    data = store.get(key)
    try:
        return [kind(**record) for record in _table(data).to_pylist()]
    except (*_DAMAGES, TypeError) as error:
        raise StoreError(f"The table {store.uri(key)} is damaged: {error}") from error


def places(store: ObjectStore, asset: str, revision: str | None = None) -> list[tuple[str, str]]:
    """Return parser revision and batch of every table of an asset, of one revision or of all; none is opened."""
    found = (layout.table_place(item.key) for item in store.list(layout.tables_prefix(asset, revision)))
    return [place for place in found if place is not None]


def mark(store: ObjectStore, asset: str, revision: str, batch: str) -> str:
    """Return what tells the table of a batch, as it is now, from the next one; "" where there is none."""
    key = layout.table_key(asset, revision, batch)
    found = next((item for item in store.list(key) if item.key == key), None)
    # The same rows give the same ETag, at another time.
    return "" if found is None else f"{found.etag} {found.modified_at}"


def scan(
    store: ObjectStore, asset: str, where: Iterable[tuple[str, str]], columns: Sequence[str], damaged: dict[str, str]
) -> Iterator[tuple[str, str, Mapping[str, list[Any]]]]:
    """Yield revision, batch and these columns of each table; one that is removed meanwhile is passed over.

    So is one that is damaged: ``damaged`` gets its key and a text for people.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """

    def one(place: tuple[str, str]) -> tuple[str, str, Mapping[str, list[Any]]] | StoreError:
        try:
            return (*place, read_columns(store, asset, *place, columns))
        except StoreUnavailableError:
            raise
        except StoreError as error:
            return error

    where = list(where)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for place, found in zip(where, pool.map(one, where), strict=True):
            if not isinstance(found, StoreError):
                yield found
            elif not isinstance(found, ObjectNotFoundError):
                damaged[layout.table_key(asset, *place)] = str(found)


def read_columns(
    store: ObjectStore, asset: str, revision: str, batch: str, columns: Sequence[str]
) -> Mapping[str, list[Any]]:
    """Return these columns of one table.

    Raises:
        ObjectNotFoundError: there is no such table.
        StoreError: the store cannot be used, or the table in it is damaged.
    """
    key = layout.table_key(asset, revision, batch)
    try:
        found = dict(_table(store.get(key), columns).to_pydict())
        return {name: found[name] for name in columns}
    except (*_DAMAGES, KeyError) as error:
        raise StoreError(f"The table {store.uri(key)} is damaged: {error}") from error


def _table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or these columns of it, in the calling thread alone.

    Arrow's own threads let go of the bytes only after a read has returned, and need the interpreter for it: in a
    process that ends at that moment they abort it (apache/arrow#34314) or hang it (apache/arrow#50482).
    """
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)
