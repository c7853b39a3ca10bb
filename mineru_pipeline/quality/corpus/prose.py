"""Sentences, names and numbers in a language, from its word lists and patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.languages import LANGUAGES, Noun

#: Holds a number and its unit together at the end of a line; the truth has an ordinary space there.
TIE = "\u00a0"
_SLOT = re.compile(r"\{(\w+)\}")
#: Words of a subject matter: few enough to recur, chosen anew for each document.
_TOPIC_NOUNS, _TOPIC_VERBS, _TOPIC_ADJECTIVES = 22, 16, 14


class Prose:
    """What one document talks about, in one language."""

    def __init__(self, code: str, dice: Dice, *, plain: bool = False) -> None:
        self.language = LANGUAGES[code]
        self.dice = dice
        #: The PDF's own faces have no real minus sign, and readers disagree about the width of their euro sign.
        self._plain = plain
        self._nouns = dice.some(self.language.nouns, _TOPIC_NOUNS)
        self._verbs = dice.some(self.language.verbs, _TOPIC_VERBS)
        self._adjectives = dice.some(self.language.adjectives, _TOPIC_ADJECTIVES)
        self._headings = dice.some(self.language.headings, len(self.language.headings))
        language, number = self.language, self.number
        percent = "%" if code == "en" else f"{TIE}%"
        self._values: Mapping[str, Callable[[], str]] = {
            "date": self.date,
            "year": lambda: str(dice.integer(1874, 2025)),
            "person": lambda: f"{dice.pick(language.first_names)} {dice.pick(language.surnames)}",
            "place": lambda: dice.pick(language.places),
            "money": self.money,
            "temp": lambda: f"{number(dice.integer(-120, 890) / 10, 1)}{TIE}°C",
            "measure": lambda: self._measured(language.units),
            "length": lambda: self._measured(("m", "km", "mm", "cm")),
            "weight": lambda: self._measured(("kg", "g", "t")),
            "area": lambda: self._measured(("m²",)),
            "percent": lambda: number(dice.integer(11, 999) / 10, 1) + percent,
            "decimal": lambda: number(dice.integer(101, 9_999) / 100, 2),
            "n": lambda: str(dice.integer(5, 48)),
            "m": lambda: str(dice.integer(52, 990)),
            "time": lambda: f"{dice.integer(7, 21)}:{dice.integer(0, 11) * 5:02d}",
            "ref": self.reference,
        }

    def word(self, key: str) -> str:
        """Return a word with a fixed place in documents, such as that for a table."""
        return self.language.words[key]

    def paragraph(self, sentences: int) -> str:
        """Return running text of so many sentences."""
        return " ".join(self.sentence() for _ in range(sentences))

    def sentence(self) -> str:
        """Return one sentence; two of five are full of numbers."""
        if self.dice.chance(0.4):
            return self.fill(self.dice.pick(self.language.statements))
        text = self._opened() if self.dice.chance(0.45) else self.clause()
        if self.dice.chance(0.35):
            comma = "" if self.dice.chance(0.3) and self.language.code in {"en", "fr", "es", "it"} else ","
            text = f"{text}{comma} {self.dice.pick(self.language.links)} {self.clause()}"
        if self.dice.chance(0.6):
            text = f"{text} {self.fill(self.dice.pick(self.language.tails))}"
        return _capital(text) + "."

    def clause(self) -> str:
        """Return subject, verb and object."""
        subject, verb, object_ = self._parts()
        return f"{subject} {verb} {object_}"

    def heading(self) -> str:
        """Return a heading; none comes twice before all have been used."""
        if not self._headings:
            self._headings = self.dice.some(self.language.headings, len(self.language.headings))
        return self.fill(self._headings.pop())

    def title(self) -> str:
        """Return the title of a document."""
        first, second = self.dice.some(self._nouns, 2)
        return f"{_capital(self._described(first))}, {second.bare}: {self.fill('{place} {year}')}"

    def item(self) -> str:
        """Return the text of a list's item."""
        text = self.clause()
        if self.dice.chance(0.5):
            text = f"{text} {self.fill(self.dice.pick(self.language.tails))}"
        return _capital(text)

    def thing(self) -> str:
        """Return a short name for a row of a table."""
        return _capital(self._described(self.dice.pick(self._nouns)))

    def short_thing(self) -> str:
        """Return a noun alone, for narrow columns."""
        return _capital(self.dice.pick(self._nouns).bare)

    def fill(self, pattern: str) -> str:
        """Put values into the slots of a pattern."""
        return _SLOT.sub(lambda match: self.value(match[1]), pattern)

    def value(self, kind: str) -> str:
        """Return a value such as ``date``, ``money`` or ``n``."""
        return self._values[kind]()

    def date(self) -> str:
        """Return a date."""
        day, month = str(self.dice.integer(1, 28)), self.dice.pick(self.language.months)
        return self.language.date.format(d=day, month=month, y=self.value("year"))

    def money(self) -> str:
        """Return an amount in the currency of the language."""
        amount = self.number(self.dice.integer(1_200, 98_000_000) / 100, 2)
        pattern = self.language.money
        if self._plain:
            pattern = pattern.replace("€{", "EUR {").replace("€", "EUR")
        return pattern.format(amount=amount).replace(" ", TIE)

    def _measured(self, units: Sequence[str]) -> str:
        return f"{self.number(self.dice.integer(11, 9_900) / 10, 1)}{TIE}{self.dice.pick(units)}"

    def reference(self) -> str:
        """Return the number of a file."""
        letters = "".join(self.dice.pick("ABCDEFGHKLMNPRSTUVWX") for _ in range(2))
        return f"{letters}-{self.dice.integer(100, 999)}/{self.dice.integer(10, 99)}"

    def number(self, value: float, places: int) -> str:
        """Write a number as the language does."""
        text = f"{abs(value):,.{places}f}"
        marks = {",": self.language.thousands.replace(" ", TIE), ".": self.language.decimal}
        text = "".join(marks.get(char, char) for char in text)
        return f"{'-' if self._plain else '−'}{text}" if value < 0 else text

    def _opened(self) -> str:
        opener = self.fill(self.dice.pick(self.language.openers))
        subject, verb, object_ = self._parts()
        if self.language.inverts:
            return f"{opener} {verb} {subject} {object_}"
        return f"{opener} {subject} {verb} {object_}"

    def _parts(self) -> tuple[str, str, str]:
        first, second = self.dice.some(self._nouns, 2)
        subject = self._described(first) if self.dice.chance(0.6) else first.bare
        return subject, self.dice.pick(self._verbs), second.object

    def _described(self, noun: Noun) -> str:
        return noun.subject.replace("*", self.dice.pick(self._adjectives)[noun.gender])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
