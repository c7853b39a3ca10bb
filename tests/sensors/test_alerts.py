"""Failed runs are told to a webhook, and trouble with it stays small."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mineru_pipeline import launch, settings
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.errors import OutageError, SettingsError
from mineru_pipeline.parsing.backoff import RUNS
from resources.documents import PipelineSettings, open_store
from resources.parsing import revisions_of
from sensors.alerts import evaluate, failed_runs


@dataclass
class Webhook:
    """A receiver that answers with the next of its statuses, and 204 after the last."""

    statuses: list[int]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def webhook(*statuses: int) -> Iterator[Webhook]:
    hook = Webhook(list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook-t0ken"
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()


def tell(tmp_path: Path, error: Exception, **changes: Any) -> tuple[str, str, list[float]]:
    """The reason of the tick, the id of a run that failed by ``error``, and the pauses that were made."""

    @dg.op
    def breaks() -> None:
        raise error

    @dg.job
    def some_job() -> None:
        breaks()

    values = {"data_dir": tmp_path, **{f"alerts.{name}": value for name, value in changes.items()}}
    found = settings.load(environ={}, overrides=values).settings
    pauses: list[float] = []
    with dg.DagsterInstance.ephemeral() as instance:
        result = some_job.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "b"})
        context = dg.build_run_status_sensor_context(
            "failed_runs", result.get_run_failure_event(), instance, result.dagster_run
        ).for_run_failure()
        reason = evaluate(context, found, sleep=pauses.append)
    return str(reason.skip_message), result.run_id, pauses


def test_a_failed_run_is_told(tmp_path: Path) -> None:
    """With its id, job, batch, the sentence of our own error, and a link."""
    with webhook() as hook:
        _, run_id, _ = tell(
            tmp_path, OutageError("Start the server."), webhook_url=hook.url, link_base="http://ui.example/"
        )
    assert hook.bodies == [
        {
            "event": "run-failed",
            "run_id": run_id,
            "job": "some_job",
            "batch": "b",
            "error": "Start the server.",
            "text": hook.bodies[0]["text"],
            "attempt": 1,
            "next_attempt": hook.bodies[0]["next_attempt"],
            "link": f"http://ui.example/runs/{run_id}",
        }
    ]


def test_texts_of_other_errors_stay_in_the_house(tmp_path: Path) -> None:
    """They may hold words of a document, so only their class is told."""
    with webhook() as hook:
        tell(tmp_path, ValueError("words of a document"), webhook_url=hook.url)
    (body,) = hook.bodies
    assert body["error"].startswith("ValueError in breaks")
    assert "words" not in str(body)
    assert body["link"] is None


def test_an_explained_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    """What assets turn into a Dagster failure is still the pipeline's sentence."""
    failure: Exception
    try:
        with launch.explained_failures():
            raise OutageError("Start the server.")
    except dg.Failure as error:
        failure = error
    with webhook() as hook:
        tell(tmp_path, failure, webhook_url=hook.url)
    assert hook.bodies[0]["error"] == "Start the server."


def test_dagster_calls_the_sensor_for_a_failed_run(tmp_path: Path) -> None:
    """As the daemon does, with the settings of a file: one post, and its cursor moves on."""
    repository = build_definitions().get_repository_def()
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        file = tmp_path / "settings.yaml"
        file.write_text(json.dumps({"alerts": {"webhook_url": hook.url}}))
        resources = {"settings": PipelineSettings(config_file=str(file))}

        def tick(cursor: str | None) -> str | None:
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, repository_def=repository, resources=resources
            ) as context:
                return failed_runs.evaluate_tick(context).cursor

        cursor = tick(None)
        run = dg.DagsterRun(job_name=launch.JOB, tags={"dagster/partition": "b"})
        instance.add_run(run)
        instance.report_run_failed(run, "its process is gone")
        later = tick(cursor)
        tick(later)
    assert [(body["job"], body["batch"]) for body in hook.bodies] == [(launch.JOB, "b")]
    assert "without saying why" in hook.bodies[0]["error"]


def test_an_error_without_a_text_is_told_by_its_class(tmp_path: Path) -> None:
    """Nothing raises where there is nothing to quote."""
    with webhook() as hook:
        tell(tmp_path, OutageError(""), webhook_url=hook.url)
    assert "OutageError" in hook.bodies[0]["error"]


@pytest.mark.parametrize(
    ("statuses", "requests", "told"),
    [((503,), 2, True), ((503, 500), 2, False), ((429,), 2, True), ((404,), 1, False), ((302,), 1, False)],
)
def test_what_may_pass_is_repeated_once(tmp_path: Path, statuses: tuple[int, ...], requests: int, told: bool) -> None:
    """Overload and failures of the server are; a refusal and a redirection are not, and nothing raises."""
    with webhook(*statuses) as hook:
        reason, _, pauses = tell(tmp_path, OutageError("x"), webhook_url=hook.url)
    assert len(hook.bodies) == requests
    assert len(pauses) == requests - 1
    assert reason.startswith("told that run") is told
    assert "t0ken" not in reason


def test_a_webhook_that_is_away_does_not_raise(tmp_path: Path) -> None:
    """The reason of the tick names the setting, and hides the address."""
    reason, _, pauses = tell(tmp_path, OutageError("x"), webhook_url="http://127.0.0.1:9/t0ken")
    assert "alerts.webhook_url gave no answer" in reason
    assert "t0ken" not in reason
    assert len(pauses) == 1


