"""The reconciliation through Dagster on a real S3 server: what sensors have lost comes back, exactly once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dagster as dg
import pytest
from announcements import event
from conftest import pdf
from kafka_server import KafkaServer
from s3_server import S3Server

from mineru_pipeline import launch
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import layout
from mineru_pipeline.storage.addresses import object_uri
from resources.documents import DocumentStore, PipelineSettings, open_store
from resources.messages import MessageFeed
from resources.parsing import revisions_of
from sensors import buckets, messages
from sensors.reconciling import RECONCILE_JOB, daily_reconciliation, evaluate

Load = Callable[..., LoadedSettings]
STRANGE = [
    "in/a b.pdf", "in/100% + c#?.pdf", "in/%41%2F.pdf", "in/a..b ä€😀.pdf", f"in/{('n' * 222 + '/') * 4}n.pdf",
    "in/plus+plus.PDF",
]  # fmt: skip


@pytest.fixture
def load(load: Load) -> Load:
    """Without grace, and with batches of four."""
    return partial(load, intake__reconcile_grace_seconds=0, workers__batch_size=4, minio__retry_budget_seconds=5)


def put(s3: S3Server, bucket: str, *keys: str) -> None:
    for key in keys:
        data = pdf(f"text of {key}")
        s3.client.put_object(bucket, key, io.BytesIO(data), len(data))


def tick(loaded: LoadedSettings, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    """One look of the sensor; what it requests is stored as the daemon would."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = buckets.evaluate(context, loaded)
    assert isinstance(result, dg.SensorResult)
    launch.add_batches(instance, [str(request.partition_key) for request in result.run_requests or []])
    return result


def parse(loaded: LoadedSettings, instance: dg.DagsterInstance) -> dict[str, str]:
    """Run every batch that has a partition and no table, as ``unfinished_batches`` will; state by address."""
    done = instance.get_materialized_partitions(dg.AssetKey(launch.PARSED_ASSET))
    config = launch.run_resources(loaded.config_file, loaded.settings.store_address)
    for batch in sorted(set(instance.get_dynamic_partitions(launch.PARTITIONS)) - done):
        result = launch.execute_batch(instance, build_definitions(), batch, config)
        assert (result.parsed, result.error) == (True, "")
    store, revision = open_store(loaded.settings), revisions_of(loaded.settings).parser
    rows = [
        row
        for _, batch in ledger.places(store, ledger.PARSED_DOCUMENTS)
        for row in ledger.read(store, ledger.PARSED_DOCUMENTS, revision, batch, ParsedRow)
    ]
    assert len({row.uri for row in rows}) == len(rows), "a document has several rows"
    return {row.uri: row.state for row in rows}


def reconcile(loaded: LoadedSettings, instance: dg.DagsterInstance) -> Mapping[str, Any]:
    """Run the job as the schedule requests it; the metadata of the materialization, as plain values."""
    request = evaluate(loaded)
    assert isinstance(request, dg.RunRequest)
    job = build_definitions().resolve_job_def(RECONCILE_JOB)
    result = job.execute_in_process(run_config=request.run_config, instance=instance)
    (materialization,) = result.asset_materializations_for_node("bucket_reconciliation")
    (check,) = result.get_asset_check_evaluations()
    values = {name: value.value for name, value in materialization.metadata.items()}
    assert check.severity == dg.AssetCheckSeverity.WARN
    return {**values, "passed": check.passed, "verdict": check.description}


