"""``mineru-pipeline batches``: batches that wait for somebody are shown, and started again by the sensors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mineru_pipeline import launch
from mineru_pipeline.cli import app
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.launch import JOB, PARTITIONS, TAG_COMMAND
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.backoff import RUNS
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.settings import LoadedSettings, load
from mineru_pipeline.storage import layout
from resources.documents import open_store
from resources.parsing import revisions_of
from sensors import backfills, batches

FAILURE, CANCELED, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS
ROW = ParsedRow(0, "s3://b/a.pdf", None, None, "parsed", "", "", 1, 1, 0, 0, 0.0, 0, None, "", "default")


@dataclass(frozen=True)
class Desk:
    """A store and an instance with batches, and the command on them."""

    environ: dict[str, str]
    loaded: LoadedSettings
    instance: dg.DagsterInstance

    def batch(self, day: int, *statuses: dg.DagsterRunStatus, origin: str = "kafka", tag: str = "") -> str:
        """A batch with these runs, the first one first."""
        key = f"202601{day:02}T000000Z-0123456789ab"
        ref = DocumentRef(ROW.uri, None, None, None, "2026-01-01T00:00:00Z", origin)
        write_manifest(open_store(self.loaded.settings), BatchManifest(key, "default", (ref,)))
        self.instance.add_dynamic_partitions(PARTITIONS, [key])
        for status in statuses:
            self.run(key, status, tag)
        return key

    def run(self, batch: str, status: dg.DagsterRunStatus, tag: str = "") -> None:
        tags = {"dagster/partition": batch} | ({tag: "run"} if tag else {})
        self.instance.add_run(dg.DagsterRun(job_name=JOB, status=status, tags=tags))

    def table(self, batch: str, revision: str = "") -> str:
        """A table of the batch, of the present revision by default; its key."""
        revision = revision or revisions_of(self.loaded.settings).parser
        self.instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))
        return ledger.write(open_store(self.loaded.settings), PARSED_DOCUMENTS, revision, batch, [ROW], ParsedRow)

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["batches", *arguments], env=self.environ)

    def answer(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.command(*arguments, "--json")
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def states(self) -> dict[str, str]:
        return {each["batch"]: each["state"] for each in self.answer("list")["batches"]}

    def started(self) -> list[str]:
        """What sensor and schedule would start now."""
        store = open_store(self.loaded.settings)
        first = batches.evaluate(self.instance, self.loaded, store, "", time.time()).run_requests or []
        second = backfills.evaluate(self.instance, self.loaded, store, time.time())
        requests = [*first, *(second if isinstance(second, list) else [])]
        return [request.partition_key or "" for request in requests]


@pytest.fixture
def desk(tmp_path: Path, environment: Callable[[str], dict[str, str]]) -> Iterator[Desk]:
    environ = environment("http://127.0.0.1:9")
    loaded = load(environ={name: value for name, value in environ.items() if name.startswith("MINERU_PIPELINE__")})
    assert tmp_path in loaded.settings.data_dir.parents
    with launch.open_instance(loaded.settings) as instance:
        yield Desk(environ, loaded, instance)


def test_the_list_says_which_batches_wait_for_somebody(desk: Desk) -> None:
    """Those whose retries are spent, that were cancelled, or are the command's; others are tried again by sensors."""
    spent = desk.batch(1, *[FAILURE] * RUNS.most_attempts)
    failed, cancelled = desk.batch(2, FAILURE), desk.batch(3, FAILURE, CANCELED)
    command = desk.batch(4, FAILURE, tag=TAG_COMMAND)
    desk.table(desk.batch(5, FAILURE))
    desk.batch(6), desk.batch(7, FAILURE, SUCCESS), desk.batch(8, FAILURE, dg.DagsterRunStatus.STARTED)
    assert desk.states() == {spent: "spent", failed: "retrying", cancelled: "cancelled", command: "command"}
    found = desk.answer("list")
    assert (found["waiting_for_somebody"], found["dagster"], found["cut"]) == (3, True, False)
    assert {each["batch"]: each["failures"] for each in found["batches"]}[spent] == RUNS.most_attempts
    text = desk.command("list").stdout
    assert "4 batches whose latest run failed; 3 of them wait for somebody" in text
    assert "its retries are spent" in text
    overview = CliRunner().invoke(app, ["status"], env=desk.environ).stdout
    assert "3 of those failed wait for somebody: mineru-pipeline batches list" in overview
    one = CliRunner().invoke(app, ["status", spent], env=desk.environ).stdout
    assert "next run    none: its retries are spent" in one


