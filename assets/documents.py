"""The intake of a batch as an asset: every manifest entry read, hashed and probed."""

from collections import Counter
from dataclasses import asdict

import dagster as dg

from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.launch import explained_failures
from mineru_pipeline.parsing import ledger
from resources.documents import DocumentStore
from resources.parsing import DocumentParser

#: A partition is a batch, never a document: a million documents are a few thousand partitions.
#:
#: Its assets have no backfill policy on purpose: a backfill over a range is then a run a batch, with its partition.
#: With `multi_run(1)` each would have a range of one, and its history is looked for by the partition.
document_batches = dg.DynamicPartitionsDefinition(name="document_batches")


@dg.asset(partitions_def=document_batches, group_name="parsing", kinds={"pdf"})
def source_documents(
    context: dg.AssetExecutionContext, store: DocumentStore, parser: DocumentParser
) -> dg.MaterializeResult[None]:
    """The documents of a batch with their identity, and for those that cannot be parsed the reason."""
    batch = context.partition_key
    with explained_failures():
        rows = parser.examine(batch)
        revision = parser.revisions().parser
        key = ledger.write(store.open(), ledger.SOURCE_DOCUMENTS, revision, batch, rows, SourceRow)
    return dg.MaterializeResult(metadata=source_metadata(rows, key))


def source_metadata(rows: list[SourceRow], key: str) -> dict[str, dg.MetadataValue]:
    """What the UI shows of an intake."""
    states = Counter(row.state for row in rows)
    shown = [_record(row) for row in rows[:500]]
    metadata: dict[str, dg.MetadataValue] = {
        "entries": dg.MetadataValue.int(len(rows)),
        "distinct": dg.MetadataValue.int(len({(row.tenant, row.sha256 or f"{row.entry}") for row in rows})),
        "pages": dg.MetadataValue.int(sum(row.pages for row in rows if row.duplicate_of is None)),
        "table": dg.MetadataValue.text(key),
        **{state: dg.MetadataValue.int(count) for state, count in sorted(states.items())},
    }
    if shown:
        metadata["documents"] = dg.MetadataValue.table([dg.TableRecord(record) for record in shown])
    return metadata


def _record(row: SourceRow) -> dict[str, str | int]:
    wanted = asdict(row)
    names = ("uri", "state", "reason", "message", "pages", "size", "sha256", "duplicate_of")
    return {name: wanted[name] if wanted[name] is not None else "" for name in names}
