"""What can be said of a parse without knowing the truth: a few figures a document, for bands and for drift.

They are kept in ``result.json`` by whoever commits a document, and in the table ``document_signals``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mineru_pipeline.errors import RepetitiveAnswerError, TruncatedAnswerError
from mineru_pipeline.parsing.agreement import strip_tags
from mineru_pipeline.parsing.outcome import PageSummary, mean_agreement

#: Every signal, in the order of the table's columns. Those that are no share (0-1) say what they are.
NAMES: Final = (
    "layer_agreement",
    "layer_match",
    "truncated_share",
    "repetition_share",
    "empty_ink_share",
    "degraded_share",
    "gap_share",
    "odd_word_share",
    "repeated_share",
    "text_share",
    "table_share",
    "picture_share",
    "characters_per_page",
    "seconds_per_page",
)
_TABLES: Final = frozenset({"table"})
_PICTURES: Final = frozenset({"image", "chart", "image_block"})
#: Characters of a page that are looked at: a share needs no more, and a page may be long.
_LOOKED_AT: Final = 1_500
_DIGITS: Final = 4
#: Words that come together again only by repetition, in print.
_SEQUENCE: Final = 5
_LETTERS: Final = "A-Za-zÀ-ÖØ-öø-ž"
#: Letters on both sides of a digit or of a sign that stands in no word, or a capital between small letters.
_TORN: Final = re.compile(
    rf"(?<=[{_LETTERS}])(?:[0-9]+|[!?;|\\^~{{}}\[\]=*«»„“”°£¥¢§]+)(?=[{_LETTERS}])|[a-zß-öø-ÿ][A-ZÀ-ÖØ-Þ][a-z]"
)
#: Letters without a vowel: few words of any language are such. Not in capitals, for there are abbreviations.
_MUTE: Final = re.compile(rf"(?<![{_LETTERS}])[B-DF-HJ-NP-TV-XZ]?[b-df-hj-np-tv-xz]{{3,}}(?![{_LETTERS}])")
#: A letter that stands alone is a word in some language, except these.
_ALONE: Final = re.compile(r"(?<!\S)[b-df-hj-np-rtxB-DF-HJ-NP-RTX](?!\S)")


@dataclass(frozen=True, slots=True)
class Effort:
    """What a run has done for a document until its commit."""

    #: ``time.monotonic()`` when the work on it began.
    started: float
    #: Requests to the model.
    requests: int = 0
    #: Questions asked again, by what was wrong with the first answer.
    asked_again: Mapping[str, int] = field(default_factory=dict)
    #: Pages that an earlier run had answered.
    resumed: int = 0


def signals_of(pages: Sequence[PageSummary], effort: Effort, seconds: float) -> dict[str, float | None]:
    """Return the signals of a document (:data:`NAMES`); ``None`` where it does not have one.

    Args:
        pages: all its pages, in order.
        effort: what the run asked.
        seconds: how long the document took.
    """
    kinds: dict[str, int] = {}
    for page in pages:
        for kind, count in page.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    blocks = sum(kinds.values())
    shares = {name: sum(kinds.get(kind, 0) for kind in of) for name, of in _MIX.items()}
    values = {
        "layer_agreement": mean_agreement(pages),
        "layer_match": _mean(pages, _match),
        "truncated_share": _cause_share(TruncatedAnswerError.code, pages, effort),
        "repetition_share": max(
            _cause_share(RepetitiveAnswerError.code, pages, effort), _mean(pages, lambda page: page.repetitive) or 0.0
        ),
        "empty_ink_share": _mean(pages, lambda page: page.uncovered_ink),
        "degraded_share": _mean(pages, _degraded),
        "gap_share": _mean(pages, _missing),
        "odd_word_share": _mean(pages, lambda page: page.odd_words),
        "repeated_share": _mean(pages, lambda page: page.repeated),
        "text_share": (blocks - sum(shares.values())) / blocks if blocks else None,
        **{name: count / blocks if blocks else None for name, count in shares.items()},
        "characters_per_page": _mean(pages, lambda page: page.characters),
        # What an earlier run spent on it is not known.
        "seconds_per_page": seconds / len(pages) if pages and not effort.resumed else None,
    }
    return {name: None if values[name] is None else round(values[name] or 0.0, _DIGITS) for name in NAMES}


_MIX: Final[Mapping[str, frozenset[str]]] = {"table_share": _TABLES, "picture_share": _PICTURES}


def _cause_share(cause: str, pages: Sequence[PageSummary], effort: Effort) -> float:
    """Of the questions of this run, those answered so at first; or of all blocks, those that ended so, if that is more.

    The second is all that is known of pages that an earlier run has asked for.
    """
    questions = effort.requests - sum(effort.asked_again.values())
    asked = effort.asked_again.get(cause, 0) / questions if questions > 0 else 0.0
    ended: int = sum(item["cause"] == cause for page in pages for item in page.degradations)
    blocks = sum(max(page.blocks, 1) for page in pages)
    return max(min(asked, 1.0), ended / max(1, blocks))


def _degraded(page: PageSummary) -> float:
    """The share of a page that is not what the model was asked for; all of it where there is text and none came."""
    if page.missing_text or any(item["block"] is None for item in page.degradations):
        return 1.0
    return min(1.0, len(page.degradations) / max(1, page.blocks))


def _match(page: PageSummary) -> float | None:
    """F1 of the page's words against those of its text layer, which also sees what came too often or from nowhere."""
    if page.agreement is None or page.surplus is None:
        return page.agreement
    precision = 1 - page.surplus
    together = page.agreement + precision
    return 2 * page.agreement * precision / together if together else 0.0


def _missing(page: PageSummary) -> float:
    """The share of a page that nothing stands for: blocks that ended as gaps; all of it where no text came."""
    gaps = [item for item in page.degradations if item["ending"] == "gap"]
    if page.missing_text or any(item["block"] is None for item in gaps):
        return 1.0
    return min(1.0, len(gaps) / max(1, page.blocks))


def _mean(pages: Sequence[PageSummary], value: Callable[[PageSummary], float | None]) -> float | None:
    """The mean over the pages that have the value."""
    known = [found for page in pages if (found := value(page)) is not None]
    return sum(known) / len(known) if known else None


def odd_word_share(texts: Iterable[str]) -> float | None:
    """Return the share (0-1) of the words that no Latin-script language would spell so; ``None`` without words.

    Letters with digits or signs between them, capitals within a word, letters without any vowel: what a reader of
    letters makes of a page that it cannot see well. Of a page with a text layer, the agreement says more.
    """
    text = " ".join(texts)
    text = (strip_tags(text) if "<" in text else text)[:_LOOKED_AT]
    words = len(text.split())
    odd = sum(len(pattern.findall(text)) for pattern in (_TORN, _MUTE, _ALONE))
    return round(min(1.0, odd / words), _DIGITS) if words else None


def repeated_share(texts: Iterable[str]) -> float | None:
    """Return the share (0-1) of the sequences of words that came before on the page; ``None`` without any."""
    words = " ".join(texts)[:_LOOKED_AT].split()
    sequences = list(zip(*(words[start:] for start in range(_SEQUENCE)), strict=False))
    return round(1 - len(set(sequences)) / len(sequences), _DIGITS) if sequences else None