def test_a_restart_starts_a_spent_batch_with_all_its_attempts(desk: Desk) -> None:
    """At once, and once; when it fails again, it is tried again by itself as a new one is."""
    spent, cancelled = desk.batch(1, *[FAILURE] * RUNS.most_attempts), desk.batch(2, CANCELED)
    assert desk.started() == []
    assert desk.answer("restart", "--all") == {"restarted": [spent], "left_out": {}}
    assert (desk.states()[spent], desk.started()) == ("restarted", [spent])
    assert desk.answer("list")["waiting_for_somebody"] == 1
    desk.run(spent, dg.DagsterRunStatus.NOT_STARTED)
    assert desk.started() == []
    desk.instance.delete_run(desk.instance.get_runs(limit=1)[0].run_id)
    desk.run(spent, FAILURE)
    assert desk.states() == {spent: "retrying", cancelled: "cancelled"}
    assert {each["batch"]: each["failures"] for each in desk.answer("list")["batches"]}[spent] == 1


@pytest.mark.parametrize("kind", ["cancelled", "command", "never run", "stale", "damaged", "damaged in part"])
def test_a_batch_is_restarted_by_name_whatever_keeps_it_from_running(desk: Desk, kind: str) -> None:
    """Cancelled, the command's, without partition, given up under a new revision, or behind a table that is damaged."""
    statuses = {"cancelled": [CANCELED], "never run": [], "command": [FAILURE]}
    runs = [SUCCESS] if kind.startswith("damaged") else statuses.get(kind, [FAILURE] * RUNS.most_attempts)
    batch = desk.batch(1, *runs, tag=TAG_COMMAND if kind == "command" else "")
    if kind == "never run":
        desk.instance.delete_dynamic_partition(PARTITIONS, batch)
    if kind == "stale" or kind.startswith("damaged"):
        key = desk.table(batch, "earlier" if kind == "stale" else "")
        if kind.startswith("damaged"):
            store = open_store(desk.loaded.settings)
            uri = ROW.uri.encode()
            store.put(key, b"PAR1" if kind == "damaged" else store.get(key).replace(uri, b"\xff" * len(uri)))
    assert desk.started() == []
    assert desk.answer("restart", batch)["restarted"] == [batch]
    if kind == "never run":
        # The sensor gives whoever has just fixed a batch ten minutes.
        assert desk.instance.has_dynamic_partition(PARTITIONS, batch)
    else:
        assert desk.started() == [batch]
    if kind.startswith("damaged"):
        assert not open_store(desk.loaded.settings).exists(
            layout.table_key(PARSED_DOCUMENTS, revisions_of(desk.loaded.settings).parser, batch)
        )


def test_what_nobody_would_start_is_left_out_and_named(desk: Desk) -> None:
    """Done, under way, not here, or the command's without a run: the exit code is 1, and the others go on."""
    done, going = desk.batch(1, FAILURE), desk.batch(2, FAILURE, dg.DagsterRunStatus.STARTED)
    key = desk.table(done)
    folder, failed = desk.batch(3, origin="folder"), desk.batch(4, FAILURE)
    missing = "20260105T000000Z-0123456789ab"
    found = desk.answer("restart", done, going, folder, missing, failed, code=1)
    assert found["restarted"] == [failed]
    says = {done: "has its table", going: "queued or going on", folder: "command again", missing: "no such batch"}
    assert {batch: says[batch] in reason for batch, reason in found["left_out"].items()} == dict.fromkeys(says, True)
    assert open_store(desk.loaded.settings).exists(key)


@pytest.mark.parametrize("arguments", [["restart"], ["restart", "--all", "20260105T000000Z-0123456789ab"]])
def test_an_unclear_choice_restarts_nothing(desk: Desk, arguments: list[str]) -> None:
    """Neither all nor none is guessed; the exit code is 2."""
    done = desk.command(*arguments)
    assert (done.exit_code, "--all" in done.output) == (2, True), done.output


def test_looking_makes_no_instance(tmp_path: Path, environment: Callable[[str], dict[str, str]]) -> None:
    """Before the first run there is nothing to show, and it says why."""
    done = CliRunner().invoke(app, ["batches", "list"], env=environment("http://127.0.0.1:9"))
    assert (done.exit_code, "no Dagster instance here yet" in done.output) == (0, True), done.output
    assert not (tmp_path / "data").exists()
