"""How much processor time the simulated server takes a request: ``python -m bench.simulated_server [--requests N]``.

A load test on one machine measures the client only as far as the server leaves it the cores. The server runs in a
process of its own and answers at once; the figure is that process's CPU time, divided by the requests it answered.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import random
import time
from collections.abc import Sequence

from PIL import Image

from bench.servers import dev_server
from mineru_pipeline.devserver.process import ServerOptions


def crop(kilobytes: int, number: int) -> bytes:
    """A PNG of noise whose base64 takes about ``kilobytes`` kB; another ``number`` is another picture."""
    side = max(28, round((kilobytes * 1000 * 3 / 4 / 3) ** 0.5))
    pixels = random.Random(number).randbytes(side * side * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def request(prompt: str, image: bytes) -> bytes:
    """One chat completion as it goes over the wire, headers and all."""
    url = "data:image/png;base64," + base64.b64encode(image).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
    body = json.dumps({"messages": [{"role": "user", "content": content}], "temperature": 0}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask(port: int, payloads: list[bytes]) -> None:
    """Send all payloads one after the other over one connection; a reply other than 200 ends the measurement."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for payload in payloads:
        writer.write(payload)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head:
            raise SystemExit(f"the server answered {head.decode()}")
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


async def send(port: int, payloads: list[bytes], connections: int) -> None:
    """Spread the payloads over the connections."""
    await asyncio.gather(*(ask(port, payloads[start::connections]) for start in range(connections)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the server, warm it up, measure, print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=150)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args(arguments)
    prompts = ["\nLayout Detection:", *["\nText Recognition:"] * 6, "\nTable Recognition:"]
    pool = [request(prompt, crop(given.kilobytes, number)) for number, prompt in enumerate(prompts)]
    payloads = [pool[number % len(pool)] for number in range(given.requests)]
    with dev_server(ServerOptions(simulate=True)) as server:
        port = int(server.base_url.rsplit(":", 1)[1])
        asyncio.run(send(port, payloads[:100], given.connections))
        before, started = server.simulation().cpu_seconds, time.monotonic()
        asyncio.run(send(port, payloads, given.connections))
        seconds, spent = time.monotonic() - started, server.simulation().cpu_seconds - before
    size = sum(map(len, pool)) / len(pool) / 1000
    print(
        f"{1000 * spent / given.requests:.2f} CPU-ms a request of {size:.0f} kB "
        f"({given.requests} requests, {given.connections} connections, {given.requests / seconds:.0f} a second)"
    )


if __name__ == "__main__":
    main()
