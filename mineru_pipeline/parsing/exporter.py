"""Serves the metrics of a run on a port while it lasts: a worker is too short-lived to be asked afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

_log = logging.getLogger(__name__)


@contextmanager
def serving_metrics(registry: CollectorRegistry, host: str, port: int | None) -> Iterator[int | None]:
    """Serve ``registry`` at ``http://host:port/metrics``; yields the port, or None if nothing is served.

    Port 0 takes any free port and logs which, None serves nothing. A port that cannot be had is a
    warning: no document should fail for want of a dashboard.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        _log.warning(
            "no metrics are served: %s port %d cannot be had (%s). Set metrics.port to another one, or to 0.",
            host,
            port,
            error.strerror or error,
        )
        yield None
        return
    taken = server.server_port
    _log.info("metrics of this run: http://%s:%d/metrics", f"[{host}]" if ":" in host else host, taken)
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
