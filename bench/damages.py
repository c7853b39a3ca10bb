"""Which damage the gate catches, by which family, from how many documents: ``python -m bench.damages --out STORE``.

The baseline corpus is parsed as ``mineru-pipeline run`` does with the settings in effect, so by the development server
where no other is set, and that parse is the baseline. The candidate is the same parse with one kind of damage, drawn
anew for each seed. Both are scored and judged on random parts of the corpus, smaller and larger ones. ``--out`` takes
a store, which is reused: what has been parsed is not parsed again. ``--faithful`` takes a parse without any fault as
the baseline instead, and needs no server.

*Caught* means rejected in four of five seeds or more. A smaller loss can be certain without being worse than what is
tolerated: then it is shown and not caught. A new catastrophic page is refused without any gate, be it the only one.

Figures go to ``bench/damages.json``; ``--markdown`` prints the table of docs/quality.md from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

from bench.olmocr_assertions import parse
from bench.word_recall import find_outputs, find_row, read_rows
from mineru_pipeline.quality.corpus import SEEDS, corpus_version, generate
from mineru_pipeline.quality.damage import Entry, damaged, faithful
from mineru_pipeline.quality.gates.corpus import CorpusGate
from mineru_pipeline.quality.gates.judge import combine
from mineru_pipeline.quality.gates.model import Decision, PairedScores, Verdict
from mineru_pipeline.quality.gates.policy import POLICIES
from mineru_pipeline.quality.gates.sequential import SequentialGate
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import Family
from mineru_pipeline.quality.truth import DocumentTruth
from mineru_pipeline.settings import project_root

#: What is done to the parse, in words, with the kind of damage and its rate.
CASES: Final[Mapping[str, tuple[str, float]]] = {
    "nothing": ("drop_words", 0.0),
    "words dropped, 2% worse text": ("drop_words", 0.04),
    "words dropped, 7% worse text": ("drop_words", 0.135),
    "columns swapped on every page": ("swap_columns", 1.0),
    "columns swapped on half of the pages": ("swap_columns", 0.5),
    "3% of table rows dropped": ("drop_rows", 0.03),
    "10% of table rows dropped": ("drop_rows", 0.10),
    "2% of pages blank": ("blank_pages", 0.02),
    "10% of pages blank": ("blank_pages", 0.10),
    "1% of digits replaced": ("replace_digits", 0.01),
    "5% of digits replaced": ("replace_digits", 0.05),
    "5% of paragraphs three times": ("repeat_paragraphs", 0.05),
    "20% of paragraphs three times": ("repeat_paragraphs", 0.20),
    "5% of headings lost": ("lose_headings", 0.05),
    "20% of headings lost": ("lose_headings", 0.20),
    "30% of margins in the text": ("leak_margins", 0.30),
    "10% of formulas' tokens lost": ("mangle_latex", 0.10),
}
#: Documents of the corpus that are looked at; the last is all of it.
SIZES: Final = (20, 30, 45, 60, 75, 90)
#: The share of seeds in which a damage must be caught to count.
POWER: Final = 0.8

#: Family → document → score; the documents of each are the same for all.
Scores = dict[str, dict[str, float | None]]
#: What a comparison refuses besides what its gates reject.
NO_NEW_CATASTROPHE: Final = "no new catastrophic page"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document of the corpus: its truth, and what the parse to be damaged says."""

    truth: DocumentTruth
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a parse, and its catastrophic pages by their document's name and their number."""

    families: Scores
    catastrophic: frozenset[tuple[str, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, damage, score, judge, print and keep the figures."""
    options = _parser().parse_args(arguments)
    if options.markdown:
        print(table(json.loads(options.results.read_text())))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        documents = _faithful() if options.faithful else _parsed(options.out or Path(temporary), Path(temporary))
    baseline = scored(documents, "drop_words", 0.0, 0)
    # Not forked: the numerical libraries have threads by now.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = [
            {
                "damage": words,
                **judged(baseline, _candidates(pool, documents, kind, rate, options.seeds), options.draws),
            }
            for words, (kind, rate) in CASES.items()
            if sys.stderr.write(f"{words}\n")
        ]
    results = {
        "baseline": "a parse without fault" if options.faithful else "the parse of the settings in effect",
        "corpus": corpus_version(SEEDS["baseline"]),
        "documents": len(documents),
        "seeds": options.seeds,
        "draws": options.draws,
        "rows": rows,
    }
    options.results.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print(table(results))
    return 0


def scored(documents: Sequence[Parsed], kind: str, rate: float, seed: int) -> Scored:
    """Scores of the damaged parse of each document."""
    families: Scores = {family.value: {} for family in Family}
    catastrophic = set()
    for document in documents:
        name = document.truth.name
        # Of each document by its own dice: with the same ones all would lose the same page.
        dice = Random(f"{seed} {name}").randrange(2**63)
        found = score_document(document.truth, damaged(document.entries, kind, rate, dice))
        for family, value in found.families.items():
            families[family.value][name] = value
        catastrophic |= {(name, page.page) for page in found.pages if page.catastrophe}
    return Scored(families, frozenset(catastrophic))


def judged(baseline: Scored, candidates: Sequence[Scored], draws: int) -> dict[str, Any]:
    """What both gates say, by number of documents: shares over seeds and drawn parts of the corpus."""
    names = sorted(baseline.families[Family.TEXT.value])
    sizes = [size for size in SIZES if size <= len(names)]
    return {
        "by_documents": {size: _looked_at(baseline, candidates, size, draws) for size in sizes},
        "sequential": _sequential(baseline.families, [candidate.families for candidate in candidates]),
        "scores": _means(candidates),
    }


def _looked_at(baseline: Scored, candidates: Sequence[Scored], size: int, draws: int) -> dict[str, Any]:
    """What the corpus gate and the rule about pages say when they see so many documents."""
    names = sorted(baseline.families[Family.TEXT.value])
    rejected, lower = Counter[str](), Counter[str]()
    decisions = []
    for draw in range(draws if size < len(names) else 1):
        part = Random(draw).sample(names, size)
        for candidate, verdicts in zip(candidates, _verdicts(baseline, candidates, part), strict=True):
            judgement = combine(verdicts, CorpusGate().alpha)
            decisions.append(judgement.decision)
            for verdict in judgement.verdicts:
                rejected[verdict.family] += verdict.decision is Decision.REJECT
                lower[verdict.family] += verdict.is_lower
            new = {name for name, _page in candidate.catastrophic - baseline.catastrophic}
            rejected[NO_NEW_CATASTROPHE] += not new.isdisjoint(part)
    return {
        "rejected": {family: count / len(decisions) for family, count in sorted(rejected.items())},
        "lower": {family: count / len(decisions) for family, count in sorted(lower.items())},
        "decisions": {decision.value: decisions.count(decision) / len(decisions) for decision in Decision},
    }


def _verdicts(baseline: Scored, candidates: Sequence[Scored], part: Sequence[str]) -> Iterator[list[Verdict]]:
    """The verdicts of all families, candidate by candidate."""
    gate = CorpusGate()
    families = [
        gate.judge_many([_paired(family, baseline, candidate, part) for candidate in candidates])
        for family in sorted(POLICIES)
    ]
    return (list(verdicts) for verdicts in zip(*families, strict=True))


def _paired(family: str, baseline: Scored, candidate: Scored, part: Sequence[str]) -> PairedScores:
    before, after = ({name: side.families[family][name] for name in part} for side in (baseline, candidate))
    return PairedScores.of(family, before, after)


def _sequential(baseline: Scores, candidates: Sequence[Scores]) -> dict[str, Any]:
    """By family: in which share of seeds documents in random order get it rejected, and after how many."""
    gate, found = SequentialGate(), {}
    for family in sorted(POLICIES):
        ends = []
        for seed, candidate in enumerate(candidates):
            names = [name for name, score in baseline[family].items() if score is not None]
            # Live traffic goes on where the corpus ends, so its documents come again and again in other orders.
            stream = [
                f"{name} {turn}" for turn in range(5) for name in Random(f"{seed} {turn}").sample(names, len(names))
            ]
            before, after = (
                tuple(float(side[family][name.rpartition(" ")[0]] or 0.0) for name in stream)
                for side in (baseline, candidate)
            )
            verdict = gate.judge(PairedScores(family, tuple(stream), before, after))
            ends.append(verdict.documents if verdict.decision is Decision.REJECT else None)
        caught = [end for end in ends if end is not None]
        found[family] = {"rejected": len(caught) / len(ends), "documents": median(caught) if caught else None}
    return found


def _means(candidates: Sequence[Scored]) -> dict[str, float | None]:
    """The mean of each family over documents and seeds."""
    values = {
        family.value: [
            score for one in candidates for score in one.families[family.value].values() if score is not None
        ]
        for family in Family
    }
    return {family: round(sum(found) / len(found), 4) if found else None for family, found in values.items()}


def table(results: Mapping[str, Any]) -> str:
    """The table for people, in Markdown."""
    lines = [
        "| damage | caught by | documents of the corpus | one after the other | a loss is shown from | all documents |",
        "|---|---|---:|---:|---:|---|",
    ]
    for row in results["rows"]:
        lines += _lines(row, str(results["documents"]))
    return "\n".join(lines)


def _lines(row: Mapping[str, Any], most: str) -> Iterator[str]:
    """A line for each family that catches the damage, or one that says that none does."""
    by_size = {str(size): found for size, found in row["by_documents"].items()}
    decisions = ", ".join(f"{share:.0%} {name}" for name, share in by_size[most]["decisions"].items() if share)
    caught, lower = (_first(by_size, which) for which in ("rejected", "lower"))
    looked = {family: one["documents"] for family, one in row["sequential"].items() if one["rejected"] >= POWER}
    families = sorted(caught.keys() | looked, key=lambda family: (family == NO_NEW_CATASTROPHE, family))
    if not families:
        what = f"not caught; lower in {', '.join(sorted(lower))}" if lower else "not caught"
        yield f"| {row['damage']} | {what} | – | – | {min(lower.values(), default='–')} | {decisions} |"
    for place, family in enumerate(families):
        sizes = f"{caught.get(family, '–')} | {_rounded(looked.get(family))} | {lower.get(family, '–')}"
        yield f"| {row['damage'] if place == 0 else ''} | {family} | {sizes} | {decisions if place == 0 else ''} |"


def _rounded(documents: float | None) -> str:
    return "–" if documents is None else f"{documents:.0f}"


def _first(by_size: Mapping[str, Any], which: str) -> dict[str, int]:
    """By family the number of documents from which enough seeds show it."""
    return {
        family: int(size)
        for size, found in reversed(list(by_size.items()))
        for family, share in found[which].items()
        if share >= POWER
    }


def _candidates(
    pool: ProcessPoolExecutor, documents: Sequence[Parsed], kind: str, rate: float, seeds: int
) -> list[Scored]:
    return list(pool.map(partial(scored, documents, kind, rate), range(seeds if rate > 0 else 1)))


def _faithful() -> list[Parsed]:
    return [Parsed(document.truth, faithful(document.truth)) for document in generate(SEEDS["baseline"])]


def _parsed(store: Path, folder: Path) -> list[Parsed]:
    corpus = list(generate(SEEDS["baseline"]))
    files = {document.name: folder / f"{document.name}.pdf" for document in corpus}
    for document in corpus:
        files[document.name].write_bytes(document.pdf)
    parse(list(files.values()), store)
    rows = read_rows(store)
    found = []
    for document in corpus:
        row = find_row(files[document.name], rows)
        outputs = find_outputs(store, row) if row else None
        entries = json.loads((outputs / "content_list.json").read_text(encoding="utf-8")) if outputs else []
        found.append(Parsed(document.truth, entries))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.damages", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--out", type=Path, help="store of the parse, kept and reused; a temporary one by default")
    parser.add_argument("--faithful", action="store_true", help="damage a parse without fault instead of a real one")
    parser.add_argument("--seeds", type=int, default=20, help="times that each damage is drawn")
    parser.add_argument("--draws", type=int, default=10, help="parts of the corpus that are drawn for each size")
    parser.add_argument("--results", type=Path, default=project_root() / "bench" / "damages.json")
    parser.add_argument("--markdown", action="store_true", help="print the table from --results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
