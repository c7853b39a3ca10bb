"""Words of a text layer and words of parsed output, normalised alike so that they can be counted against each other."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")
# PDFium reports the hyphen at the end of a line as U+FFFE or U+0002 and then leaves out the line break.
_BROKEN = re.compile(r"([^\W_]+)(?:[\ufffe\x02]\s*|[-\u00ad\u2010\u2011][ \t]*\r?\n\s*)([^\W_]+)")
_MATH = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\$])\$(?!\s)([^$\n]+?)(?<!\\)\$", flags=re.DOTALL)
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?|\\.")
_MARKDOWN_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_INLINE_TAG = re.compile(r"</?(?:b|i|u|s|em|strong|sup|sub|span|code|a|mark|del)(?:\s[^<>]*)?>", re.IGNORECASE)
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!~$|<>&])")


@dataclass(frozen=True, slots=True)
class WordBag:
    """Words with their counts, and the pairs that a hyphen at the end of a line keeps apart."""

    words: Counter[str]
    broken: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """Number of words, a broken one counted once."""
        return self.words.total() + len(self.broken)


@dataclass(frozen=True, slots=True)
class Recall:
    """How many words of a text layer were found; ``lost`` holds the others."""

    found: int
    total: int
    lost: Counter[str]

    @property
    def share(self) -> float:
        """Found words as a fraction 0-1; 1 where there was nothing to find."""
        return self.found / self.total if self.total else 1.0


def text_layer_words(text: str) -> WordBag:
    """Split the text layer of a page or a document, as PDFium returns it."""
    text = _fold(text)
    broken = tuple((match[1], match[2]) for match in _BROKEN.finditer(text))
    rest = _BROKEN.sub(" ", text).replace("\u00ad", "")
    return WordBag(Counter(_WORD.findall(rest)), broken)


def output_words(markdown: str) -> Counter[str]:
    """Split Markdown with HTML tables and LaTeX formulas; markup counts for nothing, broken words are joined."""
    text = _MATH.sub(_plain_formula, _MARKDOWN_IMAGE.sub(" ", markdown))
    text = _TAG.sub(" ", _INLINE_TAG.sub("", text))
    text = _ESCAPE.sub(r"\1", re.sub(r"(?<!\\)\*+", "", text))
    text = _BROKEN.sub(r"\1\2", _fold(html.unescape(text))).replace("\u00ad", "")
    return Counter(_WORD.findall(text))


def compare(truth: WordBag, output: Counter[str]) -> Recall:
    """Count how many words of ``truth`` the multiset ``output`` holds.

    A word broken over two lines counts as found when it appears joined. Otherwise its halves are
    looked for one by one, since the hyphen may belong to the word (``well-`` / ``known``).
    """
    left = Counter(output)
    wanted = Counter(truth.words)
    found = 0
    for first, second in truth.broken:
        if left[first + second] > 0:
            left[first + second] -= 1
            found += 1
        else:
            wanted.update((first, second))
    lost = wanted - left
    total = found + wanted.total()
    return Recall(total - lost.total(), total, lost)


def latin_share(text: str) -> float:
    """Return the fraction (0-1) of the letters in ``text`` that are Latin; 0 without any letter."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(unicodedata.name(character, "").startswith("LATIN") for character in letters)
    return latin / len(letters) if letters else 0.0


def _fold(text: str) -> str:
    # Folding case can undo the normal form (the capital I with a dot), hence twice.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _plain_formula(match: re.Match[str]) -> str:
    formula = next(group for group in match.groups() if group is not None)
    # Indices stand beside their letter in a text layer, so they stay glued to it here.
    formula = re.sub(r"\s*[_^]\s*(?:\{\s*([^{}]*?)\s*\})?", r"\1", formula)
    return re.sub(r"[{}]", " ", _COMMAND.sub(_symbol, formula))


def _symbol(match: re.Match[str]) -> str:
    """Give Greek commands their letter; every other command is markup."""
    name = match[1] or ""
    case = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return " "
