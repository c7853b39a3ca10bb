"""Part ``conformance``: our text beside the peer's, from the answers of one model to the same files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from bench import drivers
from bench.context import Context
from bench.drivers import Driver, Pass
from bench.servers import dev_server
from bench.similarity import differences, listed_text, plain_text, shape, similarity
from mineru_pipeline.devserver.process import ServerOptions

#: Files that are less alike are listed with what differs.
ALIKE = 0.95
_MOST_DIFFERENCES = 6
_EXCERPT = 160


def run(context: Context) -> dict[str, Any]:
    """Let both parse the files with the dev server's OCR, one after the other, and compare what they wrote."""
    with dev_server(ServerOptions()) as server:
        with drivers.ours(server, client="") as driver:
            ours = _parse(context, driver)
        with drivers.theirs(server, context.peer) as driver:
            theirs = _parse(context, driver)
    return compare(context.files, ours.documents, theirs.documents)


def _parse(context: Context, driver: Driver) -> Pass:
    driver.wait_until_ready()
    context.say(f"{driver.name}: reading {len(context.files)} files by OCR")
    out = context.folder / f"conformance-{driver.name}"
    driver.start(context.files, out)
    return driver.finish()


def compare(
    files: Sequence[Path], ours: Sequence[Mapping[str, str]], theirs: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return mean similarity, what differs in the fields, and every file below ``ALIKE`` with what differs there."""
    rows = [_row(path, mine, other) for path, mine, other in zip(files, ours, theirs, strict=True)]
    both = [
        (mine, other)
        for mine, other in zip(ours, theirs, strict=True)
        if mine["content_list"] and other["content_list"]
    ]
    shapes = [shape(_entries(one) for one in side) for side in zip(*both, strict=True)]
    return {
        "conformance_mean": round(statistics.fmean(row["similarity"] for row in rows), 4),
        "conformance_content_list_mean": round(statistics.fmean(row["content_list_similarity"] for row in rows), 4),
        "conformance_field_differences": differences(*shapes) if shapes else [],
        "conformance_below_0.95": [row for row in rows if row["similarity"] < ALIKE],
        "raw": [{key: value for key, value in row.items() if key != "differences"} for row in rows],
    }


def _row(path: Path, mine: Mapping[str, str], other: Mapping[str, str]) -> dict[str, Any]:
    texts = [plain_text(_read(one["markdown"])) for one in (mine, other)]
    lists = [listed_text(_entries(one)) for one in (mine, other)]
    return {
        "file": path.name,
        "similarity": round(similarity(texts[0], texts[1]), 4),
        "content_list_similarity": round(similarity(lists[0], lists[1]), 4),
        "characters": {"ours": len(texts[0]), "peer": len(texts[1])},
        "failed": {"ours": mine["message"], "peer": other["message"]},
        "differences": _differing(texts[0], texts[1]),
    }


def _differing(mine: str, other: str) -> list[dict[str, str]]:
    """The longest stretches of words that only one of two texts has."""
    ours, peers = mine.split(), other.split()
    found = [
        {"ours": " ".join(ours[a:b])[:_EXCERPT], "peer": " ".join(peers[c:d])[:_EXCERPT]}
        for kind, a, b, c, d in SequenceMatcher(None, ours, peers, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    return sorted(found, key=lambda one: -len(one["ours"]) - len(one["peer"]))[:_MOST_DIFFERENCES]


def _read(path: str) -> str:
    return Path(path).read_text() if path else ""


def _entries(document: Mapping[str, str]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(_read(document["content_list"]) or "[]")
    return entries
