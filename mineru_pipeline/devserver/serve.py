"""Runs the server: chooses the responder, binds the port, announces the address, serves until told to stop."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mineru_pipeline.devserver import lifeline
from mineru_pipeline.devserver.port import Port
from mineru_pipeline.errors import ModelServerError

if TYPE_CHECKING:
    from mineru_pipeline.devserver.app import Faults
    from mineru_pipeline.devserver.responder import Responder
    from mineru_pipeline.devserver.simulate import Simulation

_LOG = logging.getLogger(__name__)
#: vLLM's keep-alive; clients must keep theirs below it.
KEEP_ALIVE_SECONDS = 5
_SHUTDOWN_SECONDS = 2
MISSING_EXTRA = (
    "The dev server needs packages that are not installed ({name}): "
    "pip install 'mineru-pipeline[devserver]', or set vllm_server.base_url to a running vLLM server."
)


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    simulation: Simulation | None = None,
    faults_file: Path | None = None,
    api_key: str | None = None,
    max_num_queued_reqs: int | None = None,
    workers: int | None = None,
    ready_file: Path | None = None,
    parent_pid: int | None = None,
    announce: Callable[[str], None] = _LOG.info,
) -> None:
    """Serve until SIGINT or SIGTERM; the port refuses connections while models load, as vLLM's does.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        simulation: Invent answers as it says instead of reading pages; imports nothing of OCR.
        faults_file: Rules of :mod:`mineru_pipeline.devserver.faults.rules` for a simulation.
        api_key: Key that ``/v1`` asks for, if any.
        max_num_queued_reqs: Bound of running plus waiting requests; 503 beyond it.
        workers: Pages or blocks read at once; by default one for each usable core.
        ready_file: Written with the server's URL, in one step, once it listens.
        parent_pid: End when this process, which must be the parent, is gone.
        announce: Called with the URL once the server listens.

    Raises:
        ModelServerError: A package is missing, the port cannot be bound, or the faults file is wrong.
    """
    if parent_pid is not None:
        lifeline.follow(parent_pid)
    try:
        import uvicorn  # the extra may be missing, and the message should say so

        from mineru_pipeline.devserver.app import build_app
    except ImportError as error:
        raise ModelServerError(MISSING_EXTRA.format(name=error.name)) from error

    class AnnouncingServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if ready_file is not None:
                _write_atomically(ready_file, address.url + "\n")
            announce(address.url)

    address = Port(host, port)
    responder, faults = _responder(simulation, faults_file, address, workers)
    app = build_app(responder, api_key=api_key, max_num_queued_reqs=max_num_queued_reqs, faults=faults)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    server = AnnouncingServer(config)
    address.attach(server)
    # uvicorn's own run takes the fastest event loop that is installed.
    server.run(sockets=[address.socket])


def _responder(
    simulation: Simulation | None, faults_file: Path | None, port: Port, workers: int | None
) -> tuple[Responder, Faults | None]:
    if simulation is not None:
        from mineru_pipeline.devserver.app import Faults  # each mode's imports are its own
        from mineru_pipeline.devserver.faults import book, rules
        from mineru_pipeline.devserver.simulate import SimulatedResponder

        plan = rules.load(faults_file) if faults_file else rules.FaultPlan()
        return SimulatedResponder(simulation), Faults(book.FaultBook(plan), port)
    if faults_file is not None:
        raise ModelServerError("Faults are for a simulated server: add --simulate, or leave out --faults.")
    try:
        from mineru_pipeline.devserver.ocr.responder import OcrResponder  # heavy: OpenCV and ONNX Runtime
    except ImportError as error:
        raise ModelServerError(MISSING_EXTRA.format(name=error.name)) from error
    return OcrResponder(workers=workers or len(os.sched_getaffinity(0))), None


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
