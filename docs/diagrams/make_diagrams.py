"""Draws the diagrams beside it as SVG, the same every time: ``python docs/diagrams/make_diagrams.py [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FILLS = {"ours": "#e3f2e6", "other": "#eceff4", "store": "#fdf3d8", "end": "#dde9f8", "bad": "#f9dfdc"}
LINE = 16
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#444"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class Box:
    """A named rectangle around lines of text; ``x`` and ``y`` are its centre, in pixels."""

    x: int
    y: int
    text: str
    kind: str = "ours"
    width: int = 150

    @property
    def height(self) -> int:
        """Room for the lines."""
        return LINE * len(self.text.split("\n")) + 18


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another, straight, with a label beside its middle; ``shift`` moves the line across."""

    start: str
    end: str
    label: str = ""
    shift: int = 0
    both: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A dashed rectangle around boxes, with a title at its upper left."""

    x: int
    y: int
    width: int
    height: int
    title: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """One picture: its size, what it shows in a sentence, and what is on it."""

    width: int
    height: int
    title: str
    boxes: Mapping[str, Box]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...] = ()


CONTEXT = Diagram(
    860,
    360,
    "Who gives documents, who answers questions, and who reads the results",
    {
        "people": Box(90, 60, "people\nfiles and folders", "other"),
        "buckets": Box(90, 165, "buckets\nof an S3 server", "other"),
        "kafka": Box(90, 270, "Kafka\nrequests, notifications", "other", 170),
        "pipeline": Box(400, 165, "mineru-pipeline\nDagster and its runs\nno GPU, no weights", "ours", 190),
        "model": Box(400, 310, "model server\nvLLM on a GPU, or the\ndevelopment server", "other", 190),
        "store": Box(730, 60, "store\na folder or a bucket", "store", 170),
        "results": Box(730, 165, "Kafka\nresults, dead letters", "other", 170),
        "watch": Box(730, 270, "Prometheus, webhook\nmetrics, failed runs", "other", 170),
        "readers": Box(400, 40, "DuckDB, Polars, Spark,\nyour programs", "other", 190),
    },
    (
        Arrow("people", "pipeline", "run"),
        Arrow("buckets", "pipeline", "listed, read"),
        Arrow("kafka", "pipeline", "read"),
        Arrow("pipeline", "model", "HTTP", both=True),
        Arrow("pipeline", "store", "writes"),
        Arrow("pipeline", "results", "tells"),
        Arrow("pipeline", "watch", "shows"),
        Arrow("store", "readers", "tables, files"),
    ),
)

WAY = Diagram(
    980,
    500,
    "The way of a document from its announcement to its row in a table",
    {
        "folder": Box(90, 50, "folder or\ncommand line", "other"),
        "bucket": Box(90, 125, "watched bucket", "other"),
        "kafka": Box(90, 200, "Kafka: requests,\nnotifications", "other"),
        "letters": Box(90, 320, "dead letters", "bad"),
        "manifest": Box(310, 125, "batch manifest\nimmutable", "store"),
        "source": Box(500, 125, "source_documents\nhash, probe, reject,\nfind duplicates", "ours", 160),
        "render": Box(700, 60, "render\nsandboxed child"),
        "extract": Box(700, 160, "extract\nlayout, then blocks"),
        "checkpoint": Box(700, 245, "page checkpoint", "store"),
        "assemble": Box(700, 325, "assemble\nMarkdown, JSON, report", "ours", 170),
        "commit": Box(700, 425, "result.json\nwritten last", "store"),
        "client": Box(890, 160, "VLLMClient\nlimiter, retries,\nbreaker", "ours", 130),
        "server": Box(890, 290, "vLLM, or the\ndev server", "other", 130),
        "table": Box(460, 425, "one row for each\nmanifest entry", "store", 160),
        "checks": Box(260, 425, "asset checks", "ours", 120),
        "quarantine": Box(460, 320, "quarantine note", "bad"),
    },
    (
        Arrow("folder", "manifest"),
        Arrow("bucket", "manifest", "sensor"),
        Arrow("kafka", "manifest", "sensor"),
        Arrow("kafka", "letters", "refused"),
        Arrow("manifest", "source"),
        Arrow("source", "render"),
        Arrow("render", "extract"),
        Arrow("extract", "checkpoint"),
        Arrow("checkpoint", "assemble"),
        Arrow("assemble", "commit"),
        Arrow("extract", "client", both=True),
        Arrow("client", "server", "HTTP", both=True),
        Arrow("commit", "table"),
        Arrow("table", "checks"),
        Arrow("table", "quarantine", "failed"),
    ),
    (Frame(600, 15, 205, 460, "parsed_documents"),),
)

STATES = Diagram(
    920,
    390,
    "The states of a manifest entry; in whichever it is, it has one row in its batch's table",
    {
        "entry": Box(90, 90, "entry of\na manifest", "other", 120),
        "accepted": Box(420, 90, "accepted", "ours", 120),
        "parsed": Box(790, 50, "parsed", "end", 120),
        "degraded": Box(790, 140, "degraded", "end", 120),
        "rejected": Box(90, 240, "rejected", "end", 120),
        "failed": Box(420, 240, "failed\nnote in the quarantine", "bad", 180),
        "dropped": Box(420, 350, "note dropped\nrecord of who and why", "end", 180),
        "waits": Box(790, 240, "waits for somebody", "bad", 150),
    },
    (
        Arrow("entry", "accepted", "bytes read and probed"),
        Arrow("entry", "rejected", "nobody could parse it"),
        Arrow("entry", "failed", "bytes cannot be had"),
        Arrow("accepted", "parsed", "all from the model"),
        Arrow("accepted", "degraded", "something fell back"),
        Arrow("accepted", "failed", "its own error", shift=-45),
        Arrow("failed", "accepted", "tried again", shift=-45),
        Arrow("failed", "waits", "retries are spent"),
        Arrow("failed", "dropped", "quarantine drop"),
    ),
)

KUBERNETES = Diagram(
    1060,
    560,
    "The deployment in Kubernetes and its main paths; whatever the network policies do not name is denied",
    {
        "people": Box(80, 90, "ingress", "other", 110),
        "proxies": Box(320, 90, "oauth2-proxy ×2\nread-only, operators", "ours", 160),
        "web": Box(560, 90, "webserver ×2\nread-only, operators", "ours", 160),
        "daemon": Box(320, 230, "daemon", "ours", 130),
        "code": Box(560, 230, "code location", "ours", 140),
        "runs": Box(320, 390, "run pods, 8 at most\n2 CPU, 4 GiB each", "ours", 170),
        "model": Box(560, 390, "vLLM, a GPU each\na Service for each", "ours", 170),
        "weights": Box(560, 490, "weights\nread-only volume", "store", 150),
        "api": Box(80, 300, "Kubernetes API", "other", 130),
        "prometheus": Box(80, 480, "Prometheus", "other", 120),
        "database": Box(890, 90, "PostgreSQL\nfor runs and all of Dagster", "store", 220),
        "kafka": Box(890, 230, "Kafka\nfor the code location alone", "store", 220),
        "store": Box(890, 390, "MinIO or S3\nfor runs and all of Dagster", "store", 220),
    },
    (
        Arrow("people", "proxies"),
        Arrow("proxies", "web"),
        Arrow("web", "code"),
        Arrow("daemon", "code"),
        Arrow("daemon", "api", "asks for Jobs"),
        Arrow("api", "runs", "starts them"),
        Arrow("runs", "model", "HTTP"),
        Arrow("model", "weights"),
        Arrow("web", "database"),
        Arrow("code", "kafka"),
        Arrow("prometheus", "runs", "9464"),
        Arrow("prometheus", "model", "8000"),
    ),
    (
        Frame(215, 25, 450, 520, "namespace"),
        Frame(765, 25, 250, 520, "outside; inside in development"),
    ),
)

#: What is asked on call, in this order, and where a yes leads.
QUESTIONS = (
    ("PipelineUnobserved?", "exporter, store or database first:\nthe other figures are blind"),
    (
        "ModelServerDown, ModelServerErrors\nor GPUXidError?",
        "model server: restart without loss;\nafter a release go back",
    ),
    ("Outage or CircuitBreakerOpen?", "network, DNS, policies or key\nbetween workers and server"),
    ("DaemonSilent or AutomationFails?", "Dagster: daemon, database,\ncode location"),
    ("StoreFillsUp, VolumeFillsUp\nor BrokerLost?", "room or brokers"),
    ("NoPageFinished or RunsFail?", "the log of the latest run"),
    ("QualityGateRed, Drift\nor PagesNotRead?", "in office hours, unless a release\nhas just gone out: then go back"),
)


def _on_call() -> Diagram:
    """One question below the other; what is left over at the end is late or too little."""
    step = 78
    boxes = {"page": Box(180, 40, "an alert rings", "bad", 280)}
    arrows = []
    before = "page"
    for number, (asked, found) in enumerate(QUESTIONS, start=1):
        question, answer = f"question-{number}", f"answer-{number}"
        boxes[question] = Box(180, 40 + step * number, asked, "other", 280)
        boxes[answer] = Box(570, 40 + step * number, found, "ours", 280)
        arrows += [Arrow(before, question, "" if before == "page" else "no"), Arrow(question, answer, "yes")]
        before = question
    boxes["late"] = Box(
        180, 40 + step * (len(QUESTIONS) + 1), "too late or too few:\ncapacity, quarantine", "ours", 280
    )
    arrows.append(Arrow(before, "late", "no"))
    title = "On call: which alert is the cause, and what to look at then"
    return Diagram(730, 80 + step * (len(QUESTIONS) + 1), title, boxes, tuple(arrows))


DIAGRAMS = {
    "context.svg": CONTEXT,
    "way-of-a-document.svg": WAY,
    "states.svg": STATES,
    "kubernetes.svg": KUBERNETES,
    "on-call.svg": _on_call(),
}


def draw(diagram: Diagram) -> str:
    """Return the picture as SVG; it carries its own white ground, so that it can be read on a dark page."""
    size = f'viewBox="0 0 {diagram.width} {diagram.height}" width="{diagram.width}" height="{diagram.height}"'
    title = escape(diagram.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="13">',
        f"<title>{title}</title>",
        _TIP,
        f'<rect width="{diagram.width}" height="{diagram.height}" fill="#fff"/>',
        *map(_frame, diagram.frames),
        *(_line(each, diagram.boxes) for each in diagram.arrows),
        *map(_box, diagram.boxes.values()),
        *(_label(each, diagram.boxes) for each in diagram.arrows if each.label),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(frame: Frame) -> str:
    where = f'x="{frame.x}" y="{frame.y}" width="{frame.width}" height="{frame.height}"'
    words = f'<text x="{frame.x + 10}" y="{frame.y + frame.height - 8}" fill="#666">{escape(frame.title)}</text>'
    return f'<rect {where} rx="6" fill="none" stroke="#999" stroke-dasharray="5 4"/>\n{words}'


def _box(box: Box) -> str:
    left, top = box.x - box.width // 2, box.y - box.height // 2
    where = f'x="{left}" y="{top}" width="{box.width}" height="{box.height}"'
    lines = [
        f'<text x="{box.x}" y="{top + 22 + LINE * place}" text-anchor="middle">{escape(line)}</text>'
        for place, line in enumerate(box.text.split("\n"))
    ]
    return "\n".join([f'<rect {where} rx="5" fill="{FILLS[box.kind]}" stroke="#555"/>', *lines])


def _line(arrow: Arrow, boxes: Mapping[str, Box]) -> str:
    (x1, y1), (x2, y2) = _ends(arrow, boxes)
    both = ' marker-start="url(#tip)"' if arrow.both else ""
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#444" marker-end="url(#tip)"{both}/>'


def _label(arrow: Arrow, boxes: Mapping[str, Box]) -> str:
    (x1, y1), (x2, y2) = _ends(arrow, boxes)
    where = f'x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 + 4:.0f}"'
    halo = 'font-size="11" stroke="#fff" stroke-width="4" paint-order="stroke" fill="#333"'
    return f'<text {where} text-anchor="middle" {halo}>{escape(arrow.label)}</text>'


def _ends(arrow: Arrow, boxes: Mapping[str, Box]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the line between two centres leaves the first box and meets the second."""
    start, end = boxes[arrow.start], boxes[arrow.end]
    dx, dy = end.x - start.x, end.y - start.y
    length = (dx * dx + dy * dy) ** 0.5
    across = (-dy / length * arrow.shift, dx / length * arrow.shift)
    return _edge(start, dx, dy, across), _edge(end, -dx, -dy, across)


def _edge(box: Box, dx: float, dy: float, across: tuple[float, float]) -> tuple[float, float]:
    reach = min(
        box.width / 2 / abs(dx) if dx else float("inf"),
        box.height / 2 / abs(dy) if dy else float("inf"),
    )
    return box.x + dx * reach + across[0], box.y + dy * reach + across[1]


def differing(folder: Path) -> list[str]:
    """Return the pictures in ``folder`` that are missing or not what is drawn now."""
    return [
        name
        for name, diagram in DIAGRAMS.items()
        if not (folder / name).is_file() or (folder / name).read_text() != draw(diagram)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Draw them, or with ``--check`` compare them; return 1 when one differs."""
    parser = argparse.ArgumentParser(description="Draws the diagrams.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which pictures differ")
    options = parser.parse_args(arguments)
    if not options.check:
        for name, diagram in DIAGRAMS.items():
            (FOLDER / name).write_text(draw(diagram))
        return 0
    names = differing(FOLDER)
    for name in names:
        print(f"{name} differs from what is drawn; run docs/diagrams/make_diagrams.py and commit the result")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
