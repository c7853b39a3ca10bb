"""``mineru-pipeline baseline``: measure the corpus, compare it with what was accepted, and accept something new."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mineru_pipeline.commands import baseline_text as text
from mineru_pipeline.commands.terminal import somebody
from mineru_pipeline.commands.watching import plain_bars, progress_bars
from mineru_pipeline.documents.refs import is_unicode, utc_moment, utc_text
from mineru_pipeline.errors import QualityError, RunInterruptedError
from mineru_pipeline.quality import baselines, measurements, presentation
from mineru_pipeline.quality.baselines import Acceptance, Baseline
from mineru_pipeline.quality.examination import Examination, examine
from mineru_pipeline.quality.gates.model import Decision
from mineru_pipeline.quality.measurements import Begun, Corpus, Measurement, Selection, Told
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from resources import measuring
from resources.documents import open_store
from resources.parsing import model_of, revisions_of

EXIT_OK, EXIT_BAD, EXIT_STOPPED, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED = 0, 1, 3, 4, 130
EXITS = {Decision.ACCEPT: EXIT_OK, Decision.REJECT: EXIT_BAD, Decision.INCONCLUSIVE: EXIT_INCONCLUSIVE}
#: Measurements of the command; those of Dagster go on with their run.
ORIGIN = "command"
#: What was interrupted longer ago is not gone on with: half of it would be of another day.
RESUMED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which measurement and which baseline are meant; None leaves it to the command."""

    measurement: str | None
    baseline: str | None
    seed: str


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody says who accepts a baseline."""

    why: str
    by: str | None
    despite: str
    name: str | None
    file: Path | None


def show(settings: Settings, *, as_json: bool, console: Console) -> int:
    """List the baselines, and the measurements on the corpora that this installation makes."""
    store = open_store(settings)
    known = baselines.accepted(store)
    found = [each for corpus in _corpora(known) for each in measurements.begun(store, corpus)]
    complete = [made for each in found if (made := measurements.find(store, each)) is not None]
    text.show_baselines(console, known)
    text.show_measurements(console, complete, unfinished=len(found) - len(complete))
    if as_json:
        _answer(
            {
                "baselines": [text.baseline_values(each, known) for each in known],
                "measurements": [text.measurement_values(each) for each in complete],
                "unfinished": len(found) - len(complete),
            }
        )
    return EXIT_OK


def measure(settings: Settings, selection: Selection, *, anew: bool, as_json: bool, console: Console) -> int:
    """Make a measurement and score it; exit code 1 where a document was not parsed.

    What was begun within the last day and not finished is gone on with, unless ``anew``.

    Raises:
        PipelineError: it cannot be made, or not be finished now.
    """
    store = open_store(settings)
    with _bar(console, "corpus") as told:
        corpus = measurements.make_corpus(store, selection, told)
    now = datetime.now(UTC)
    begun = None if anew else _unfinished(store, corpus, revisions_of(settings).parser, now)
    if begun is not None:
        # Nobody can tell an interrupted process from one that is still at it, perhaps on another machine.
        console.print(
            f"Going on with the measurement {begun.name}, begun at {begun.started_at} and not finished. If "
            "another process is still measuring it, both end with the same figures. For one of its own: --anew",
            soft_wrap=True,
        )
    else:
        name = measuring.name_of(now, secrets.token_hex(4))
        begun = measuring.begin(settings, store, corpus, name, now, ORIGIN)
    console.print(
        f"Measuring {len(corpus.entries)} documents, {corpus.pages} pages of the corpus {corpus.version} "
        f"({selection.seed}, {selection.name}) with {model_of(settings).name}",
        soft_wrap=True,
    )
    try:
        with progress_bars(console, "documents") as listener:
            made = measuring.measure(settings, store, corpus, begun, listener)
    except (KeyboardInterrupt, RunInterruptedError) as error:
        if isinstance(error, RunInterruptedError) and "workers.timeout_seconds" in str(error):
            raise
        console.print("Interrupted. What was parsed is kept; the same command goes on from there.")
        return EXIT_INTERRUPTED
    with _bar(console, "scores", len(made.documents)) as told:
        measurements.score(store, made, told)
    text.show_measured(console, made, measurements.scores_of(store, made))
    if as_json:
        summary = json.loads(measurements.summary_of(measurements.scores_of(store, made)).to_json())
        _answer(text.measurement_values(made) | {"summary": summary})
    return EXIT_BAD if made.unparsed else EXIT_OK


def compare(settings: Settings, choice: Choice, *, as_json: bool, console: Console) -> int:
    """Compare a measurement with a baseline; the exit code says what came out.

    Raises:
        QualityError: there is no such measurement, or nothing to compare it with.
    """
    found = _examined(settings, choice, open_store(settings))
    if found.comparison is None:
        raise QualityError(text.nothing_to_compare(found, baselines.accepted(open_store(settings))))
    text.show_comparison(console, found)
    if as_json:
        print(found.to_json(), end="")  # noqa: T201  # the product of --json
    return EXITS[found.comparison.decision]


def accept(settings: Settings, choice: Choice, words: Words, *, as_json: bool, console: Console) -> int:
    """Record a measurement as the new baseline; another exit code where the present one is against it.

    Raises:
        QualityError: there is no such measurement, or it cannot be a baseline.
    """
    if not words.why.strip() or not all(map(is_unicode, (words.why, words.by or "", words.despite))):
        raise QualityError("Whoever accepts a baseline says why, in valid Unicode: --why '…'")
    store = open_store(settings)
    found = _examined(settings, choice, store, whole=True)
    made, comparison, now = found.measurement, found.comparison, datetime.now(UTC)
    if comparison is not None:
        text.show_comparison(console, found)
    refused = text.objection(found)
    if refused and not words.despite.strip():
        console.print(f"[red]Not accepted.[/] {refused} Whoever knows better says so: --despite REASON", soft_wrap=True)
        if as_json:
            _answer({"accepted": None, "reason": refused})
        return EXITS[comparison.decision] if comparison else EXIT_BAD
    accepted = Acceptance(
        by=words.by or somebody(),
        why=words.why,
        at=utc_text(now),
        despite=words.despite if refused else "",
        against=comparison.baseline if comparison else None,
        comparison=json.loads(comparison.to_json()) if comparison else None,
    )
    record = baselines.record(words.name or f"{now:%Y-%m-%d}-{made.parser_revision}", made, found.scores, accepted)
    with _new_file(words.file, record.to_json()):
        key = baselines.write(store, record)
    # Somebody may have accepted another one at this moment, and their clock may be ahead.
    known = [record if each.name == record.name else each for each in baselines.accepted(store)]
    first = baselines.current(known, record.corpus, record.model) or record
    line = f"is the baseline of {made.corpus} now" if first is record else f"is accepted, but {first.name} was later"
    console.print(f"[bold]{escape(record.name)}[/] {escape(line)}: {escape(store.uri(key))}", soft_wrap=True)
    if as_json:
        _answer({"accepted": text.baseline_values(record, known), "record": store.uri(key)})
    return EXIT_OK


def report(settings: Settings, choice: Choice, copy: Path | None, *, as_json: bool, console: Console) -> int:
    """Write the report of a measurement, unless it is there, and say where; with ``copy`` into that folder, too.

    Raises:
        QualityError: there is no such measurement, or the folder cannot be written.
    """
    store = open_store(settings)
    found = _examined(settings, choice, store)
    with console.status("the report is drawn"):
        keys = presentation.write(store, found)
    places = {name: store.uri(key) for name, key in keys.items()}
    if copy is not None:
        try:
            copy.mkdir(parents=True, exist_ok=True)
            for key in keys.values():
                (copy / key.rpartition("/")[2]).write_bytes(store.get(key))
        except OSError as error:
            raise QualityError(f"{copy} cannot be written: {error.strerror or error}") from error
        places["copy"] = str(copy)
    for name, address in places.items():
        console.print(f"{name:<12} {escape(address)}", soft_wrap=True)
    if as_json:
        _answer({**places, "measurement": found.measurement.name})
    return EXIT_OK


def _examined(settings: Settings, choice: Choice, store: ObjectStore, *, whole: bool = False) -> Examination:
    """The measurement that is meant, scored, with the comparison; where ``whole``, of all documents."""
    known = baselines.accepted(store)
    made = _meant(settings, choice, store, Selection(choice.seed) if whole else None)
    if choice.seed != made.selection.seed:
        raise QualityError(f"The measurement {made.name} is of the seed {made.selection.seed}: add --seed.")
    return examine(store, made, known, baselines.named(known, choice.baseline) if choice.baseline else None)


def _meant(settings: Settings, choice: Choice, store: ObjectStore, selection: Selection | None) -> Measurement:
    corpus = measurements.corpus_version_of(Selection(choice.seed))
    revision = revisions_of(settings).parser
    if choice.measurement is None:
        made = measurements.latest(store, corpus, parser_revision=revision, selection=selection)
        if made is None:
            raise measurements.not_measured(corpus, selection or Selection(choice.seed), revision)
        return made
    found = [each for each in measurements.begun(store, corpus) if each.name.startswith(choice.measurement)]
    complete = [made for each in found if (made := measurements.find(store, each)) is not None]
    if len(complete) != 1:
        named = ", ".join(each.name for each in complete[-5:]) or "none"
        raise QualityError(
            f"{choice.measurement[:80]!a} begins the names of {len(complete)} complete measurements on {corpus} "
            f"({named}), and one is needed: see mineru-pipeline baseline list"
        )
    return complete[0]


def _corpora(known: Sequence[Baseline]) -> list[str]:
    own = [measurements.corpus_version_of(Selection(seed)) for seed in (measurements.BASELINE, measurements.HELD_BACK)]
    return sorted({*own, *(each.corpus for each in known)})


def _unfinished(store: ObjectStore, corpus: Corpus, revision: str, now: datetime) -> Begun | None:
    """The measurement at which the command was interrupted, unless a later one is complete, or it is of another day."""
    own = [
        each
        for each in measurements.begun(store, corpus.version, revision)
        if each.origin == ORIGIN and each.selection == corpus.selection
    ]
    if not own or utc_moment(own[-1].started_at) < now - RESUMED_WITHIN:
        return None
    newest = measurements.latest(store, corpus.version, parser_revision=revision)
    if newest is not None and newest.name > own[-1].name:
        # It would be finished in vain: what is compared is the newest one.
        return None
    made = measurements.find(store, own[-1])
    return own[-1] if made is None or not measurements.is_scored(store, made) else None


@contextmanager
def _bar(console: Console, label: str, total: int | None = None) -> Iterator[Told]:
    with plain_bars(console) as bars:
        task = bars.add_task(label, total=total)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def _new_file(path: Path | None, content: str) -> Iterator[None]:
    """Write a file if what is done inside succeeds: nothing is accepted whose file cannot be written.

    Raises:
        QualityError: it cannot be written, or is there already, for no record is overwritten.
    """
    if path is None:
        yield
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists():
            raise QualityError(f"{path} is there already, and no record is overwritten: give another --file.")
        temporary.write_text(content, encoding="utf-8")
        yield
        temporary.replace(path)
    except OSError as error:
        raise QualityError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _answer(values: object) -> None:
    # Last, alone and on standard output, for programs.
    print(json.dumps(values, ensure_ascii=False))  # noqa: T201  # the product of --json
