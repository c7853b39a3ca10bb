"""The schedule of backfills asks for what is due, once, in small portions, and shows the quarantine."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from s3_server import S3Server

from mineru_pipeline import launch, runs, settings
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.launch import JOB, PARTITIONS, TAG_BACKFILL, TAG_COMMAND
from mineru_pipeline.parsing import backoff, quarantine, release
from mineru_pipeline.parsing.backfilling import FAILED, STALE
from mineru_pipeline.parsing.ledger import ParsedRow
from resources.documents import PipelineSettings, open_store
from resources.parsing import revisions_of
from sensors import backfills, batches

NOW = time.time()
LATER = 100_000.0


@dataclass(frozen=True)
class Site:
    """An instance, a store and settings, with batches that were parsed."""

    instance: dg.DagsterInstance
    loaded: settings.LoadedSettings

    def parsed(self, batch: str, *, stale: bool = False, here: bool = True, origin: str = "kafka") -> None:
        """A batch that has a table, of this revision or of another, and a manifest here or in another store."""
        store = open_store(self.loaded.settings)
        if here:
            write_manifest(store, BatchManifest(batch, "default", (self.ref(batch, origin),)))
            revision = "earlier" if stale else revisions_of(self.loaded.settings).parser
            store.put(f"tables/parsed_documents/revision={revision}/batch={batch}/part-0.parquet", b"")
        self.instance.add_dynamic_partitions(PARTITIONS, [batch])
        self.instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))

    def ref(self, batch: str, origin: str = "kafka") -> DocumentRef:
        return DocumentRef(f"s3://bucket/{batch}.pdf", None, None, None, "2026-01-01T00:00:00Z", origin)

    def fail(self, batch: str, *, times: int = 1, reason: str = "internal", origin: str = "kafka") -> None:
        """Note that its document failed, so many times up to now."""
        ref = self.ref(batch, origin)
        row = ParsedRow(0, ref.uri, None, None, "failed", reason, "boom", 1, 0, 0, 0, 0.0, 0, None, "", "default")
        for _ in range(times):
            quarantine.record(
                open_store(self.loaded.settings),
                [row],
                [ref],
                batch,
                now=datetime.fromtimestamp(NOW, UTC),
                revision=revisions_of(self.loaded.settings).parser,
            )

    def run(self, batch: str, status: dg.DagsterRunStatus, **tags: str) -> str:
        run_id = str(uuid.uuid4())
        named = {"dagster/partition": batch} | {name.replace("__", "/"): value for name, value in tags.items()}
        self.instance.add_run(dg.DagsterRun(job_name=JOB, run_id=run_id, status=status, tags=named))
        return run_id

    def requests(self, *, later: float = LATER, **changes: Any) -> list[dg.RunRequest]:
        overrides = {"data_dir": self.loaded.settings.data_dir, **changes}
        loaded = settings.load(environ={}, overrides=overrides) if changes else self.loaded
        found = backfills.evaluate(self.instance, loaded, open_store(loaded.settings), NOW + later)
        return found if isinstance(found, list) else []

    def asked(self, *, later: float = LATER, **changes: Any) -> list[tuple[str, str]]:
        requests = self.requests(later=later, **changes)
        return [(request.partition_key or "", request.tags[TAG_BACKFILL]) for request in requests]

    def observations(self) -> list[dg.AssetObservation]:
        records = self.instance.fetch_observations(dg.AssetKey("quarantine"), limit=100).records
        return [record.asset_observation for record in records if record.asset_observation is not None]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    loaded = settings.load(environ={}, overrides={"data_dir": tmp_path})
    with dg.DagsterInstance.ephemeral() as instance:
        yield Site(instance, loaded)


def test_a_batch_of_an_earlier_revision_is_asked_for(site: Site) -> None:
    """The same batch, last in line, with a tag that people can filter by, on the store of the settings."""
    site.parsed("b1")
    site.parsed("b2", stale=True)
    (request,) = site.requests()
    assert (request.partition_key, request.tags) == (
        "b2", {"dagster/priority": "-10", TAG_BACKFILL: STALE},
    )  # fmt: skip
    assert request.run_config["resources"]["settings"]["config"]["store_root"] == site.loaded.settings.store_address


def test_a_batch_with_a_failed_document_is_asked_for_after_its_pause(site: Site) -> None:
    """And with the note's next failure the pause is longer, until its retries are spent."""
    site.parsed("b1")
    site.fail("b1")
    assert site.asked(later=backoff.documents(4).first_pause / 2) == []
    assert site.asked(later=backoff.documents(4).first_pause + 5) == [("b1", FAILED)]
    # The run succeeded, and the document failed once more.
    site.run("b1", dg.DagsterRunStatus.SUCCESS)
    site.fail("b1")
    assert site.asked(later=backoff.documents(4).first_pause + 5) == []
    assert site.asked(later=2 * backoff.documents(4).first_pause + 5) == [("b1", FAILED)]
    site.fail("b1", times=2)
    assert site.asked() == []


