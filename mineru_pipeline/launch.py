"""Starting runs on a Dagster instance, and noticing the ones whose process is gone."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
from alembic.util.exc import CommandError
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy.exc import SQLAlchemyError

from mineru_pipeline.dagster_defaults import INSTANCE_YAML
from mineru_pipeline.errors import DagsterInstanceError, PipelineError, RunInterruptedError
from mineru_pipeline.settings import ENV_CONFIG_FILE, LoadedSettings, Settings, project_root

logger = logging.getLogger(__name__)

#: As in workspace.yaml: the webserver finds the code of a run by these names.
LOCATION = "mineru_pipeline"
MODULE = "mineru_pipeline.definitions"
ATTRIBUTE = "defs"
REPOSITORY = "__repository__"

JOB = "parse_batch"
PARTITIONS = "document_batches"
PARSED_ASSET = "parsed_documents"
#: Databases take only so many values in one statement.
_ADDED_AT_ONCE = 500
#: Whose runs claim their process, in whatever job.
CLAIMING_ASSETS = frozenset({"source_documents", PARSED_ASSET, "baseline_corpus", "baseline_parse"})
#: Within which a run that has started is claimed, on the busiest machine.
CLAIM_SECONDS = 600.0

#: On runs of the command, and on their re-executions: whoever started one repeats it.
TAG_COMMAND = "mineru_pipeline/command"
#: On runs that the schedule of backfills asked for: why.
TAG_BACKFILL = "mineru_pipeline/backfill"

#: The run that the other tags speak of: a re-execution inherits its parent's tags, not its process.
TAG_RUN = "mineru_pipeline/process_of_run"
TAG_HOST = "mineru_pipeline/host"
TAG_PID = "mineru_pipeline/pid"
TAG_STARTED = "mineru_pipeline/process_started"

UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of the settings; its home is made, with our defaults, where it is missing.

    Raises:
        DagsterInstanceError: the home cannot be made, read or written.
    """
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            config = home / "dagster.yaml"
            if not config.exists():
                config.write_text(INSTANCE_YAML, encoding="utf-8")
            instance = dg.DagsterInstance.from_config(str(home))
            # Opening a storage for the first time creates its schema.
            instance.get_runs_count()
            instance.event_log_storage.get_concurrency_keys()
            return instance
    except (OSError, SQLAlchemyError, CommandError) as error:
        raise _unusable(home, error) from error
    except Exception as error:
        # What PostgreSQL said comes wrapped in an error of dagster-postgres, which a worker need not have.
        if isinstance(error.__cause__, SQLAlchemyError):
            raise _unusable(home, error.__cause__) from error
        raise


def _unusable(home: Path, error: Exception) -> DagsterInstanceError:
    origin = getattr(error, "orig", None)
    reason = str(origin or error).strip().split("\n", 1)[0]
    if type(origin).__module__.startswith("psycopg"):
        what = f"Start the database, or correct storage in {home / 'dagster.yaml'} or the variables that it names."
        return DagsterInstanceError(f"Dagster's database cannot be used: {reason}. {what}")
    what = "Make room, or allow this user to write there, or set dagster.home to another folder."
    return DagsterInstanceError(f"The Dagster home {home} cannot be used: {reason}. {what}")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else on this machine opens the home meanwhile: two first-comers would each create the schema."""
    with (home / ".mineru-pipeline.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def process_tags(run_id: str, pid: int | None = None) -> dict[str, str]:
    """What identifies a run's process for ever: host, pid, and when it started (a pid comes round again)."""
    pid = os.getpid() if pid is None else pid
    return {
        TAG_RUN: run_id,
        TAG_HOST: socket.gethostname(),
        TAG_PID: str(pid),
        TAG_STARTED: _started(pid),
    }


def _started(pid: int) -> str:
    """When the process started, by a clock that nobody can set: boot, and ticks since then.

    psutil's ``create_time`` is wall-clock time and moves when the system's clock is corrected, which
    would declare a living run dead.

    Raises:
        psutil.NoSuchProcess: there is no such process, or only its zombie.
    """
    try:
        # The name of the program, in brackets, may hold anything; the fields after it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(pid) from None
        return repr(process.create_time())
    if fields[0] in {"Z", "X"}:
        raise psutil.NoSuchProcess(pid)
    return f"{boot} {fields[19]}"


