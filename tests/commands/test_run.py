"""``mineru-pipeline run`` as people use it: in a process of its own, against a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import ModelServer, pdf

from mineru_pipeline import launch
from mineru_pipeline.settings import load
from mineru_pipeline.storage import FilesystemStore

pytestmark = pytest.mark.timeout(300)

Environment = Callable[[ModelServer | str], dict[str, str]]
NOT_COMPARED = {"result.json", "report.html"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "mineru_pipeline.cli", *map(str, arguments)]


def run(environ: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environ, capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    """Every object below parsed/ and extracted/ that must not differ between two runs.

    What a killed process had begun to write is a file, and no object.
    """
    store = FilesystemStore(folder)
    keys = [item.key for room in ("parsed/", "extracted/") for item in store.list(room)]
    return {key: store.get(key) for key in keys if key.rsplit("/", 1)[-1] not in NOT_COMPARED}


def test_every_document_ends_in_its_state_and_a_second_run_asks_for_nothing(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """Good, duplicate, locked, broken and empty files are told apart; repeating costs no request."""
    good = pdf("one", "two")
    papers = write(
        tmp_path / "papers",
        {
            "a good one.pdf": good,
            "copy.pdf": good,
            "locked.pdf": pdf("x", password="secret"),
            "broken.pdf": good[:400],
            "empty.pdf": b"",
            "notes.txt": b"not looked at",
        },
    )
    environ, out = environment(model_server), tmp_path / "out"
    before = model_server.answered()
    first = run(environ, "run", papers, "--out", out, "--json")
    assert first.returncode == 0, first.stderr
    found = summary(first)
    counts = {key: found[key] for key in ("documents", "distinct", "parsed", "degraded", "rejected", "failed", "pages")}
    assert counts == {
        "documents": 5, "distinct": 4, "parsed": 2, "degraded": 0, "rejected": 3, "failed": 0, "pages": 2,
    }  # fmt: skip
    # One more than the pages cost: the proof that the model answers at all.
    assert found["requests"] + 1 == model_server.answered() - before > 1
    assert found["unfinished"] == 0
    assert found["outputs"] == (out / "parsed").as_uri()
    (folder,) = {path.parent for path in out.rglob("result.json")}
    expected = {"document.md", "structured_content.json", "middle.json", "content_list.json", "layout.pdf"}
    assert expected | {"report.html", "result.json", "images"} <= {path.name for path in folder.iterdir()}
    assert "locked.pdf" in first.stderr
    assert "password" in first.stderr

    again = run(environ, "run", papers, "--out", out, "--json")
    assert again.returncode == 0, again.stderr
    assert summary(again)["requests"] == 0
    assert summary(again)["batches"] == found["batches"]
    assert model_server.answered() - before == found["requests"] + 1


def test_kill_minus_nine_costs_only_the_pages_in_flight(
    tmp_path: Path, slow_server: ModelServer, environment: Environment
) -> None:
    """After SIGKILL of the whole group the same command asks for unfinished pages alone, with equal outputs.

    The killed run still holds the only slot of the pool, so this shows, too, that dead runs are noticed.
    """
    papers = write(tmp_path / "papers", {"long.pdf": pdf(*(f"page {number}" for number in range(12)))})
    environ = environment(slow_server) | {"MINERU_PIPELINE__WORKERS__COUNT": "2"}
    undisturbed = run(environ, "run", papers, "--out", tmp_path / "calm", "--json")
    costs = requests_by_page(tmp_path / "calm")
    assert sum(costs.values()) == summary(undisturbed)["requests"]

    out = tmp_path / "out"
    victim = subprocess.Popen(
        command("run", papers, "--out", out), env=environ, start_new_session=True, cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: len(list(out.rglob("pages/*.json"))) >= 3, victim)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait(timeout=20)
    kept = {int(path.stem) for path in out.rglob("pages/*.json")}
    assert 3 <= len(kept) < 12
    remaining = sum(cost for page, cost in costs.items() if page not in kept)

    before = slow_server.answered()
    resumed = run(environ, "run", papers, "--out", out, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert summary(resumed)["requests"] == remaining
    # The server may still answer, and count, what the killed run had in flight.
    assert 1 <= slow_server.answered() - before - remaining <= 1 + 2 * max(costs.values())
    assert "process" in resumed.stderr
    assert outputs(out) == outputs(tmp_path / "calm")
    assert unfinished(environ) == []


def test_interrupting_leaves_a_resumable_state_and_says_so(
    tmp_path: Path, slow_server: ModelServer, environment: Environment
) -> None:
    """Ctrl-C ends with 130, keeps finished pages, leaves no run behind, and the next run goes on."""
    papers = write(tmp_path / "papers", {"long.pdf": pdf(*(f"page {number}" for number in range(10)))})
    environ, out = environment(slow_server) | {"MINERU_PIPELINE__WORKERS__COUNT": "2"}, tmp_path / "out"
    process = subprocess.Popen(
        command("run", papers, "--out", out), env=environ, start_new_session=True, cwd="/",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(lambda: len(list(out.rglob("pages/*.json"))) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "goes on where this one stopped" in " ".join(text.split())
    assert unfinished(environ) == []
    resumed = run(environ, "run", papers, "--out", out, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert summary(resumed)["parsed"] == 1


def test_a_dead_model_server_is_named_and_nothing_is_lost(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """Nobody listening at the address ends the run with 3, the address and what to do; then it resumes."""
    papers, out = write(tmp_path / "papers", {"a.pdf": pdf("text")}), tmp_path / "out"
    done = run(environment("http://127.0.0.1:9"), "run", papers, "--out", out, "--json")
    assert done.returncode == 3
    assert "127.0.0.1:9" in summary(done)["stopped"]
    assert "vllm_server.base_url" in summary(done)["stopped"]
    assert (summary(done)["documents"], summary(done)["unfinished"]) == (1, 1)
    assert run(environment(model_server), "run", papers, "--out", out).returncode == 0


def test_a_server_of_another_model_is_named(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """A server that does not serve the configured model is told from a dead one."""
    papers = write(tmp_path / "papers", {"a.pdf": pdf("text")})
    environ = environment(model_server) | {"MINERU_PIPELINE__VLLM_SERVER__MODEL": "another/model"}
    done = run(environ, "run", papers, "--out", tmp_path / "out", "--json")
    assert done.returncode == 3
    assert "another/model" in summary(done)["stopped"]
    assert "simulated-1" in summary(done)["stopped"]


@pytest.mark.parametrize("given", ["absent", "empty"])
def test_paths_without_documents_are_a_usage_error(
    tmp_path: Path, model_server: ModelServer, environment: Environment, given: str
) -> None:
    """A missing path and a folder without PDFs are named, and nothing is started."""
    (tmp_path / "empty").mkdir()
    done = run(environment(model_server), "run", tmp_path / given)
    assert done.returncode == 2
    assert given in done.stdout + done.stderr
    assert not (tmp_path / "data" / "dagster").exists()


def test_bad_settings_are_a_usage_error(tmp_path: Path, environment: Environment) -> None:
    """A mistyped variable ends with 2 before anything else happens."""
    environ = environment("http://127.0.0.1:9") | {"MINERU_PIPELINE__WORKERS__CUONT": "1"}
    done = run(environ, "run", tmp_path)
    assert done.returncode == 2
    assert "MINERU_PIPELINE__WORKERS__CUONT" in done.stdout + done.stderr


def requests_by_page(store: Path) -> dict[int, int]:
    """What each page of the one document costs: its layout, and every block that was asked for."""
    (model,) = (store / "extracted").rglob("model.jsonl")
    pages = [json.loads(line) for line in model.read_text().splitlines()]
    return {page["index"]: 1 + sum(block["content"] is not None for block in page["blocks"]) for page in pages}


def unfinished(environ: dict[str, str]) -> Sequence[dg.DagsterRun]:
    settings = load(environ={name: value for name, value in environ.items() if "MINERU_PIPELINE" in name}).settings
    with launch.open_instance(settings) as instance:
        return list(instance.get_runs(filters=dg.RunsFilter(statuses=launch.UNFINISHED)))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the command ended early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_outputs_inside_the_input_folder_are_not_parsed(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """The store's own PDFs are passed over, so the same command finds the same documents."""
    papers = write(tmp_path / "papers", {"a.pdf": pdf("text")})
    environ = environment(model_server)
    first = summary(run(environ, "run", papers, "--out", papers / "out", "--json"))
    again = summary(run(environ, "run", papers, "--out", papers / "out", "--json"))
    assert (first["documents"], again["documents"], again["requests"]) == (1, 1, 0)
    assert first["batches"] == again["batches"]