@pytest.mark.parametrize("change", [{"reason": "source-changed"}, {"origin": "folder"}])
def test_what_nobody_can_retry_by_itself_is_left_alone(site: Site, change: dict[str, str]) -> None:
    """What cannot end otherwise waits for somebody, and the command's documents for the command."""
    site.parsed("b1")
    site.fail("b1", **change)
    assert site.asked() == []


@pytest.mark.parametrize(("times", "asked"), [(1, [("b1", FAILED)]), (4, [])], ids=["waiting", "given up"])
def test_a_return_to_an_earlier_revision_brings_its_failures_back(
    site: Site, times: int, asked: list[tuple[str, str]]
) -> None:
    """The batch has its table, in which the document failed: it is tried again, or shown to somebody, as before."""
    site.parsed("b1")
    site.fail("b1", times=times)
    ref, store = site.ref("b1"), open_store(site.loaded.settings)
    row = ParsedRow(0, ref.uri, "d" * 64, None, "parsed", "", "", 1, 1, 0, 0, 0.0, 1, None, "", "default")
    quarantine.record(store, [row], [ref], "b1", now=datetime.fromtimestamp(NOW, UTC), revision="another")
    assert release.survey(store).notes == ()
    assert site.asked() == asked
    assert site.observations()[0].metadata["waiting"].value == 1


def test_a_dropped_document_is_not_tried_again(site: Site) -> None:
    """Without its note nothing asks for its batch."""
    site.parsed("b1")
    site.fail("b1")
    store = open_store(site.loaded.settings)
    (note,) = release.survey(store).notes
    release.drop(store, note, by="me", why="", now=datetime.now(UTC))
    assert site.asked() == []


def test_portions_are_small_and_the_oldest_comes_first(site: Site) -> None:
    """So many runs are queued or going on at any time, whatever they are for; what ends makes room."""
    for batch in ("b3", "b1", "b2"):
        site.parsed(batch, stale=True)
    assert site.asked(**{"backfills.most_runs": 2}) == [("b1", STALE), ("b2", STALE)]
    run_id = site.run("b1", dg.DagsterRunStatus.NOT_STARTED, mineru_pipeline__backfill=STALE)
    assert site.asked(**{"backfills.most_runs": 2}) == [("b2", STALE)]
    assert site.asked(**{"backfills.most_runs": 1}) == []
    assert site.asked(**{"backfills.most_runs": 0}) == []
    site.instance.delete_run(run_id)
    assert site.asked(**{"backfills.most_runs": 1}) == [("b1", STALE)]


def test_what_somebody_restarted_comes_first_and_whatever_the_bound(site: Site) -> None:
    """Also where nothing is to come by itself; once its run is there, and fails, that is how it was before."""
    for batch in ("b1", "b2", "b3", "b4"):
        site.parsed(batch, stale=True)
        for _ in range(backoff.RUNS.most_attempts if batch == "b3" else 1):
            site.run(batch, dg.DagsterRunStatus.FAILURE)
    none, one = {"backfills.most_runs": 0}, {"backfills.most_runs": 1}
    assert (site.asked(**none), site.asked(**one)) == ([], [("b1", STALE)])
    runs.restart(site.instance, "b3")
    assert (site.asked(**none), site.asked(**one)) == ([("b3", STALE)], [("b3", STALE)])
    assert site.asked(**{"backfills.most_runs": 2}) == [("b3", STALE), ("b1", STALE)]
    site.run("b3", dg.DagsterRunStatus.FAILURE, mineru_pipeline__backfill=STALE)
    assert (site.asked(**none), site.asked(**one)) == ([], [("b1", STALE)])


