"""Which damage the gate catches, by which family, from how many documents: ``python -m bench.damages --out STORE``.

The baseline corpus is parsed as ``mineru-pipeline run`` does with the settings in effect, so by the development server
where no other is set, and that parse is the baseline. The candidate is the same parse with one kind of damage, drawn
anew for each seed. Both are scored and judged on random parts of the corpus, smaller and larger ones. ``--out`` takes
a store, which is reused: what has been parsed is not parsed again. ``--faithful`` takes a parse without any fault as
the baseline instead, and needs no server.

Figures go to ``bench/damages.json``; ``--markdown`` prints the table of docs/quality.md from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
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


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document of the corpus: its truth, and what the parse to be damaged says."""

    truth: DocumentTruth
    entries: Sequence[Entry]


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


def scored(documents: Sequence[Parsed], kind: str, rate: float, seed: int) -> Scores:
    """Scores of the damaged parse of each document, by family."""
    found: Scores = {family.value: {} for family in Family}
    for document in documents:
        # Of each document by its own dice: with the same ones all would lose the same page.
        dice = Random(f"{seed} {document.truth.name}").randrange(2**63)
        entries = damaged(document.entries, kind, rate, dice)
        for family, value in score_document(document.truth, entries).families.items():
            found[family.value][document.truth.name] = value
    return found


def judged(baseline: Scores, candidates: Sequence[Scores], draws: int) -> dict[str, Any]:
    """What both gates say, by number of documents: shares over seeds and drawn parts of the corpus."""
    names = sorted(baseline[Family.TEXT.value])
    by_size = {}
    for size in (size for size in SIZES if size <= len(names)):
        rejected, decisions, looks = dict.fromkeys(sorted(POLICIES), 0), [], draws if size < len(names) else 1
        for draw in range(looks):
            part = Random(draw).sample(names, size)
            for verdicts in _verdicts(baseline, candidates, part):
                judgement = combine(verdicts, CorpusGate().alpha)
                decisions.append(judgement.decision)
                for verdict in judgement.verdicts:
                    rejected[verdict.family] += verdict.decision is Decision.REJECT
        by_size[size] = {
            "rejected": {family: count / len(decisions) for family, count in rejected.items()},
            "decisions": {decision.value: decisions.count(decision) / len(decisions) for decision in Decision},
        }
    return {"by_documents": by_size, "sequential": _sequential(baseline, candidates), "scores": _means(candidates)}


def _verdicts(baseline: Scores, candidates: Sequence[Scores], part: Sequence[str]) -> Iterator[list[Verdict]]:
    """The verdicts of all families, candidate by candidate."""
    gate = CorpusGate()
    families = [
        gate.judge_many([_paired(family, baseline, candidate, part) for candidate in candidates])
        for family in sorted(POLICIES)
    ]
    return (list(verdicts) for verdicts in zip(*families, strict=True))


def _paired(family: str, baseline: Scores, candidate: Scores, part: Sequence[str]) -> PairedScores:
    before, after = ({name: side[family][name] for name in part} for side in (baseline, candidate))
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


def _means(candidates: Sequence[Scores]) -> dict[str, float | None]:
    """The mean of each family over documents and seeds."""
    values = {
        family.value: [score for one in candidates for score in one[family.value].values() if score is not None]
        for family in Family
    }
    return {family: round(sum(found) / len(found), 4) if found else None for family, found in values.items()}


def table(results: Mapping[str, Any]) -> str:
    """The table for people, in Markdown."""
    most = str(results["documents"])
    lines = [
        "| damage | family that catches it | documents of the corpus | one after the other | accepted with all |",
        "|---|---|---:|---:|---:|",
    ]
    for row in results["rows"]:
        by_size = {str(size): found for size, found in row["by_documents"].items()}
        accepted = f"{by_size[most]['decisions']['accept']:.0%}"
        caught = {
            family: size
            for family in sorted(POLICIES)
            if (size := next((n for n, found in by_size.items() if found["rejected"][family] >= POWER), None))
        }
        looked = {family: one for family, one in row["sequential"].items() if one["rejected"] >= POWER}
        for family in sorted(caught.keys() | looked) or ["not caught"]:
            size = caught.get(family, "–")
            after = f"{looked[family]['documents']:.0f}" if family in looked else "–"
            lines.append(f"| {row['damage']} | {family} | {size} | {after} | {accepted} |")
    return "\n".join(lines)


def _candidates(
    pool: ProcessPoolExecutor, documents: Sequence[Parsed], kind: str, rate: float, seeds: int
) -> list[Scores]:
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