def is_dead(run_id: str, tags: Mapping[str, str]) -> bool:
    """Whether the process that executes the run was on this host and is no longer alive.

    A run of another host, or one that no process has claimed yet, is not ours to judge.
    """
    if tags.get(TAG_RUN) != run_id or tags.get(TAG_HOST) != socket.gethostname():
        return False
    try:
        return _started(int(tags[TAG_PID])) != tags.get(TAG_STARTED)
    except (psutil.NoSuchProcess, ValueError):
        return True


def is_unclaimed(record: dg.RunRecord, now: float) -> bool:
    """Whether no process has claimed a run of batches that started long ago.

    The claim comes at once after the start, before any waiting; who died between the two is of no known host.
    """
    run = record.dagster_run
    ours = run.job_name == JOB or any(key.to_user_string() in CLAIMING_ASSETS for key in run.asset_selection or ())
    started = record.start_time or record.update_timestamp.timestamp()
    unclaimed = run.status == dg.DagsterRunStatus.STARTED and run.tags.get(TAG_RUN) != run.run_id
    return ours and unclaimed and started + CLAIM_SECONDS < now


def dead_runs(instance: dg.DagsterInstance, now: float | None = None) -> list[dg.DagsterRun]:
    """Every unfinished run whose process is gone."""
    now = time.time() if now is None else now
    suspects = [
        record.dagster_run
        for record in instance.get_run_records(filters=dg.RunsFilter(statuses=UNFINISHED))
        if is_dead(record.dagster_run.run_id, record.dagster_run.tags) or is_unclaimed(record, now)
    ]
    # A run that ended and left between the two looks is finished, not dead.
    latest = {run.run_id: run for run in (instance.get_run_by_id(run.run_id) for run in suspects) if run is not None}
    return [latest[run.run_id] for run in suspects if run.run_id in latest and latest[run.run_id].status in UNFINISHED]


