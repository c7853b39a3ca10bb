"""What a report is made of: who was compared with whom, their scores, and what can be shown of the documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mineru_pipeline.errors import GateInputError
from mineru_pipeline.quality.gates.model import Decision, Judgement
from mineru_pipeline.quality.scores.model import DocumentScores
from mineru_pipeline.quality.scores.parsed import Entry
from mineru_pipeline.quality.truth import DocumentTruth

#: The picture of a page (document's name, page counted from 0) as JPEG, PNG or WebP, or ``None`` where there is none.
#: Some 900 pixels wide are plenty: it is embedded as it is. See :mod:`.pictures` for the pages of the corpus.
Picture = Callable[[str, int], bytes | None]

#: Bytes of one report, all included.
MAX_BYTES: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that were compared."""

    #: Of an accepted baseline its name, else that of the measurement.
    name: str
    parser_revision: str
    #: Who read the pages, as the server names it.
    model: str
    #: Whether that is a stand-in for development, whose output must not be mistaken for MinerU2.5's.
    stand_in: bool = False
    extraction_revision: str = ""
    #: When it was measured, as it shall be shown. Dates are passed in: the report asks no clock.
    measured_at: str = ""
    #: Of a baseline: who accepted it, when, and why.
    accepted_by: str = ""
    accepted_at: str = ""
    why: str = ""
    #: Further facts by label, such as seconds or the model servers.
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a report says of the comparison; without a baseline only the candidate is shown."""

    corpus_version: str
    candidate: Side
    baseline: Side | None = None
    #: When the report was made, as it shall be shown.
    made_at: str = ""
    #: Which documents of the corpus were measured, such as ``all`` or ``the first 2 of each stratum``.
    selection: str = "all"
    #: Of the seed that is held back nothing is shown of single documents.
    held_back: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """The scores of both sides, what the gates said, and the material that makes them traceable.

    ``truths`` and ``parses`` (the candidate's ``content_list.json``) are by the document's name; one that is missing is
    shown without its words. A mapping may read its values when it is asked: each is asked for once at a time.

    Raises:
        GateInputError: a document comes twice, or is on one side only.
    """

    candidate: Sequence[DocumentScores]
    #: Scores of documents are enough, as the record of a baseline holds them: pages and blocks may be missing.
    baseline: Sequence[DocumentScores] = ()
    judgement: Judgement | None = None
    truths: Mapping[str, DocumentTruth] = field(default_factory=dict)
    parses: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    #: What is against the candidate whatever the gates say, a sentence each: any makes the decision a *reject*.
    objections: Sequence[str] = ()

    def __post_init__(self) -> None:
        here, there = _names("candidate", self.candidate), _names("baseline", self.baseline)
        if self.baseline and here != there:
            raise GateInputError(f"only one side has {', '.join(sorted(here ^ there)[:5])}")

    @property
    def decision(self) -> Decision | None:
        """What follows from gates and objections; ``None`` where there is nothing to compare with."""
        if self.judgement is None:
            return None
        return Decision.REJECT if self.objections else self.judgement.decision

    @property
    def pageless(self) -> bool:
        """Whether the baseline has scores of documents alone."""
        return bool(self.baseline) and not any(scores.pages for scores in self.baseline)

    def pairs(self) -> list[Pair]:
        """Every document with both of its scores, by name."""
        before = {scores.name: scores for scores in self.baseline}
        ordered = sorted(self.candidate, key=lambda scores: scores.name)
        return [Pair(before.get(scores.name), scores) for scores in ordered]


@dataclass(frozen=True, slots=True)
class Pair:
    """One document: its scores in the baseline, if there is one, and in the candidate."""

    before: DocumentScores | None
    after: DocumentScores

    @property
    def name(self) -> str:
        """The document's."""
        return self.after.name


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a report shows; whatever it leaves out, it says, and the JSON has it."""

    max_bytes: int = MAX_BYTES
    #: Pages shown with picture, truth and parse: those that lost most, and those that are worst whatever was before.
    lost_pages: int = 12
    worst_pages: int = 8
    #: Of one document, so that one that went wrong does not fill the report.
    pages_per_document: int = 2
    #: Documents of each list of changes.
    changes: int = 8
    #: Documents whose lost blocks are listed, the worst first.
    traced_documents: int = 2_000


def _names(side: str, documents: Iterable[DocumentScores]) -> set[str]:
    names = [document.name for document in documents]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise GateInputError(f"the {side} has the document {twice[0]} twice")
    return set(names)