def test_nobody_is_told_without_a_webhook(tmp_path: Path) -> None:
    """The tick says which setting is missing."""
    assert "alerts.webhook_url is not set" in tell(tmp_path, OutageError("x"))[0]


def test_a_wrong_address_is_refused_unquoted(tmp_path: Path) -> None:
    """The settings say what is wrong without showing it."""
    with pytest.raises(SettingsError, match="must start with http") as caught:
        tell(tmp_path, OutageError("x"), webhook_url="hook.example/t0ken")
    assert "t0ken" not in str(caught.value)


class Batch:
    """A batch whose runs fail one after the other, each of which is told or not."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path, hook: Webhook, **changes: Any) -> None:
        values = {"data_dir": folder, "alerts.webhook_url": hook.url, **changes}
        self.instance, self.settings = instance, settings.load(environ={}, overrides=values).settings
        self.hook = hook

    def fail(self, **tags: str) -> dict[str, Any] | None:
        """What was told of one more failed run, if anything."""
        told = len(self.hook.bodies)
        run = dg.DagsterRun(job_name=launch.JOB, tags={"dagster/partition": "b", **tags})
        self.instance.add_run(run)
        self.instance.report_run_failed(run, "its process is gone")
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, launch.JOB)
        context = dg.build_run_status_sensor_context("failed_runs", event, self.instance, run).for_run_failure()
        evaluate(context, self.settings, sleep=lambda _: None)
        return self.hook.bodies[-1] if len(self.hook.bodies) > told else None

    def parse(self) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition="b"))


def test_a_batch_is_told_of_at_its_first_failure_and_at_its_last(tmp_path: Path) -> None:
    """Which it is, and when the next retry comes, stands in the text; those between are the pipeline's business."""
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook)
        told = [batch.fail() for _ in range(RUNS.most_attempts)]
    first, *between, last = told
    assert first is not None
    assert last is not None
    assert between == [None] * (RUNS.most_attempts - 2)
    assert "First failure of batch b" in first["text"]
    assert f"not before {first['next_attempt']}" in first["text"]
    assert (first["attempt"], last["attempt"], last["next_attempt"]) == (1, RUNS.most_attempts, None)
    assert "the last attempt" in last["text"]
    assert "not tried again by itself" in last["text"]


def test_a_failure_that_nobody_was_told_of_is_told_with_the_next(tmp_path: Path) -> None:
    """A webhook that was away at the first failure does not make the whole series a secret."""
    with webhook(404) as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook)
        batch.fail()
        second = batch.fail()
        assert second is not None
        assert "Failure 2 in a row" in second["text"]
        assert batch.fail() is None


def test_a_re_execution_does_not_inherit_that_somebody_was_told(tmp_path: Path) -> None:
    """Dagster copies the tags of the parent; the failure after a success is a first one again."""
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook)
        batch.fail()
        (parent,) = instance.get_runs()
        success = dg.DagsterRun(
            job_name=launch.JOB, status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/partition": "b"}
        )
        instance.add_run(success)
        again = batch.fail(**parent.tags)
    assert again is not None
    assert again["attempt"] == 1


def test_every_failed_run_of_the_command_is_told(tmp_path: Path) -> None:
    """Nothing repeats it but whoever gave the command, and the text says so."""
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook)
        told = [batch.fail(**{launch.TAG_COMMAND: "run"}) for _ in range(2)]
    assert ["command" in str(body and body["text"]) for body in told] == [True, True]


def test_a_batch_with_its_table_waits_for_its_documents(tmp_path: Path) -> None:
    """A blocking check failed: what is tried again are the documents in the quarantine, if there are any."""
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook)
        batch.parse()
        store = open_store(batch.settings)
        store.put(f"tables/parsed_documents/revision={revisions_of(batch.settings).parser}/batch=b/part-0.parquet", b"")
        assert (batch.fail() or {})["next_attempt"] is None
        at = "2026-01-02T00:00:00Z"
        note = {"uri": "s3://b/a.pdf", "sha256": None, "tenant": "t", "batch": "b", "origin": "kafka"}
        note |= {"reason": "internal", "message": "", "at": at}
        store.put(f"quarantine/{'a' * 64}.json", json.dumps(note).encode())
        assert batch.fail() is None
        switched_off = Batch(instance, tmp_path, hook, **{"backfills.most_runs": 0})
        assert (switched_off.fail() or {})["next_attempt"] is None


def test_a_store_that_is_away_does_not_silence_the_alert(tmp_path: Path) -> None:
    """It cannot be said when the next retry comes, and that is said."""
    with webhook() as hook, dg.DagsterInstance.ephemeral() as instance:
        batch = Batch(instance, tmp_path, hook, **{"storage.backend": "minio"})
        batch.parse()
        body = batch.fail()
    assert body is not None
    assert "could not be found out" in body["text"]


def test_what_dagster_repeats_itself_is_said_to_come_at_once(tmp_path: Path) -> None:
    """A process that died is started again without a pause, as often as dagster.yaml says; then our pauses begin."""
    values = {"data_dir": tmp_path}
    with webhook() as hook, launch.open_instance(settings.load(environ={}, overrides=values).settings) as instance:
        body = Batch(instance, tmp_path, hook).fail()
    assert body is not None
    assert "Dagster starts it again at once" in body["text"]