def test_many_restarts_do_not_flood_the_queue(site: Site) -> None:
    """A bounded number of them is under way at any time; the others follow."""
    for number in range(3):
        site.parsed(f"b{number}", stale=True)
        site.run(f"b{number}", dg.DagsterRunStatus.FAILURE)
        runs.restart(site.instance, f"b{number}")
    for number in range(backfills.MOST_BY_HAND - 2):
        site.run(f"other{number}", dg.DagsterRunStatus.NOT_STARTED, mineru_pipeline__backfill=STALE)
    assert site.asked(**{"backfills.most_runs": 0}) == [("b0", STALE), ("b1", STALE)]


def test_nothing_is_asked_for_twice(site: Site) -> None:
    """The same state gives the same run keys, and what was asked for is left alone while it is under way."""
    site.parsed("b1", stale=True)
    site.parsed("b2")
    site.fail("b2")
    first, again = site.requests(), site.requests()
    assert [request.run_key for request in first] == [request.run_key for request in again]
    assert len({request.run_key for request in first}) == 2
    for request in first:
        site.run(request.partition_key or "", dg.DagsterRunStatus.NOT_STARTED, mineru_pipeline__backfill=STALE)
    assert site.requests() == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED])
def test_a_batch_under_way_or_unwanted_is_left_alone(site: Site, status: dg.DagsterRunStatus) -> None:
    """Whoever started or cancelled its newest run."""
    site.parsed("b1", stale=True)
    site.run("b1", status)
    assert site.asked() == []


def test_a_run_that_failed_makes_a_pause(site: Site) -> None:
    """In an outage a batch is not asked for with every evaluation."""
    site.parsed("b1", stale=True)
    for _ in range(4):
        site.run("b1", dg.DagsterRunStatus.FAILURE)
    assert site.asked(later=0) == []
    # Dagster's clock goes on while tests before this one run.
    assert site.asked(later=time.time() - NOW + 8 * backoff.RUNS.first_pause + 5) == [("b1", STALE)]


def test_batches_of_the_command_and_of_other_stores_are_left_alone(site: Site) -> None:
    """Whoever gave the command repeats it, and a manifest elsewhere cannot be read here."""
    site.parsed("b1", stale=True)
    site.run("b1", dg.DagsterRunStatus.SUCCESS, **{TAG_COMMAND.replace("/", "__"): "run"})
    site.parsed("b2", stale=True, here=False)
    assert site.asked() == []
    # By hand in the UI somebody has made it the daemon's.
    site.run("b1", dg.DagsterRunStatus.SUCCESS)
    assert site.asked() == [("b1", STALE)]


def test_a_retry_of_the_command_that_failed_again_is_tried_again(site: Site) -> None:
    """`quarantine retry` makes a batch of its own; its documents came from outside, and their rule goes on."""
    site.parsed("r1")
    site.run("r1", dg.DagsterRunStatus.SUCCESS, **{TAG_COMMAND.replace("/", "__"): "run"})
    site.fail("r1")
    assert site.asked() == [("r1", FAILED)]


def test_a_retry_of_the_command_that_died_before_its_table_is_tried_again(site: Site) -> None:
    """The notes speak of its batch already; what the intake announced itself is left to `unfinished_batches`."""
    for batch in ("r1", "b1"):
        site.instance.add_dynamic_partitions(PARTITIONS, [batch])
        write_manifest(open_store(site.loaded.settings), BatchManifest(batch, "default", (site.ref(batch),)))
        site.fail(batch)
    site.run("r1", dg.DagsterRunStatus.FAILURE, **{TAG_COMMAND.replace("/", "__"): "run"})
    site.run("b1", dg.DagsterRunStatus.FAILURE)
    asked = [
        request.partition_key
        for request in batches.evaluate(
            site.instance, site.loaded, open_store(site.loaded.settings), "", time.time() + LATER
        ).run_requests
        or ()
    ]
    assert (site.asked(), asked) == ([("r1", FAILED)], ["b1"])


def test_notes_beyond_those_that_are_looked_at_have_their_turn(site: Site) -> None:
    """Spent ones stay in the quarantine, and would hide the rest from every evaluation."""
    site.parsed("b1")
    site.fail("b1", times=4)
    folder = site.loaded.settings.store_root / "quarantine"
    (spent,) = folder.iterdir()
    for number in range(release.MOST_NOTES):
        (folder / f"{number:064}.json").write_bytes(spent.read_bytes())
    due = json.loads(spent.read_bytes()) | {"attempts": 1}
    (folder / f"{'f' * 64}.json").write_text(json.dumps(due))
    turns = [site.asked(later=LATER + turn * backfills.EVERY_SECONDS) for turn in range(2)]
    assert sorted(turns) == [[], [("b1", FAILED)]]


