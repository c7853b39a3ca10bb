"""The peer, kept warm: parses what each line of standard input asks for and answers with one line of JSON.

It runs inside the peer's own environment and calls MinerU's public entry ``aio_do_parse`` as its
command does: three documents at once, each with its own hundred requests in flight, and the layout
drawn over the PDF. The protocol is described in ``our_driver.py``; ``in_flight`` has no effect here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: What ``mineru`` puts at work at once (its ``DEFAULT_MAX_CONCURRENT_REQUESTS``).
DOCUMENTS_AT_ONCE = 3


async def parse(server: dict[str, Any], files: Sequence[Path], out: Path) -> dict[str, Any]:
    """Parse ``files`` into folders below ``out``."""
    import pypdfium2

    started = time.monotonic()
    gate = asyncio.Semaphore(DOCUMENTS_AT_ONCE)
    states: Counter[str] = Counter()

    async def one(path: Path) -> dict[str, str]:
        async with gate:
            document = await _document(server, path, out)
        states[document["state"]] += 1
        part = out.with_name(f"{out.name}.states.part")
        part.write_text(json.dumps(states))
        part.replace(part.with_suffix(".json"))
        return document

    documents = await asyncio.gather(*map(one, files))
    seconds = time.monotonic() - started
    return {"seconds": seconds, "pages": sum(len(pypdfium2.PdfDocument(p)) for p in files), "documents": documents}


async def _document(server: dict[str, Any], path: Path, out: Path) -> dict[str, str]:
    from mineru.cli.common import aio_do_parse

    try:
        data = await asyncio.to_thread(path.read_bytes)
        await aio_do_parse(str(out), [path.stem], [data], ["en"], backend="vlm-http-client", **server)
    except Exception as error:  # noqa: BLE001 - whatever the peer raises is its result for this document
        return {"state": "failed", "message": repr(error)[:300], "markdown": "", "content_list": ""}
    folder = out / path.stem / "vlm"
    return {
        "state": "parsed",
        "message": "",
        "markdown": str(folder / f"{path.stem}.md"),
        "content_list": str(folder / f"{path.stem}_content_list.json"),
    }


async def serve(server: dict[str, Any], answers: int) -> None:
    """Answer lines until standard input ends; ``answers`` is the descriptor to write to."""
    from mineru.cli import common  # the seconds that this takes belong to no measurement

    del common
    with os.fdopen(answers, "w") as stream:
        print(json.dumps({"ready": True}), file=stream, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            answer = await parse(server, [Path(path) for path in asked["files"]], Path(asked["out"]))
            print(json.dumps(answer), file=stream, flush=True)


def main() -> int:
    """Serve the protocol; what the peer prints on its own goes to standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--client", default="peer", help="the name by which the server counts the requests")
    options = parser.parse_args()
    answers = os.dup(1)
    os.dup2(2, 1)
    # Its client keeps no path of the address, so the name travels in a header.
    server = {"server_url": options.base_url, "server_headers": {"User-Agent": options.client}}
    asyncio.run(serve(server, answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
