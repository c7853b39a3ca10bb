"""The tables of a batch, one row a manifest entry, as Parquet that DuckDB, Polars and Spark read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mineru_pipeline.documents.intake import ACCEPTED, SourceRow
from mineru_pipeline.errors import ObjectNotFoundError, StoreError
from mineru_pipeline.parsing.outcome import DocumentOutcome, State, mean_agreement
from mineru_pipeline.storage import ObjectStore, layout

SOURCE_DOCUMENTS = "source_documents"
PARSED_DOCUMENTS = "parsed_documents"


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


#: Tables that are fetched at once: a store far away answers late, but many at a time.
_AT_ONCE = 8
_ARROW = {"int": pa.int64(), "str": pa.string(), "float": pa.float64()}

Row = TypeVar("Row", SourceRow, ParsedRow)


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
    except (pa.ArrowException, OSError, TypeError) as error:
        raise StoreError(f"The table {store.uri(key)} is damaged: {error}") from error


def places(store: ObjectStore, asset: str, revision: str | None = None) -> list[tuple[str, str]]:
    """Return parser revision and batch of every table of an asset, of one revision or of all; none is opened."""
    found = (layout.table_place(item.key) for item in store.list(layout.tables_prefix(asset, revision)))
    return [place for place in found if place is not None]


def scan(
    store: ObjectStore, asset: str, where: Iterable[tuple[str, str]], columns: Sequence[str]
) -> Iterator[tuple[str, str, Mapping[str, list[Any]]]]:
    """Yield revision, batch and these columns of each table; one that is removed meanwhile is passed over.

    Raises:
        StoreError: the store cannot be used, or a table in it is damaged.
    """

    def one(place: tuple[str, str]) -> tuple[str, str, Mapping[str, list[Any]]] | None:
        try:
            return (*place, read_columns(store, asset, *place, columns))
        except ObjectNotFoundError:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from (table for table in pool.map(one, where) if table is not None)


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
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StoreError(f"The table {store.uri(key)} is damaged: {error}") from error


def _table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or these columns of it, in the calling thread alone.

    Arrow's own threads let go of the bytes only after a read has returned, and need the interpreter for it: in a
    process that ends at that moment they abort it (apache/arrow#34314) or hang it (apache/arrow#50482).
    """
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)
