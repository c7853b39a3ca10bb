"""What a language needs to say so that sentences can be made in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_GENDERS = "mfn"


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun with its article; ``*`` in ``subject`` marks where an adjective goes."""

    gender: int
    subject: str
    object: str

    @property
    def bare(self) -> str:
        """The subject without an adjective."""
        return " ".join(self.subject.replace("*", " ").split())


@dataclass(frozen=True, slots=True)
class Language:
    """Words and patterns of one language. Patterns hold slots such as ``{date}``; see :class:`.prose.Prose`."""

    code: str
    nouns: tuple[Noun, ...]
    #: Forms for masculine, feminine and neuter.
    adjectives: tuple[tuple[str, ...], ...]
    verbs: tuple[str, ...]
    openers: tuple[str, ...]
    tails: tuple[str, ...]
    links: tuple[str, ...]
    statements: tuple[str, ...]
    headings: tuple[str, ...]
    first_names: tuple[str, ...]
    surnames: tuple[str, ...]
    places: tuple[str, ...]
    months: tuple[str, ...]
    units: tuple[str, ...]
    #: Labels of a form, each with the kind of value that belongs to it.
    fields: tuple[tuple[str, str], ...]
    #: Words with a fixed place in a document: table, figure, page, total and so on.
    words: Mapping[str, str]
    date: str = "{d} {month} {y}"
    decimal: str = ","
    thousands: str = "."
    money: str = "{amount} €"
    #: Whether the verb comes before the subject after an opener.
    inverts: bool = False


def lines(text: str) -> tuple[str, ...]:
    """Split a block of entries, one a line."""
    return tuple(line.strip() for line in text.strip().splitlines())


def entries(text: str) -> tuple[str, ...]:
    """Split words that are separated by commas."""
    return tuple(entry.strip() for entry in text.replace("\n", " ").split(",") if entry.strip())


def nouns(text: str) -> tuple[Noun, ...]:
    """Read ``gender|subject|object`` entries, separated by commas."""
    parts = (entry.split("|") for entry in entries(text))
    return tuple(Noun(_GENDERS.index(gender), subject, object_) for gender, subject, object_ in parts)


def forms(text: str) -> tuple[tuple[str, ...], ...]:
    """Read adjectives: ``masculine/feminine/neuter``, or fewer forms where some are alike (the last one repeats)."""
    found = (tuple(entry.split("/")) for entry in entries(text))
    return tuple((*each, *[each[-1]] * (len(_GENDERS) - len(each))) for each in found)


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``key=value`` entries, separated by commas."""
    found = (entry.split("=") for entry in entries(text))
    return tuple((key.strip(), value.strip()) for key, value in found)