def test_nothing_stale_opens_nothing(site: Site) -> None:
    """Batches that are as they should be cost listings alone: whoever opened these tables or manifests would fail."""
    store = open_store(site.loaded.settings)
    revision = revisions_of(site.loaded.settings).parser
    for number in range(20):
        site.parsed(f"b{number}")
        store.put(f"tables/parsed_documents/revision={revision}/batch=b{number}/part-0.parquet", b"no table")
        store.put(f"manifests/b{number}.jsonl", b"no manifest")
    assert site.asked() == []


def test_the_quarantine_is_shown_when_it_has_changed(site: Site) -> None:
    """With place, reason, attempts and next retry; where nothing changes, no events pile up.

    An empty quarantine says that nobody waits, instead of an empty page.
    """
    for _ in range(2):
        site.requests()
    (empty,) = site.observations()
    assert (empty.description, empty.metadata["waiting"].value) == ("Nobody waits: the quarantine is empty.", 0)
    site.parsed("b1")
    site.fail("b1")
    for _ in range(3):
        site.requests(later=0)
    shown, _ = site.observations()
    table = shown.metadata["documents"]
    assert isinstance(table, dg.TableMetadataValue)
    (record,) = (record.data for record in table.records)
    due = datetime.fromtimestamp(int(NOW) + backoff.documents(4).first_pause, UTC)
    assert (record["document"], record["reason"], record["attempts"], record["next_retry"]) == (
        "s3://bucket/b1.pdf", "internal", 1, f"after {due:%Y-%m-%dT%H:%M:%SZ}",
    )  # fmt: skip
    assert "boom" not in str(shown.metadata)
    site.fail("b1", times=3)
    site.requests(later=0)
    assert "retries are spent" in str(site.observations()[0].metadata["documents"])
    open_store(site.loaded.settings).delete(release_key(site))
    site.requests(later=0)
    assert site.observations()[0].metadata["waiting"] == dg.MetadataValue.int(0)
    assert site.observations()[0].description == empty.description
    assert len(site.observations()) == 4


def release_key(site: Site) -> str:
    (info,) = open_store(site.loaded.settings).list("quarantine/")
    return info.key


def test_dagster_evaluates_the_schedule(tmp_path: Path) -> None:
    """As the daemon does: run requests with the partition, or a reason that says how things stand."""
    loaded = settings.load(environ={}, overrides={"data_dir": tmp_path})
    resource = PipelineSettings(store_root=loaded.settings.store_address)
    with launch.open_instance(loaded.settings) as instance:
        site = Site(instance, loaded)
        context = dg.build_schedule_context(
            instance=instance,
            repository_def=build_definitions().get_repository_def(),
            resources={"settings": resource},
        )
        empty = backfills.backfills.evaluate_tick(context)
        site.parsed("b1", stale=True)
        (request,) = backfills.backfills.evaluate_tick(context).run_requests or ()
    assert "0 documents in the quarantine" in (empty.skip_message or "")
    assert request.tags["dagster/partition"] == "b1"


def test_a_bucket_is_compared_like_a_folder(tmp_path: Path, s3: S3Server, bucket: str) -> None:
    """Stale tables, notes and batches that never had a run are found by the keys and times of a real S3 server."""
    access = {"minio.endpoint": s3.endpoint, "minio.access_key": s3.access_key, "minio.secret_key": s3.secret_key}
    where = {"storage.backend": "minio", "storage.bucket": bucket, "storage.prefix": "p"}
    loaded = settings.load(environ={}, overrides={"data_dir": tmp_path, **access, **where})
    with dg.DagsterInstance.ephemeral() as instance:
        site = Site(instance, loaded)
        site.parsed("b1", stale=True)
        site.parsed("b2")
        site.fail("b2")
        site.parsed("b3")
        assert site.asked() == [("b1", STALE), ("b2", FAILED)]
        instance.add_dynamic_partitions(PARTITIONS, ["b4"])
        store = open_store(loaded.settings)
        write_manifest(store, BatchManifest("b4", "default", (site.ref("b4"),)))

        def started(later: float) -> list[str]:
            found = batches.evaluate(instance, loaded, store, "", time.time() + later)
            return [request.partition_key or "" for request in found.run_requests or ()]

        assert started(0) == []
        assert started(2 * batches.GRACE_SECONDS) == ["b4"]
