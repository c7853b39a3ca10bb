"""The simulated model server, and beside it a record of every page that it was asked about.

::

    python -m bench.chaos.model --record asked.jsonl --port PORT --exit-with-parent PID

It answers as ``mineru-pipeline devserver --simulate`` does. For each request for a layout it appends a line, before it
answers: the time, and the number that the page shows (null for the page by which a run proves the model).
"""

from __future__ import annotations

import argparse
import json
import time
from io import TextIOWrapper
from pathlib import Path

import uvicorn

from bench.chaos.pages import number_on
from mineru_pipeline.devserver import lifeline
from mineru_pipeline.devserver.app import Faults, build_app
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.devserver.faults.rules import FaultPlan
from mineru_pipeline.devserver.port import Port
from mineru_pipeline.devserver.prompts import Task, task_of
from mineru_pipeline.devserver.responder import ModelCard, PromptRequest
from mineru_pipeline.devserver.serve import KEEP_ALIVE_SECONDS
from mineru_pipeline.devserver.simulate import SimulatedResponder, SimulatedWork, Simulation


class RecordingResponder:
    """The simulated responder, with its record."""

    def __init__(self, simulation: Simulation, record: TextIOWrapper) -> None:
        self._inner = SimulatedResponder(simulation)
        self._record = record

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        return self._inner.card

    @property
    def slots(self) -> int:
        """How many requests run at once."""
        return self._inner.slots

    @property
    def kv_cache_tokens(self) -> int | None:
        """No limit."""
        return self._inner.kv_cache_tokens

    def plan(self, request: PromptRequest) -> SimulatedWork:
        """Write down what is asked, then answer as ever."""
        if task_of(request.prompt) is Task.LAYOUT:
            line = {"at": time.time(), "number": number_on(request.image_bytes())}
            self._record.write(json.dumps(line) + "\n")
            self._record.flush()
        return self._inner.plan(request)

    def close(self) -> None:
        """Close the record."""
        self._record.close()


def main() -> None:
    """Serve until the parent is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--exit-with-parent", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--slots", type=int, default=64)
    given = parser.parse_args()
    lifeline.follow(given.exit_with_parent)
    port = Port("127.0.0.1", given.port)
    with given.record.open("a", encoding="utf-8") as record:
        responder = RecordingResponder(Simulation(slots=given.slots, latency=given.latency), record)
        app = build_app(responder, faults=Faults(FaultBook(FaultPlan()), port))
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        server = uvicorn.Server(config)
        port.attach(server)
        server.run(sockets=[port.socket])


if __name__ == "__main__":
    main()
