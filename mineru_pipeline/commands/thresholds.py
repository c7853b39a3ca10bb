"""``mineru-pipeline thresholds``: finds the cuts of the bands, and proves that they still hold."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from mineru_pipeline.commands import material, spoiling
from mineru_pipeline.commands.material import Material, assess
from mineru_pipeline.commands.watching import plain_bars
from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality import bands
from mineru_pipeline.quality.bands import Band, Scale, Share, Source, Thresholds
from mineru_pipeline.quality.calibration import DECIDING, Judged, disagreement, find_cuts, left_out, true_band
from mineru_pipeline.quality.corpus import SEEDS, corpus_version, generate
from mineru_pipeline.quality.holding import AS_READ, LEFT_OUT
from mineru_pipeline.quality.reading import decoded
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from resources.parsing import model_of, revisions_of

EXIT_OK, EXIT_DRIFT = 0, 1
#: Files of the package, beside each other.
THRESHOLDS, DOCUMENTS, CASES, MATERIAL = "thresholds.json", "calibrated.json", "cases.json", "material.jsonl.gz"
DAMAGED = "damaged"
#: Damages a document, so that poor parses are as many as good ones.
_DAMAGES: Final = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A document known by name, and the band that people expect of it."""

    name: str
    document: str
    expected: Band
    damage: str = ""
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Selected:
    """To which selection a document of the calibration belongs."""

    selection: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one case."""

    name: str
    expected: str
    band: str
    because: str
    #: By the scores against its truth.
    true_band: str

    @property
    def holds(self) -> bool:
        """Whether the case has the band that is expected."""
        return self.band == self.expected


def calibrate(settings: Settings, store: ObjectStore, out: Path, console: Console, *, as_json: bool) -> int:
    """Find the cuts on the parse of the baseline corpus in ``store``, and write the files of the package to ``out``.

    Raises:
        GateInputError: the corpus was not parsed with these settings, or ``out`` cannot be written.
    """
    check_writable(out)
    with plain_bars(console) as bars:
        materials = _gathered(settings, store, "baseline", bars)
        scale = Scale()
        judged = _judged(bars.track(materials.values(), description="judged"), scale)
    calibrated = [*judged[AS_READ], *judged[DAMAGED]]
    model = model_of(settings)
    source = Source(
        corpus_version(SEEDS["baseline"]),
        revisions_of(settings).parser,
        model.name,
        stand_in=model.is_stand_in,
        date=datetime.now(UTC).date().isoformat(),
    )
    with console.status("the cuts are looked for"):
        thresholds = Thresholds(source, scale, find_cuts(calibrated))
        strangers = dict(zip((document.name for document in calibrated), left_out(calibrated), strict=True))
    shares = _shares(thresholds, judged)
    shares[LEFT_OUT] = disagreement(judged[AS_READ], [strangers[document.name] for document in judged[AS_READ]])
    thresholds = replace(thresholds, disagreement=shares)
    wanted = sorted({case.document for case in cases()})
    write_all(
        out,
        {
            MATERIAL: material.pack({name: materials[name] for name in wanted}),
            DOCUMENTS: _documents_json(judged).encode(),
            THRESHOLDS: thresholds.to_json().encode(),
        },
    )
    _show_shares(shares, console)
    if warning := one_sided(calibrated):
        console.print(f"[yellow]{warning}[/]", soft_wrap=True)
    console.print(
        f"Written to {escape(str(out))}; look at what changed, then run mineru-pipeline thresholds validate",
        soft_wrap=True,
    )
    if as_json:
        report = {
            "written": str(out),
            "version": thresholds.version,
            "source": asdict(source),
            "disagreement": {name: asdict(share) for name, share in shares.items()},
            "warning": warning or None,
        }
        print(json.dumps(report))  # noqa: T201  # the product of --json
    return EXIT_OK


def validate(console: Console, *, as_json: bool, thresholds: Thresholds | None = None) -> int:
    """Prove that every case has its band and that the shares are still within their bounds; returns the exit code.

    From the answers of a model onwards everything is computed anew: assembly, signals, bands, scores. The answers, the
    text layers and the ink are those of the calibration.
    """
    thresholds = thresholds or bands.shipped()
    materials, known = material.unpack(packed_materials()), cases()
    if lacking := sorted({case.document for case in known} - set(materials)):
        raise GateInputError(f"{MATERIAL} lacks {', '.join(lacking[:5])}: calibrate anew")
    findings = [_finding(case, materials[case.document], thresholds) for case in known]
    shares = _shares(thresholds, documents())
    check_whole(findings, shares, thresholds)
    outside = [
        name
        for name, share in shares.items()
        if not thresholds.disagreement[name].low <= share.share <= thresholds.disagreement[name].high
    ]
    drifted = [finding.name for finding in findings if not finding.holds]
    if as_json:
        report = {
            "holds": not (drifted or outside),
            "version": thresholds.version,
            "source": asdict(thresholds.source),
            "cases": [{**asdict(finding), "holds": finding.holds} for finding in findings],
            "disagreement": {name: {**asdict(share), "holds": name not in outside} for name, share in shares.items()},
        }
        print(json.dumps(report))  # noqa: T201  # the product of --json
    else:
        _show_cases(findings, console)
        _show_shares(shares, console)
        source = thresholds.source
        reader = f"{source.model}, a stand-in and no MinerU" if source.stand_in else source.model
        console.print(f"calibrated on {source.date} with {reader}, corpus {source.corpus_version}")
        for name in (*drifted, *outside):
            console.print(f"[red]drifted:[/] {escape(name)}")
    return EXIT_DRIFT if drifted or outside else EXIT_OK


def measure(settings: Settings, store: ObjectStore, seed: str, console: Console, *, as_json: bool) -> int:
    """Say how many documents of a seed have another band than their scores; by stratum, never by document.

    Raises:
        GateInputError: the corpus of this seed was not parsed with these settings.
    """
    if seed not in SEEDS:
        raise GateInputError(f"there is no seed {seed!r}; there are {', '.join(SEEDS)}")
    thresholds = bands.shipped()
    with plain_bars(console) as bars:
        materials = _gathered(settings, store, seed, bars)
        judged = _judged(bars.track(materials.values(), description="judged"), thresholds.scale)
    shares = _shares(thresholds, judged)
    for group in sorted({document.group for document in judged[AS_READ]}):
        members = [document for document in judged[AS_READ] if document.group == group]
        shares[group] = disagreement(members, [thresholds.band(document.signals)[0] for document in members])
    if as_json:
        report = {name: asdict(share) for name, share in shares.items()}
        print(json.dumps({"seed": seed, "version": thresholds.version, "disagreement": report}))  # noqa: T201  # as above
    else:
        _show_shares(shares, console)
    return EXIT_OK


def cases() -> list[Case]:
    """Return the named cases, with what people expect of them."""
    return read_cases(_data(CASES))


def read_cases(text: str) -> list[Case]:
    """Read a file of cases; raises GateInputError where it is none, or names a damage that there is not."""
    try:
        found = decoded(list[Case], text)
    except ValueError as error:
        raise GateInputError(f"{CASES} is damaged: {error}") from error
    if strange := sorted({case.damage for case in found if case.damage} - set(spoiling.KINDS)):
        raise GateInputError(f"{CASES}: there is no damage {', '.join(strange)}")
    return found


def check_whole(findings: Sequence[Finding], shares: Mapping[str, Share], thresholds: Thresholds) -> None:
    """Refuse to prove anything by nothing: without a case, or without the documents that shares are counted of.

    Raises:
        GateInputError: something is missing.
    """
    wanted = (AS_READ, DAMAGED)
    counted = [name for name in wanted if name in thresholds.disagreement and name in shares]
    missing = [name for name in wanted if name not in counted]
    missing += [name for name in counted if shares[name].documents != thresholds.disagreement[name].documents]
    if missing or not findings:
        what = f"documents {', '.join(missing)}" if missing else "cases"
        raise GateInputError(f"{THRESHOLDS}, {DOCUMENTS} and {CASES} do not belong together: not all {what} are there")


def one_sided(documents: Sequence[Judged]) -> str:
    """Say which bands no document has by its scores, as where a server read nothing at all; "" where each has some."""
    unseen = [band.value for band in Band if band not in {document.band for document in documents}]
    if not unseen:
        return ""
    return (
        f"By its scores no document is {' or '.join(unseen)}, so these cuts cannot tell it from the others. Is this "
        "the parse of the model that you mean?"
    )


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written before a minute of work is lost; raises GateInputError."""
    place = folder.absolute()
    there = next(each for each in (place, *place.parents) if each.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise GateInputError(f"{folder} cannot be written: choose another --out")


def write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files so that each is whole whenever the command dies, and the last one is there only with the others.

    Raises:
        GateInputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            (folder / f".{name}").write_bytes(data)
        for name in contents:
            (folder / f".{name}").replace(folder / name)
    except OSError as error:
        raise GateInputError(f"{folder} cannot be written: {error.strerror or error}") from error


def packed_materials() -> bytes:
    """Return the file of what the cases are made of."""
    return files("mineru_pipeline.quality").joinpath("thresholds", MATERIAL).read_bytes()


def _gathered(settings: Settings, store: ObjectStore, seed: str, bars: Progress) -> dict[str, Material]:
    task = bars.add_task("drawn", total=None)

    async def found() -> dict[str, Material]:
        materials: dict[str, Material] = {}
        async for each in material.gather(settings, store, generate(SEEDS[seed])):
            materials[each.truth.name] = each
            bars.update(task, completed=len(materials))
        return materials

    return asyncio.run(found())


def _judged(materials: Iterable[Material], scale: Scale) -> dict[str, list[Judged]]:
    """Every document as it was read, and with several kinds of damage by turns."""
    kinds, turn = list(spoiling.KINDS), 0
    found: dict[str, list[Judged]] = {AS_READ: [], DAMAGED: []}
    for each in materials:
        found[AS_READ] += _judge(each, each.truth.name, scale)
        for _ in range(_DAMAGES):
            kind, rate = kinds[turn % len(kinds)], spoiling.RATES[turn // len(kinds) % len(spoiling.RATES)]
            turn += 1
            found[DAMAGED] += _judge(spoiling.spoiled(each, kind, rate), f"{each.truth.name} {kind} {rate:g}", scale)
    return found


def _judge(each: Material, name: str, scale: Scale) -> list[Judged]:
    found = assess(each)
    band = true_band(found.scores, scale)
    signals = {signal: found.signals[signal] for signal in DECIDING}
    return [] if band is None else [Judged(name, each.truth.stratum, signals, band)]


def _shares(thresholds: Thresholds, judged: Mapping[str, Sequence[Judged]]) -> dict[str, Share]:
    return {
        name: disagreement(documents, [thresholds.band(document.signals)[0] for document in documents])
        for name, documents in judged.items()
    }


def _finding(case: Case, whole: Material, thresholds: Thresholds) -> Finding:
    found = assess(spoiling.spoiled(whole, case.damage, case.rate) if case.damage else whole)
    band, because = thresholds.band(found.signals)
    return Finding(case.name, case.expected, band, because, true_band(found.scores, thresholds.scale) or "")


def _documents_json(judged: Mapping[str, Sequence[Judged]]) -> str:
    # A line a document, so that a change can be read.
    lines = [
        json.dumps({"selection": name, **asdict(document)}, sort_keys=True)
        for name, documents in judged.items()
        for document in documents
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def documents() -> dict[str, list[Judged]]:
    """Return the documents of the calibration by selection."""
    return read_documents(_data(DOCUMENTS))


def read_documents(text: str) -> dict[str, list[Judged]]:
    """Read a file of documents; raises GateInputError where it is none."""
    found: dict[str, list[Judged]] = {}
    try:
        # Each record is a selection, and beside it what is judged.
        for selected, judged in zip(decoded(list[_Selected], text), decoded(list[Judged], text), strict=True):
            found.setdefault(selected.selection, []).append(judged)
    except ValueError as error:
        raise GateInputError(f"{DOCUMENTS} is damaged: {error}") from error
    return found


def _data(name: str) -> str:
    return files("mineru_pipeline.quality").joinpath("thresholds", name).read_text("utf-8")


def _show_cases(findings: Sequence[Finding], console: Console) -> None:
    table = Table(header_style="bold", box=SIMPLE)
    for name in ("case", "expected", "band", "because of", "by its scores"):
        table.add_column(name)
    for each in findings:
        style = "" if each.holds else "red"
        table.add_row(each.name, each.expected, each.band, each.because, each.true_band, style=style)
    console.print(table)


def _show_shares(shares: Mapping[str, Share], console: Console) -> None:
    table = Table(header_style="bold", box=SIMPLE)
    for name in ("documents", "of them", "in another band", "by two bands", "share", "95 % bounds"):
        table.add_column(name, justify="left" if name == "documents" else "right")
    for name, share in shares.items():
        limits = f"{share.low:.1%} – {share.high:.1%}"
        row = (name, str(share.documents), str(share.wrong), str(share.far), f"{share.share:.1%}", limits)
        table.add_row(*row)
    console.print(table)