def test_two_first_runs_at_once_both_succeed(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """Whoever comes first makes the Dagster home; the other waits instead of breaking it."""
    papers, environ = write(tmp_path / "papers", {"a.pdf": pdf("text")}), environment(model_server)
    runs = [
        subprocess.Popen(
            command("run", papers, "--out", tmp_path / f"out{number}"), env=environ, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    texts = [process.communicate(timeout=200)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], texts


def test_an_unusable_dagster_home_is_named(tmp_path: Path, model_server: ModelServer, environment: Environment) -> None:
    """A home that cannot be made is one line with the setting, not a traceback."""
    papers = write(tmp_path / "papers", {"a.pdf": pdf("text")})
    (tmp_path / "file").write_text("in the way")
    environ = environment(model_server) | {"MINERU_PIPELINE__DAGSTER__HOME": str(tmp_path / "file")}
    done = run(environ, "run", papers, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "dagster.home" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_names_from_strangers_cannot_command_the_terminal(
    tmp_path: Path, model_server: ModelServer, environment: Environment
) -> None:
    """Escape sequences in a file name are shown, not sent."""
    papers = write(tmp_path / "papers", {"\x1b[31mred\u202e.pdf": pdf("text")})
    done = run(environment(model_server), "run", papers, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "\\x1b[31mred" in done.stdout
