"""What the command learns of a run that did not go as planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from conftest import SIMULATED_MODEL, ModelServer, pdf

from mineru_pipeline import launch
from mineru_pipeline.commands.run import Summary, write_manifests
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.parsing.progress import ProgressEvent, ProgressListener, ignore_progress
from mineru_pipeline.settings import load
from mineru_pipeline.storage import FilesystemStore, layout


@dataclass(frozen=True)
class Bench:
    """One document in a batch, ready to be executed."""

    folder: Path
    server: ModelServer
    instance: dg.DagsterInstance
    store: FilesystemStore

    def execute(self, extra: str = "", listener: ProgressListener = ignore_progress) -> launch.RunResult:
        file = self.folder / "settings.yaml"
        file.write_text(
            f"data_dir: {self.folder}/data\n{extra}\n"
            f"vllm_server: {{base_url: '{self.server.url}', model: {SIMULATED_MODEL}}}\n"
        )
        (self.folder / "a.pdf").write_bytes(pdf("text"))
        (manifest,) = write_manifests([self.folder / "a.pdf"], load(file, environ={}), self.store)
        config = launch.run_config(file, self.store.root)
        return launch.execute_batch(self.instance, build_definitions(listener), manifest.batch, config)


@pytest.fixture
def bench(tmp_path: Path, model_server: ModelServer) -> Iterator[Bench]:
    settings = load(environ={"MINERU_PIPELINE__DATA_DIR": str(tmp_path / "data")}).settings
    with launch.open_instance(settings) as instance:
        yield Bench(tmp_path, model_server, instance, FilesystemStore(settings.store_root))


def test_a_run_in_order_says_so(bench: Bench) -> None:
    """Parsed, without an error, and with the one check that invented answers cannot pass."""
    result = bench.execute()
    assert (result.parsed, result.error, result.interrupted) == (True, "", False)
    assert result.failed_checks == ("text_layer_agreement",)
    assert Summary(failed_checks=list(result.failed_checks)).exit_code == 0


def test_a_check_that_breaks_is_named_and_counts(bench: Bench) -> None:
    """A blocking check that cannot be made is no check passed: it is in the result, and the command fails."""

    def damage(event: ProgressEvent) -> None:
        if event.documents_done == event.documents:
            for item in list(bench.store.list(layout.MANIFESTS)):
                bench.store.put(item.key, b"damaged")

    result = bench.execute(listener=damage)
    assert result.parsed
    (broken,) = (check for check in result.failed_checks if "every_document_accounted_for" in check)
    assert "manifest" in broken
    assert Summary(failed_checks=list(result.failed_checks)).exit_code == 1


def test_the_time_limit_is_named_in_plain_words(bench: Bench) -> None:
    """The reason is the pipeline's own sentence, without the class names of what lay beneath."""
    result = bench.execute("workers: {timeout_seconds: 0.000001}")
    assert not result.parsed
    assert result.error.startswith("the batch took longer than workers.timeout_seconds")


def test_a_store_in_the_way_is_named_in_plain_words(bench: Bench) -> None:
    """A store that cannot be written ends the intake with what to do, not with a class name."""
    tables = bench.store.root / "tables"
    tables.parent.mkdir(parents=True, exist_ok=True)
    tables.write_text("in the way")
    result = bench.execute()
    assert not result.parsed
    assert "tables" in result.error
    assert "Error:" not in result.error


def test_a_failed_document_or_blocking_check_is_an_exit_code_of_its_own() -> None:
    """0 for all ended, 1 for failures, 3 for a stop, 130 for an interruption."""
    assert Summary().exit_code == 0
    assert Summary(failed=1).exit_code == 1
    assert Summary(failed_checks=["failure_rate_within_limit"]).exit_code == 1
    assert Summary(failed_checks=["text_layer_agreement"]).exit_code == 0
    assert Summary(stopped="no room").exit_code == 3
    assert Summary(stopped="interrupted").exit_code == 130
