"""All strata with their makers, and the documents of a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mineru_pipeline.errors import CorpusError, CorpusRoomError
from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.draft import CorpusDocument, Draft
from mineru_pipeline.quality.corpus.strata import articles, edges, forms, scans, tabulated, technical

_ALL = ("en", "de", "fr", "es", "it", "pl", "cs")
#: Fields of forms are filled in with the PDF's own faces, which lack the letters of Polish and Czech.
_WESTERN = ("en", "de", "fr", "es", "it")


_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Stratum:
    """A kind of documents: who makes the one with a given number, and in which language it begins."""

    name: str
    make: Callable[[Draft, int], None]
    languages: tuple[str, ...] = _ALL
    documents: int = 6
    columns: int = 1
    #: How many more languages a document has beside its first.
    others: int = 0
    #: Names of the documents, where they are told apart by more than a number.
    cases: tuple[str, ...] = ()

    def document(self, index: int) -> str:
        """Return the name of a document."""
        return f"{self.name}-{self.cases[index] if self.cases else f'{index + 1:02d}'}"


def _same(make: Callable[[Draft], None]) -> Callable[[Draft, int], None]:
    return lambda draft, _: make(draft)


_CASES: Mapping[str, Callable[[Draft], None]] = {
    "blank-page": edges.blank_page,
    "scan-and-text": edges.scan_and_text,
    "tiny-page": edges.tiny_page,
    "mostly-figure": edges.mostly_figure,
    "table-only": edges.table_only,
    "columns-with-floats": edges.columns_with_floats,
}

STRATA: Sequence[Stratum] = (
    Stratum("one-column", _same(articles.one_column)),
    Stratum("two-columns", _same(articles.two_columns), columns=2),
    Stratum("dense-tables", _same(tabulated.dense_tables)),
    Stratum("borderless-tables", _same(tabulated.borderless_tables)),
    Stratum("spanning-tables", _same(tabulated.spanning_tables)),
    Stratum("tables-across-pages", _same(tabulated.tables_across_pages)),
    Stratum("lists", _same(articles.lists)),
    Stratum("formulas", _same(technical.formulas)),
    Stratum("forms", _same(forms.forms), languages=_WESTERN),
    Stratum("scans", scans.scans),
    Stratum("rotated", scans.rotated),
    Stratum("mixed-languages", _same(articles.mixed_languages), others=2),
    Stratum("headers-footnotes", _same(articles.headers_footnotes)),
    Stratum("code", _same(technical.code)),
    Stratum(
        "edge-cases",
        lambda draft, index: list(_CASES.values())[index](draft),
        cases=tuple(_CASES),
        documents=len(_CASES),
    ),
)


def generate(seed: int, *, strata: Sequence[str] | None = None, sample: int | None = None) -> Iterator[CorpusDocument]:
    """Make the documents of ``seed``, one after the other.

    A document depends on the seed, its stratum and its number alone: a sample, the first ``sample`` documents of
    each stratum, holds the same documents as the whole.

    Raises:
        ValueError: one of ``strata`` does not exist.
        CorpusError: a page came out unfair.
    """
    known = [stratum.name for stratum in STRATA]
    unknown = sorted(set(strata or ()) - set(known))
    if unknown:
        raise ValueError(f"There is no stratum {', '.join(unknown)}; there are {', '.join(known)}.")
    for order, stratum in enumerate(STRATA):
        if strata is not None and stratum.name not in strata:
            continue
        count = stratum.documents if sample is None else min(sample, stratum.documents)
        for index in range(count):
            yield _make(seed, stratum, order, index)


def _make(seed: int, stratum: Stratum, order: int, index: int) -> CorpusDocument:
    # Each stratum begins with another language, so that a sample has all of them.
    first = stratum.languages[(order + index) % len(stratum.languages)]
    for attempt in range(_ATTEMPTS):
        dice = Dice(seed, stratum.name, index, attempt)
        others = dice.fork("languages").some([code for code in stratum.languages if code != first], stratum.others)
        draft = Draft.begin(stratum.name, stratum.document(index), dice, (first, *others), columns=stratum.columns)
        try:
            stratum.make(draft, index)
        except CorpusRoomError:
            # By lot, a few parts came out longer than their pages: the lot is drawn again.
            continue
        return draft.finish()
    raise CorpusError(f"{stratum.document(index)}: no plan of {_ATTEMPTS} fits its pages")