def fail_dead_runs(instance: dg.DagsterInstance, now: float | None = None) -> list[str]:
    """Mark every dead run as failed, or cancelled where somebody wanted that, and free its pool slots; their ids."""
    dead = dead_runs(instance, now)
    for run in dead:
        claimed = run.tags.get(TAG_RUN) == run.run_id
        where = f"process {run.tags[TAG_PID]} on {run.tags[TAG_HOST]}" if claimed else "process"
        # A run that was being cancelled when its process went must not look like one that wants another attempt.
        canceling = run.status == dg.DagsterRunStatus.CANCELING
        report = instance.report_run_canceled if canceling else instance.report_run_failed
        report(run, f"The {where} that executed this run is gone; what it finished is kept.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        marked = "cancelled" if canceling else "failed"
        logger.warning("run %s: its %s is gone, marked as %s", run.run_id, where, marked)
    return [run.run_id for run in dead]


@contextmanager
def explained_failures() -> Iterator[None]:
    """What the pipeline raises on purpose becomes a failure whose text is for people, cause included."""
    try:
        yield
    except PipelineError as error:
        raise dg.Failure(str(error)) from error


def claim_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Record in the run's tags which process executes it."""
    instance.add_run_tags(run_id, process_tags(run_id))


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one batch's run ended."""

    run_id: str
    batch: str
    #: Whether the documents were parsed and their table written; checks may still not pass.
    parsed: bool
    #: Why the run ended before its documents were parsed, for people; "" when they were.
    error: str
    #: Names of the checks that did not pass, and what broke of those that could not be made.
    failed_checks: tuple[str, ...]
    interrupted: bool = False


def add_batches(instance: dg.DagsterInstance, batches: Sequence[str]) -> None:
    """Give batches a partition, so that a sensor, a backfill or somebody in the UI can run them."""
    for start in range(0, len(batches), _ADDED_AT_ONCE):
        instance.add_dynamic_partitions(PARTITIONS, list(batches[start : start + _ADDED_AT_ONCE]))


def run_config(config_file: Path | None, store_address: Path | str) -> dict[str, object]:
    """Run configuration that makes a re-execution in the UI find the same settings and the same store.

    Only places are in it: what opens them, keys above all, is read again from settings and environment.
    """
    return {
        **run_resources(config_file, store_address),
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def run_resources(config_file: Path | None, store_address: Path | str) -> dict[str, object]:
    """The part of it that any run needs, whoever requests it."""
    resource = {"store_root": str(store_address)} | ({"config_file": str(config_file)} if config_file else {})
    return {"resources": {"settings": {"config": resource}}}


def execute_batch(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    batch: str,
    config: Mapping[str, object],
) -> RunResult:
    """Parse one batch as a run of the job, in this process.

    The run carries the origin of its code, so *Re-execute* works on it in the UI.
    """
    job = definitions.resolve_job_def(JOB)
    run_id = make_new_run_id()
    run = instance.create_run_for_job(
        job,
        run_id=run_id,
        run_config=config,
        tags={
            "dagster/partition": batch,
            TAG_COMMAND: "run",
            # The command itself resumes; a second, automatic attempt would only get in its way.
            "dagster/max_retries": "0",
            **process_tags(run_id),
        },
        remote_job_origin=_remote_origin(),
        job_code_origin=_python_origin(),
    )
    # Only now: a partition without a run is one that sensors start.
    instance.add_dynamic_partitions(PARTITIONS, [batch])
    outcome = _Outcome()
    try:
        for event in execute_run_iterator(InMemoryJob(job), run, instance):
            outcome.see(event)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, RunInterruptedError):
        outcome.interrupted = True
    return RunResult(
        run_id, batch, outcome.parsed, outcome.error, tuple(outcome.failed_checks), interrupted=outcome.interrupted
    )


@dataclass(slots=True)
class _Outcome:
    """What a run's events say of how it went."""

    parsed: bool = False
    interrupted: bool = False
    error: str = ""
    failed_checks: list[str] = field(default_factory=list)

    def see(self, event: dg.DagsterEvent) -> None:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self.parsed = self.parsed or event.asset_key == dg.AssetKey(PARSED_ASSET)
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed:
                self.failed_checks.append(evaluation.check_name)
        if event.is_step_failure:
            self._explain(event)
        if event.is_failure and event.event_type == dg.DagsterEventType.RUN_FAILURE and not self.parsed:
            self.error = self.error or event.message or "the run failed without a reason"

    def _explain(self, event: dg.DagsterEvent) -> None:
        failure = event.step_failure_data
        causes = _causes(failure.error)
        if any(name.rsplit(".", 1)[-1] in _INTERRUPTS for name, _ in causes):
            self.interrupted = not self.parsed
        if any(name == "DagsterAssetCheckFailedError" for name, _ in causes):
            # The check itself is named by its evaluation.
            return
        described = failure.user_failure_data.description if failure.user_failure_data is not None else None
        # Our own errors are written for people; what lies beneath them seldom is.
        ours = [message for name, message in causes if name in _named(PipelineError)]
        text = described or (ours or [message for _, message in reversed(causes)] or ["no reason was given"])[0]
        if self.parsed:
            self.failed_checks.append(f"{event.step_key}: {text}")
        else:
            self.error = self.error or text


_LONGEST_REASON = 500
_INTERRUPTS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


def _causes(error: SerializableErrorInfo | None) -> list[tuple[str, str]]:
    """Class name and message of an error and of all its causes, outermost first."""
    found = []
    while error is not None:
        # The message starts with the class, often with its module; people want what comes after it.
        prefix, separator, rest = error.message.strip().partition(": ")
        plain = rest if separator and prefix.endswith(error.cls_name or "?") else error.message.strip()
        found.append((error.cls_name or "", plain))
        error = error.cause
    return found


def public_reason(failures: Iterable[dg.DagsterEvent]) -> str:
    """Why steps failed, in one sentence that may leave the house.

    Only what the pipeline says on purpose is quoted: any other error's text may hold words of a document.
    """
    for event in failures:
        causes = _causes(event.step_failure_data.error)
        for name, message in causes:
            if name in _named(PipelineError) and message:
                return message.splitlines()[0][:_LONGEST_REASON]
        names = [name for name, _ in causes if name]
        if names:
            return f"{names[-1]} in {event.step_key}; the run's page says more"
    return "the run ended without saying why, as when its process is gone; the run's page says more"


def _named(kind: type[Exception]) -> set[str]:
    """The names of a class of errors and of all below it."""
    return {kind.__name__}.union(*(_named(each) for each in kind.__subclasses__()))


def _remote_origin() -> RemoteJobOrigin:
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, attribute=ATTRIBUTE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), JOB)


def _python_origin() -> JobPythonOrigin:
    repository = ReconstructableRepository.for_module(MODULE, ATTRIBUTE, str(project_root()))
    return repository.get_reconstructable_job(JOB).get_python_origin()


def dev_server_command(loaded: LoadedSettings) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of ``dagster dev`` on our instance and workspace."""
    settings = loaded.settings
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--workspace",
        str(project_root() / "workspace.yaml"),
        "--host",
        settings.dagster.webserver_host,
        "--port",
        str(settings.dagster.webserver_port),
    ]
    environment = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    if loaded.config_file is not None:
        environment[ENV_CONFIG_FILE] = str(loaded.config_file)
    return command, environment