def test_what_a_lost_cursor_had_seen_comes_back_exactly_once(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """The cursor says that objects were seen, and their batch is gone: these and no others are requested and parsed."""
    loaded, store = load(), open_store(load().settings)
    put(s3, bucket, "in/kept.pdf", "elsewhere/x.pdf")
    first = tick(loaded, instance, None)
    put(s3, bucket, *STRANGE)
    lost = tick(loaded, instance, first.cursor)
    for request in lost.run_requests or []:
        store.delete(layout.manifest_key(str(request.partition_key)))
        instance.delete_dynamic_partition(launch.PARTITIONS, str(request.partition_key))
    assert not tick(loaded, instance, lost.cursor).run_requests

    kept = object_uri(bucket, "in/kept.pdf")
    assert parse(loaded, instance) == {kept: "parsed"}
    found = reconcile(loaded, instance)
    assert (found["missing"], found["requested"], found["parsed"], found["passed"]) == (len(STRANGE),) * 2 + (1, False)
    assert found["listed"] == len(STRANGE) + 1
    waiting = reconcile(loaded, instance)
    assert (waiting["missing"], waiting["waiting"], waiting["requested"], waiting["passed"]) == (
        0, len(STRANGE), 0, True,
    )  # fmt: skip
    expected = {object_uri(bucket, key) for key in STRANGE} | {kept}
    assert parse(loaded, instance) == dict.fromkeys(expected, "parsed")
    again = reconcile(loaded, instance)
    assert (again["parsed"], again["missing"], again["requested"], again["passed"]) == (len(expected), 0, 0, True)


def test_a_batch_whose_tick_was_lost_gets_its_partition(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """The manifest was written, the sensor died and its cursor was set past it: the batch is run after all."""
    loaded = load()
    put(s3, bucket, "in/a.pdf")
    with dg.build_sensor_context(instance=instance) as context:
        lost = buckets.evaluate(context, loaded)
    assert isinstance(lost, dg.SensorResult)
    assert instance.get_dynamic_partitions(launch.PARTITIONS) == []
    found = reconcile(loaded, instance)
    (request,) = lost.run_requests or []
    assert (found["missing"], found["stranded_batches"]) == (0, [request.partition_key])
    assert parse(loaded, instance) == {object_uri(bucket, "in/a.pdf"): "parsed"}


def test_a_lost_message_is_made_up_for(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str, kafka: KafkaServer
) -> None:
    """Two documents are stored and one announcement never arrives: a bucket that nobody watches is compared as well."""
    topics = {"requests_topic": kafka.topic(), "dead_letter_topic": kafka.topic(), "bootstrap_servers": kafka.servers}
    loaded = load(intake__watch=[], **{f"kafka__{name}": value for name, value in topics.items()})
    put(s3, bucket, "told.pdf", "untold.pdf")
    kafka.send(topics["requests_topic"], [json.dumps(event({"uri": object_uri(bucket, "told.pdf")})).encode()])
    cursor, settings = None, PipelineSettings(config_file=str(loaded.config_file))
    feed = MessageFeed(settings=settings, store=DocumentStore(settings=settings))
    while not instance.get_dynamic_partitions(launch.PARTITIONS):
        result = messages.sensor_result(feed.evaluate(cursor))
        cursor = result.cursor
        launch.add_batches(instance, [str(request.partition_key) for request in result.run_requests or []])
    found = reconcile(loaded, instance)
    assert (found["requested"], found["missing"], found["waiting"]) == (1, 1, 1)
    assert parse(loaded, instance) == {object_uri(bucket, key): "parsed" for key in ("told.pdf", "untold.pdf")}
    assert reconcile(loaded, instance)["requested"] == 0


def test_a_server_that_is_down_fails_the_run_in_words(load: Load, instance: dg.DagsterInstance, bucket: str) -> None:
    """A bucket that does not exist fails the run, with the figures of the others kept on the asset's page."""
    loaded = load(intake__buckets=[bucket, "no-such-bucket-of-ours"], intake__watch=[])
    request = evaluate(loaded)
    assert isinstance(request, dg.RunRequest)
    job = build_definitions().resolve_job_def(RECONCILE_JOB)
    result = job.execute_in_process(run_config=request.run_config, instance=instance, raise_on_error=False)
    assert not result.success
    reason = launch.public_reason(event for event in result.all_events if event.is_step_failure)
    assert "no-such-bucket-of-ours" in reason
    (record,) = instance.fetch_observations(dg.AssetKey("bucket_reconciliation"), limit=2).records
    shown = record.asset_observation
    assert shown is not None
    assert result.run_id in str(shown.description)
    assert shown.metadata["listed"].value == 0
    assert "NoSuchBucket" in str(shown.metadata["failures"].value)


def test_a_damaged_table_fails_the_check_and_not_the_night(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """What is missing is requested all the same; the asset and its check name the table until it is mended."""
    loaded, store = load(), open_store(load().settings)
    put(s3, bucket, "in/a.pdf")
    tick(loaded, instance, None)
    parse(loaded, instance)
    ((revision, batch),) = ledger.places(store, ledger.PARSED_DOCUMENTS)
    key = layout.table_key(ledger.PARSED_DOCUMENTS, revision, batch)
    whole = store.get(key)
    store.put(key, b"PAR1")
    put(s3, bucket, "in/b.pdf")
    for requested in (1, 0):
        found = reconcile(loaded, instance)
        assert (found["requested"], found["unknown"], found["damaged"], found["passed"]) == (requested, 1, 1, False)
        assert batch in found["damaged_objects"][0]
        assert batch in found["verdict"]
    store.put(key, whole)
    mended = reconcile(loaded, instance)
    assert (mended["unknown"], mended["damaged"], mended["passed"]) == (0, 0, True)


def test_without_a_bucket_the_schedule_skips(load: Load) -> None:
    """It is on from the start, and does nothing, and says so, while no bucket is named."""
    assert daily_reconciliation.default_status == dg.DefaultScheduleStatus.RUNNING
    skipped = evaluate(load(intake__buckets=[], intake__watch=[], minio__endpoint=None))
    assert isinstance(skipped, dg.SkipReason)
    assert "intake.buckets" in str(skipped.skip_message)
    request = evaluate(load())
    assert isinstance(request, dg.RunRequest)
    assert "secret" not in str(request.run_config)


def test_a_requested_document_that_goes_before_its_run_is_no_failure(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """As with the sensor, it is rejected as deleted; put back, it is requested once more."""
    loaded, store = load(), open_store(load().settings)
    put(s3, bucket, "in/a.pdf")
    reconcile(loaded, instance)
    s3.client.remove_object(bucket, "in/a.pdf")
    assert parse(loaded, instance) == {object_uri(bucket, "in/a.pdf"): "rejected"}
    assert reconcile(loaded, instance)["gone"] == 1
    put(s3, bucket, "in/a.pdf")
    assert reconcile(loaded, instance)["requested"] == 1
    first, second = (layout.batch_of_manifest(item.key) for item in store.list(layout.MANIFESTS))
    assert read_manifest(store, first).refs[0].identity == read_manifest(store, second).refs[0].identity
