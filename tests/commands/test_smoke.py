"""``mineru-pipeline smoke`` against servers that read, invent, stop half-way, and are not there."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import SIMULATED_MODEL, ModelServer, start_server, stop_server
from typer.testing import CliRunner, Result

from mineru_pipeline.cli import app
from mineru_pipeline.commands.loadtest_page import BLOCKS
from mineru_pipeline.commands.smoke import WORDS, problems, words_of

MODEL = "reader"
LAYOUT = "\n".join(
    f"<|box_start|>{' '.join(f'{round(999 * edge):03d}' for edge in box)}<|box_end|><|ref_start|>{kind}<|ref_end|>"
    for kind, box in BLOCKS
)


def handler(words: tuple[str, ...]) -> type[BaseHTTPRequestHandler]:
    """Answers as vLLM does: the true layout, and for each block the same words."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self._send({"data": [{"id": MODEL}]} if self.path == "/v1/models" else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            parts = body["messages"][-1]["content"]
            prompt = next(part["text"] for part in parts if part["type"] == "text")
            table = "<fcs>98.2<fcs>91.4<fcs>97.5<nl>"
            text = LAYOUT if "Layout" in prompt else table if "Table" in prompt else " ".join(words)
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self._send({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

        def _send(self, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def reader(words: tuple[str, ...] = WORDS) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(words))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def smoke(url: str, *options: str, model: str = MODEL) -> Result:
    return CliRunner().invoke(app, ["smoke", "--base-url", url, "--model", model, *options])


def verdict(done: Result) -> dict[str, Any]:
    (server,) = json.loads(done.stdout.splitlines()[-1])["servers"]
    return dict(server)


def test_a_server_that_reads_the_page_passes() -> None:
    """Layout, words and time are told, with exit code 0."""
    with reader() as url:
        done = smoke(url, "--json")
        shown = smoke(url)
    assert done.exit_code == 0, done.output
    found = verdict(done)
    assert (found["words_read"], found["words"], found["problems"]) == (len(WORDS), len(WORDS), [])
    assert found["blocks"] >= len(BLOCKS) - 1
    assert found["requests"] == len(BLOCKS) + 1
    assert (shown.exit_code, shown.output.startswith("ok")) == (0, True)


def test_a_server_that_invents_is_found_out(model_server: ModelServer) -> None:
    """The simulated server answers everything and reads nothing: words are missing, and the exit code is 1."""
    done = smoke(model_server.url, "--json", model=SIMULATED_MODEL)
    assert done.exit_code == 1, done.output
    assert any("words of the page are not read" in problem for problem in verdict(done)["problems"])


def test_a_server_that_reads_too_little_or_too_late_fails() -> None:
    """Half of the words are not enough, nor are all of them after the time that was given."""
    with reader(WORDS[: len(WORDS) // 2]) as url:
        half = smoke(url, "--json")
    with reader() as url:
        late = smoke(url, "--json", "--max-seconds", "0")
    assert (half.exit_code, late.exit_code) == (1, 1)
    assert "words" in verdict(half)["problems"][0]
    assert "--max-seconds" in verdict(late)["problems"][0]


def test_an_answer_that_does_not_end_with_stop_fails(tmp_path: Path) -> None:
    """A truncated block is no success, whatever it says."""
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"rules": [{"fault": "truncated", "match": {"kind": "text"}}]}))
    server = start_server(tmp_path, "--faults", str(faults))
    try:
        done = smoke(server.url, "--json", model=SIMULATED_MODEL)
    finally:
        stop_server(server)
    assert done.exit_code == 1, done.output
    assert "ran out of tokens" in verdict(done)["problems"][0]


def test_no_server_and_one_of_no_use_are_told_apart_from_a_bad_one(model_server: ModelServer) -> None:
    """Nobody there, or another model: exit code 3; no address at all: 2."""
    nobody = smoke("http://127.0.0.1:9")
    other = smoke(model_server.url, "--json")
    assert (nobody.exit_code, other.exit_code) == (3, 3)
    assert "127.0.0.1:9" in nobody.output
    assert verdict(other)["answered"] is False
    assert SIMULATED_MODEL in verdict(other)["problems"][0]
    nothing = CliRunner().invoke(app, ["smoke"])
    assert (nothing.exit_code, "--base-url" in nothing.output) == (2, True)


def test_each_server_of_the_settings_is_tried(tmp_path: Path) -> None:
    """Replicas are judged one by one: a good one does not hide that another is gone."""
    config = tmp_path / "s.yaml"
    with reader() as url:
        config.write_text(json.dumps({"vllm_server": {"base_url": [url, "http://127.0.0.1:9"], "model": MODEL}}))
        done = CliRunner().invoke(app, ["smoke", "--config", str(config), "--json"])
    assert done.exit_code == 3
    servers = json.loads(done.stdout.splitlines()[-1])["servers"]
    assert [bool(server["problems"]) for server in servers] == [False, True]


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ({"text": 6, "title": 2, "table": 1}, ""),
        ({"text": 6, "title": 2}, "6 text, 2 title"),
        ({"text": 1, "title": 1, "table": 1}, "1 table"),
        ({}, "nothing"),
    ],
)
def test_a_layout_is_judged_by_what_stands_on_the_page(kinds: dict[str, int], says: str) -> None:
    """Text, titles and the table must be seen, as more than a few blocks."""
    found = problems(Counter(kinds), frozenset(WORDS), 1, 2)
    assert bool(found) == bool(says)
    assert says in "".join(found)


def test_words_are_found_in_markup_and_numbers_stay_whole() -> None:
    """A table in HTML and a formula are read as words; 98.2 is one number."""
    assert words_of(["<td>Kesslau</td><td>98.2</td>", "Crest."]) == {"td", "kesslau", "98.2", "crest"}
