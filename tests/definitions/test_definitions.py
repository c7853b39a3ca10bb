"""The definitions as Dagster's own servers load them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from conftest import ModelServer, pdf
from s3_server import S3Server
from webserver import Webserver, serving

from bench.ports import free_port
from mineru_pipeline import launch
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.settings import load, project_root

Environment = Callable[[ModelServer | str], dict[str, str]]
DAGSTER = Path(sys.executable).with_name("dagster")

SNAPSHOT = {
    "assets": [
        "baseline_corpus",
        "baseline_parse",
        "bucket_reconciliation",
        "parsed_documents",
        "quality_report",
        "quality_scores",
        "quarantine",
        "source_documents",
    ],
    "checks": [
        "bucket_reconciliation:nothing_missing",
        "parsed_documents:every_document_accounted_for",
        "parsed_documents:failure_rate_within_limit",
        "parsed_documents:no_degenerate_output",
        "parsed_documents:no_drift",
        "parsed_documents:page_count_preserved",
        "parsed_documents:text_layer_agreement",
        "quality_report:no_catastrophic_pages",
        "quality_report:quality_not_below_baseline",
        "quality_scores:thresholds_calibrated",
    ],
    "jobs": ["measure_quality", "parse_batch", "reconcile_buckets"],
    "schedules": ["backfills", "daily_reconciliation", "nightly_quality"],
    "sensors": [
        "announced_documents",
        "dead_runs",
        "document_results",
        "failed_runs",
        "unfinished_batches",
        "watched_buckets",
    ],
}


def test_the_code_location_offers_exactly_this() -> None:
    """Nothing appears in, or disappears from, the code location unnoticed."""
    repository = build_definitions().get_repository_def()
    found = {
        "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
        "checks": sorted(
            f"{key.asset_key.to_user_string()}:{key.name}" for key in repository.asset_graph.asset_check_keys
        ),
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }
    assert found == SNAPSHOT


def test_every_asset_writes_its_own_files() -> None:
    """No output goes through the pickling IO manager: the store holds no pickles."""
    for key in build_definitions().resolve_all_asset_specs():
        assert key.metadata.get("dagster/io_manager_key") is None
    for asset in build_definitions().assets or []:
        if isinstance(asset, dg.AssetSpec):
            # Nothing runs for it.
            continue
        (output,) = asset.node_def.output_defs  # type: ignore[union-attr]  # an AssetsDefinition
        assert output.dagster_type.kind.name in {"NOTHING", "ANY"}
        assert output.dagster_type.typing_type is type(None)


def test_the_names_of_the_launcher_are_those_of_the_workspace() -> None:
    """A run started by the command points the UI to the location that workspace.yaml loads."""
    text = (project_root() / "workspace.yaml").read_text()
    assert f"module_name: {launch.MODULE}" in text
    assert f"attribute: {launch.ATTRIBUTE}" in text
    assert f"location_name: {launch.LOCATION}" in text


def test_dagster_validates_the_workspace(tmp_path: Path, environment: Environment) -> None:
    """``dagster definitions validate`` passes, without a server, a store or a setting."""
    environ = environment("http://127.0.0.1:9") | {"DAGSTER_HOME": str(tmp_path)}
    command = [str(DAGSTER), "definitions", "validate", "-w", str(project_root() / "workspace.yaml")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def environ(tmp_path: Path, model_server: ModelServer, environment: Environment) -> dict[str, str]:
    return environment(model_server) | {"MINERU_PIPELINE__DAGSTER__WEBSERVER_PORT": str(free_port())}


@pytest.fixture
def webserver(tmp_path: Path, environ: dict[str, str]) -> Iterator[Webserver]:
    with serving(tmp_path, environ) as server:
        yield server


@pytest.mark.timeout(400)
def test_runs_of_the_command_are_in_the_ui_and_can_be_executed_again(
    tmp_path: Path, environ: dict[str, str], webserver: Webserver
) -> None:
    """The UI shows the command's run with its metadata, and *Re-execute* works on it."""
    (tmp_path / "a.pdf").write_bytes(pdf("one", "two"))
    command = [
        sys.executable,
        "-m",
        "mineru_pipeline.cli",
        "run",
        str(tmp_path / "a.pdf"),
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run([*command, "--json"], env=environ, capture_output=True, text=True, check=True, timeout=120)
    (parent,) = json.loads(done.stdout.splitlines()[-1])["runs"]
    assert webserver.runs() == [{"runId": parent, "status": "SUCCESS"}]

    materialized = webserver.ask(
        '{assetOrError(assetKey:{path:["parsed_documents"]}){... on Asset{assetMaterializations(limit:1)'
        "{partition metadataEntries{label __typename}}}}}"
    )
    (event,) = materialized["assetOrError"]["assetMaterializations"]
    labels = {entry["label"] for entry in event["metadataEntries"]}
    assert {"documents", "preview", "thumbnail", "pages_per_second", "parsed", "failed"} <= labels

    launched = webserver.ask(
        "mutation($p: ReexecutionParams!){launchRunReexecution(reexecutionParams:$p)"
        "{__typename ... on LaunchRunSuccess{run{runId}}}}",
        p={"parentRunId": parent, "strategy": "ALL_STEPS"},
    )["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    child = launched["run"]["runId"]

    def ended() -> bool:
        return {run["runId"]: run["status"] for run in webserver.runs()}[child] in {"SUCCESS", "FAILURE", "CANCELED"}

    webserver.wait_for(ended)
    assert {run["runId"]: run["status"] for run in webserver.runs()} == {parent: "SUCCESS", child: "SUCCESS"}
    # It worked on the parent's store, although the webserver was started without --out.
    settings = load(environ={k: v for k, v in environ.items() if k.startswith("MINERU_PIPELINE__")}).settings
    assert not settings.store_root.exists()


@pytest.mark.timeout(400)
def test_an_upload_is_parsed_by_itself(tmp_path: Path, environ: dict[str, str], s3: S3Server, bucket: str) -> None:
    """With the daemon running, an object put into a watched bucket is parsed by a run that nobody started."""
    data = pdf("one", "two")
    s3.client.put_object(bucket, "in/a b.pdf", io.BytesIO(data), len(data))
    watching = {
        **environ,
        **s3.environment(bucket, "store"),
        "MINERU_PIPELINE__INTAKE__BUCKETS": bucket,
        "MINERU_PIPELINE__INTAKE__WATCH": f"{bucket}/in/",
    }
    with serving(tmp_path, watching) as webserver:
        webserver.wait_for(lambda: any(run["status"] in {"SUCCESS", "FAILURE"} for run in webserver.runs()))
        assert [run["status"] for run in webserver.runs()] == ["SUCCESS"]
    (result,) = [info.key for info in s3.store(bucket, "store").list("parsed/") if info.key.endswith("/result.json")]
    assert json.loads(s3.store(bucket, "store").get(result))["uri"] == f"s3://{bucket}/in/a%20b.pdf"
