"""Messages between a process and its sandboxed child: a JSON header and raw blobs, never pickles.

One message is a length (4 bytes, big-endian) and that many bytes of JSON ``{"body": …, "blobs":
[sizes]}``. The blobs of a request follow on the same socket; those of a reply lie one after the
other in a file of shared memory, because pixels through a socket cost 20 ms of the parent's time a
page. Hostile bytes are opened on the other side, so whoever reads checks every announced size
against a limit and decodes nothing that could run code.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

LENGTH = struct.Struct(">I")
MAX_HEADER_BYTES = 64 << 20


class WireError(Exception):
    """The other side sent something that is no message, or one over the limit."""


def pack_header(body: Mapping[str, Any], blob_sizes: Sequence[int]) -> bytes:
    """Return the bytes that go before the blobs."""
    header = json.dumps({"body": body, "blobs": list(blob_sizes)}, separators=(",", ":")).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise WireError(f"A message's header has {len(header)} bytes, more than {MAX_HEADER_BYTES}.")
    return LENGTH.pack(len(header)) + header


def header_length(raw: bytes) -> int:
    """Return how many bytes of header follow; raises :class:`WireError` for more than is allowed."""
    length = int(LENGTH.unpack(raw)[0])
    if length > MAX_HEADER_BYTES:
        raise WireError(f"A message announces a header of {length} bytes, more than {MAX_HEADER_BYTES}.")
    return length


def parse_header(raw: bytes, max_blob_bytes: int) -> tuple[dict[str, Any], list[int]]:
    """Return the body and the sizes of the blobs that follow; raises :class:`WireError`."""
    try:
        header = json.loads(raw)
        body, sizes = header["body"], header["blobs"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError("A message has no readable header.") from error
    whole = isinstance(body, dict) and isinstance(sizes, list) and all(type(s) is int and s >= 0 for s in sizes)
    if not whole:
        raise WireError("A message's header has the wrong shape.")
    if sum(sizes) > max_blob_bytes:
        raise WireError(f"A message announces {sum(sizes)} bytes, more than the {max_blob_bytes} that are allowed.")
    return body, sizes


def send(connection: socket.socket, body: Mapping[str, Any], blob_sizes: Sequence[int]) -> None:
    """Send one message over a blocking socket; its blobs go another way."""
    connection.sendall(pack_header(body, blob_sizes))


def receive(connection: socket.socket, max_blob_bytes: int) -> tuple[dict[str, Any], list[bytearray]] | None:
    """Return the next message from a blocking socket, or None when the other side has closed it."""
    raw = _read(connection, LENGTH.size)
    if raw is None:
        return None
    header = _read(connection, header_length(bytes(raw)))
    body, sizes = parse_header(bytes(header or b""), max_blob_bytes)
    blobs = [_read(connection, size) for size in sizes]
    if any(blob is None for blob in blobs):
        return None
    return body, [blob for blob in blobs if blob is not None]


def _read(connection: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view, 0, socket.MSG_WAITALL)
        if count == 0:
            return None
        view = view[count:]
    return data
