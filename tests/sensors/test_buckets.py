"""The sensor that carries what is found in buckets to Dagster."""

from __future__ import annotations

import io
from collections.abc import Callable

import dagster as dg
import pytest
from conftest import pdf
from s3_faults import error, faulty_s3
from s3_server import S3Server

from mineru_pipeline import launch
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.errors import SettingsError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.settings import LoadedSettings
from resources.documents import open_store, open_watch
from resources.parsing import revisions_of
from sensors.buckets import MOST_BATCHES, evaluate, watched_buckets

Load = Callable[..., LoadedSettings]


def put(s3: S3Server, bucket: str, key: str, data: bytes) -> None:
    s3.client.put_object(bucket, key, io.BytesIO(data), len(data))


def test_nothing_to_watch_is_said(load: Load, s3: S3Server) -> None:
    """Without a place to watch the sensor skips, says which setting names one, and asks no server."""
    with dg.build_sensor_context() as context:
        result = evaluate(context, load(intake__watch=[], minio__endpoint="http://127.0.0.1:9"))
    assert isinstance(result, dg.SkipReason)
    assert "intake.watch" in str(result.skip_message)


def test_new_objects_become_runs_that_parse_them(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """From upload to parsed rows: a partition and a run for each batch; the outputs do not come in as documents."""
    for number in range(3):
        put(s3, bucket, f"in/{number} ä.pdf", pdf(f"document {number}"))
    put(s3, bucket, "elsewhere/x.pdf", pdf("not watched"))
    loaded = load()
    with dg.build_sensor_context(instance=instance) as context:
        result = evaluate(context, loaded)
    assert isinstance(result, dg.SensorResult)
    requests = list(result.run_requests or [])
    assert len(requests) == 2
    assert [request.run_key for request in requests] == [request.partition_key for request in requests]
    (added,) = result.dynamic_partitions_requests or []
    assert list(added.partition_keys) == [request.partition_key for request in requests]
    shown = str(requests[0].run_config)
    assert f"s3://{bucket}/store" in shown
    assert s3.secret_key not in shown
    assert s3.access_key not in shown

    store, revision = open_store(loaded.settings), revisions_of(loaded.settings).parser
    for request in requests:
        done = launch.execute_batch(instance, build_definitions(), str(request.partition_key), request.run_config)
        assert (done.parsed, done.error, done.failed_checks) == (True, "", ())
        rows = ledger.read(store, ledger.PARSED_DOCUMENTS, revision, str(request.partition_key), ParsedRow)
        assert {row.state for row in rows} == {"parsed"}

    with dg.build_sensor_context(instance=instance, cursor=result.cursor) as context:
        again = evaluate(context, loaded)
    assert isinstance(again, dg.SensorResult)
    assert (again.run_requests, again.cursor) == ([], result.cursor)
    assert again.skip_reason is not None


def test_an_object_deleted_before_its_run_is_no_failure(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """Its row says that it was deleted; the batch's checks pass, for nothing went wrong."""
    put(s3, bucket, "in/a.pdf", pdf("stays"))
    put(s3, bucket, "in/b.pdf", pdf("goes"))
    loaded = load()
    with dg.build_sensor_context(instance=instance) as context:
        result = evaluate(context, loaded)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    s3.client.remove_object(bucket, "in/b.pdf")
    done = launch.execute_batch(instance, build_definitions(), str(request.partition_key), request.run_config)
    assert (done.parsed, done.failed_checks) == (True, ())
    rows = ledger.read(
        open_store(loaded.settings), ledger.PARSED_DOCUMENTS, revisions_of(loaded.settings).parser,
        str(request.partition_key), ParsedRow,
    )  # fmt: skip
    assert [(row.state, row.reason) for row in rows] == [("parsed", ""), ("rejected", "source-deleted")]


def test_a_tick_without_its_server_fails_in_words(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """The tick fails with what to check, its cursor stays, and the next tick finds everything."""
    put(s3, bucket, "in/a.pdf", pdf("a"))
    with dg.build_sensor_context(instance=instance) as context:
        with pytest.raises(dg.Failure, match="cannot be reached") as caught:
            evaluate(context, load(minio__endpoint="http://127.0.0.1:9"))
        assert s3.secret_key not in str(caught.value)
        result = evaluate(context, load())
    assert isinstance(result, dg.SensorResult)
    assert len(result.run_requests or []) == 1


def test_one_place_that_fails_does_not_fail_the_tick(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """Where another place brought documents, its batches are kept; what failed is in the tick's log."""
    put(s3, bucket, "in/a.pdf", pdf("a"))
    with faulty_s3(s3) as proxy, dg.build_sensor_context(instance=instance) as context:
        proxy.faults = [error(403, "AccessDenied")]
        found = load(intake__watch=[f"{bucket}/denied/", f"{bucket}/in/"], minio__endpoint=proxy.endpoint)
        result = evaluate(context, found)
        assert isinstance(result, dg.SensorResult)
        assert len(result.run_requests or []) == 1


@pytest.mark.parametrize(("prefix", "watch"), [("", "in/"), ("store", "store/parsed/")])
def test_the_store_cannot_be_watched(load: Load, bucket: str, prefix: str, watch: str) -> None:
    """A place within the store would bring in what the pipeline writes, for ever; the settings are refused."""
    with pytest.raises(SettingsError, match="come in as documents"):
        open_watch(load(storage__prefix=prefix, intake__watch=[f"{bucket}/{watch}"]).settings)


def test_a_tick_requests_so_many_runs_at_most(
    load: Load, instance: dg.DagsterInstance, s3: S3Server, bucket: str
) -> None:
    """Batches of one document are requested fifty at a time, and the next tick goes on with the rest."""
    for number in range(MOST_BATCHES + 2):
        put(s3, bucket, f"in/{number:03d}.pdf", b"x")
    loaded, cursor, requested = load(workers__batch_size=1), None, []
    for expected in (MOST_BATCHES, 2, 0):
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            result = evaluate(context, loaded)
        assert isinstance(result, dg.SensorResult)
        assert len(result.run_requests or []) == expected
        requested += [request.run_key for request in result.run_requests or []]
        cursor = result.cursor
    assert len(set(requested)) == MOST_BATCHES + 2


def test_the_sensor_is_on_and_asks_often() -> None:
    """The settings alone decide whether anything is watched; an interrupted tick is made up for within a minute."""
    assert watched_buckets.default_status == dg.DefaultSensorStatus.RUNNING
    assert watched_buckets.minimum_interval_seconds == 30
    assert watched_buckets.job_name == launch.JOB
