"""The assets and checks of quality, run as Dagster runs them, on a small corpus and the simulated server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import ModelServer
from measured import measurement as made_up
from measured import store_corpus, truth, unparsed

from assets.quality import no_new_catastrophes, not_below
from mineru_pipeline import launch, settings
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.quality import baselines, measurements
from mineru_pipeline.quality.baselines import Acceptance
from mineru_pipeline.quality.examination import examine
from mineru_pipeline.quality.measurements import Selection
from mineru_pipeline.settings import LoadedSettings, project_root
from mineru_pipeline.storage import FilesystemStore, ObjectStore
from resources.documents import open_store
from sensors.quality import NO_MODEL, QUALITY_JOB, evaluate

pytestmark = pytest.mark.timeout(300)

Environment = Callable[[ModelServer | str], dict[str, str]]
SAMPLE = Selection(sample=1)


@pytest.fixture
def loaded(tmp_path: Path, environment: Environment, model_server: ModelServer) -> LoadedSettings:
    """Settings as in a file, because a run reads them again."""
    environ = environment(model_server)
    file = tmp_path / "settings.yaml"
    values = {
        "data_dir": environ["MINERU_PIPELINE__DATA_DIR"],
        "vllm_server": {"base_url": model_server.url, "model": environ["MINERU_PIPELINE__VLLM_SERVER__MODEL"]},
    }
    file.write_text(json.dumps(values))
    return settings.load(file, environ={})


def run(
    loaded: LoadedSettings, instance: dg.DagsterInstance, job: dg.JobDefinition | None = None
) -> dg.ExecuteInProcessResult:
    job = job or build_definitions().resolve_job_def(QUALITY_JOB)
    config: dict[str, Any] = launch.run_resources(loaded.config_file, loaded.settings.store_address)
    config["resources"]["meter"] = {"config": {"sample": 1}}
    return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)


def accept_latest(store: ObjectStore, version: str) -> None:
    """Accept the newest measurement, as if it were of all documents."""
    made = measurements.latest(store, version)
    assert made is not None
    scores = measurements.scores_of(store, made)
    acceptance = Acceptance("me", "why", "2026-01-01T00:00:00Z")
    baselines.write(store, baselines.record("first", replace(made, selection=Selection()), scores, acceptance))


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_a_run_measures_and_the_checks_judge_it(loaded: LoadedSettings) -> None:
    """All four assets are made; an invented text fails the blocking check, and without a baseline the other warns."""
    store = open_store(loaded.settings)
    version = measurements.corpus_version_of(SAMPLE)
    store_corpus(store, [truth(1), truth(2)], SAMPLE, version)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(loaded, instance)
        accept_latest(store, version)
        second = run(loaded, instance)
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(checks) == {"quality_not_below_baseline", "no_catastrophic_pages", "thresholds_calibrated"}
    # Two documents prove nothing against the bands; that they were calibrated with another server is said.
    bands = checks["thresholds_calibrated"]
    assert (bands.severity, bands.blocking) == (dg.AssetCheckSeverity.WARN, False)
    assert "of 2 documents" in (bands.description or "")
    assert "calibrated with mineru-pipeline/dev-ocr-1 (a stand-in)" in (bands.description or "")
    below, pages = checks["quality_not_below_baseline"], checks["no_catastrophic_pages"]
    assert (below.passed, below.severity, below.blocking) == (False, dg.AssetCheckSeverity.WARN, True)
    assert "baseline accept" in (below.description or "")
    assert (pages.passed, pages.severity, pages.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert not result.success
    corpus, parse = metadata(result, "baseline_corpus"), metadata(result, "baseline_parse")
    assert (corpus["version"], corpus["documents"], corpus["seed"]) == (version, 2, "baseline, sample-1")
    assert (parse["unparsed"], parse["parsed"]) == (0, 2)
    scores, report = metadata(result, "quality_scores"), metadata(result, "quality_report")
    assert 0 <= scores["text"] <= 1
    assert "not MinerU2.5" in scores["remark"]
    assert (report["decision"], report["measurement"]) == ("no baseline", parse["measurement"])
    assert b"made-up-01" in Path(report["report"].removeprefix("file://")).read_bytes()
    assert "Not MinerU2.5" in report["preview"]
    # Each run is a measurement of its own; against what is accepted now, the same pages are catastrophic as before.
    other = metadata(second, "quality_report")
    assert other["measurement"] != report["measurement"]
    assert (other["decision"], other["baseline"], other["different_documents"]) == ("inconclusive", "first", 0)
    again = {each.check_name: each for each in second.get_asset_check_evaluations()}
    assert again["no_catastrophic_pages"].passed
    assert "inconclusive against first" in (again["quality_not_below_baseline"].description or "")
    assert second.success


def test_a_rejected_measurement_is_an_error_and_an_accepted_one_passes(tmp_path: Path) -> None:
    """Reject blocks; accept passes; in doubt the check warns and does not block."""
    store = FilesystemStore(tmp_path)
    corpus = store_corpus(store, [truth(number) for number in range(70)])
    good = made_up(store, corpus)
    record = baselines.record("first", good, measurements.score(store, good), Acceptance("me", "why", "2026-01-01"))
    bad = made_up(store, corpus, "20270102T030405Z-11111111", unparsed)
    measurements.score(store, bad)
    small = made_up(store, store_corpus(store, [truth(0)], SAMPLE), "20280102T030405Z-11111111")
    measurements.score(store, small)
    found = [examine(store, each, [record]) for each in (good, bad, small)]
    results = [not_below(each, [record]) for each in found]
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    assert [(each.passed, each.severity) for each in results] == [(True, warn), (False, error), (False, warn)]
    pages = [no_new_catastrophes(each) for each in found]
    assert [each.passed for each in pages] == [True, False, True]
    assert {each.severity for each in pages} == {error}
    assert pages[1].metadata["unparsed"] == dg.MetadataValue.int(70)


def test_the_schedule_measures_a_model_and_no_stand_in_of_its_own(loaded: LoadedSettings) -> None:
    """It requests a run where a server is set and the extra is there, and else says what is missing."""
    request = evaluate(loaded)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["resources"]["settings"]["config"]["store_root"] == loaded.settings.store_address
    without = settings.load(environ={}, overrides={"data_dir": "/nowhere"})
    skipped = evaluate(without)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == NO_MODEL
    lacking = evaluate(loaded, missing=lambda: ["scipy"])
    assert isinstance(lacking, dg.SkipReason)
    assert "mineru-pipeline[quality]" in (lacking.skip_message or "")


def test_a_check_of_the_report_can_be_run_again_by_itself(loaded: LoadedSettings) -> None:
    """Both are one step that judges once; one of them alone looks at the newest measurement, and blocks as before."""
    store = open_store(loaded.settings)
    store_corpus(store, [truth(1)], SAMPLE, measurements.corpus_version_of(SAMPLE))
    alone = dg.AssetCheckKey(dg.AssetKey("quality_report"), "no_catastrophic_pages")
    job = build_definitions().resolve_job_def(QUALITY_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(loaded, instance)
        again = run(loaded, instance, job.get_subset(asset_selection=set(), asset_check_selection={alone}))
    steps = {event.step_key for event in first.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"}
    assert steps == {"quality_report_checks", "quality_scores_thresholds_calibrated"}
    (found,) = again.get_asset_check_evaluations()
    assert (found.check_name, found.passed, found.blocking) == ("no_catastrophic_pages", False, True)
    assert not again.success
    assert len(measurements.begun(store, measurements.corpus_version_of(SAMPLE))) == 1


_WITHOUT_EXTRA = """
import sys
for name in ("apted", "rapidfuzz", "reportlab", "scipy", "ziamath"):
    sys.modules[name] = None
import dagster as dg
from mineru_pipeline.definitions import build_definitions
job = build_definitions().resolve_job_def("measure_quality")
with dg.DagsterInstance.ephemeral() as instance:
    result = job.execute_in_process(instance=instance, raise_on_error=False)
(failure,) = result.filter_events(lambda event: event.is_step_failure)
print(failure.step_failure_data.user_failure_data.description)
"""


def test_a_worker_without_the_extra_loads_all_and_says_what_to_install(tmp_path: Path) -> None:
    """The code location is whole in the base install; the asset fails with the command that helps."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRA],
        cwd=project_root(),
        env={"PATH": "", "HOME": str(tmp_path), "MINERU_PIPELINE__DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "pip install 'mineru-pipeline[quality]'" in done.stdout, done.stderr
