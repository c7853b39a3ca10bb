"""The loop of a sandboxed child: one request, one reply, until the parent hangs up."""

from __future__ import annotations

import errno
import importlib
import mmap
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from mineru_pipeline.documents import wire
from mineru_pipeline.documents.confinement import limit_cpu
from mineru_pipeline.errors import RejectedDocumentError, RenderFailedError

Blob: TypeAlias = bytes | bytearray | memoryview
Answer: TypeAlias = tuple[dict[str, Any], Sequence[Blob]]

_MESSAGE_CHARACTERS = 400


class Service(Protocol):
    """What runs in the child: made anew, with the outbox, for every child, so it may keep the open document."""

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        """Do one thing and return plain values and blobs; whatever it raises is told to the parent."""
        ...


class Outbox:
    """The shared memory that a reply's blobs lie in, so that large ones can be made in their place.

    It is kept from one reply to the next: fresh memory costs more than drawing a page into it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def reserve(self, size: int) -> memoryview:
        """Return the first ``size`` bytes; returning this very view as the first blob copies nothing."""
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._descriptor, size)
        return memoryview(self._map)[:size]

    def place(self, blobs: Sequence[Blob]) -> list[int]:
        """Put the blobs one after the other; returns their sizes in bytes."""
        sizes = [memoryview(blob).nbytes for blob in blobs]
        in_place = bool(blobs) and isinstance(blobs[0], memoryview) and blobs[0].obj is self._map
        if not sum(sizes) or (in_place and len(blobs) == 1):
            return sizes
        first = bytes(blobs[0]) if in_place else blobs[0]
        view, offset = self.reserve(sum(sizes)), 0
        for size, blob in zip(sizes, [first, *blobs[1:]], strict=True):
            view[offset : offset + size] = blob
            offset += size
        return sizes


def load_service(name: str, outbox: Outbox) -> Service:
    """Return a new instance of the class that ``module:Class`` names."""
    module, _, attribute = name.partition(":")
    service: Service = getattr(importlib.import_module(module), attribute)(outbox)
    return service


def serve(
    connection: socket.socket,
    shared: int,
    service_name: str,
    *,
    memory_bytes: int,
    limit_cpu: Callable[[float], None] = limit_cpu,
) -> None:
    """Answer requests until the connection is closed or memory runs out."""
    outbox = Outbox(shared)
    service = load_service(service_name, outbox)
    while (message := wire.receive(connection, memory_bytes)) is not None:
        request, blobs = message
        limit_cpu(float(request["seconds"]))
        values, sizes = _answered(service, request, blobs, outbox)
        try:
            wire.send(connection, values, sizes)
        except wire.WireError as error:
            wire.send(connection, {"failed": str(error)}, [])
        if "memory" in values:
            return


def _answered(
    service: Service, request: Mapping[str, Any], blobs: list[bytearray], outbox: Outbox
) -> tuple[dict[str, Any], list[int]]:
    try:
        values, answer = service.call(str(request["operation"]), request["values"], blobs)
        return {"done": values}, outbox.place(answer)
    except RejectedDocumentError as error:
        return {"rejected": str(error), "reason": error.reason}, []
    except RenderFailedError as error:
        return {"failed": str(error)}, []
    except Exception as error:  # noqa: BLE001 - strange documents raise anything; each costs one request
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            # Nothing can be trusted after this, least of all that the next request finds memory.
            return {"memory": True}, []
        return {"failed": f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]}, []
