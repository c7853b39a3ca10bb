r"""The normal form in which truth and parse are compared: what is forgiven is written here and nowhere else.

Forgiven: how white space, line breaks and words broken at the end of a line are written; the choice among
quotes, dashes and ligatures (Unicode NFKC, https://unicode.org/reports/tr15/); soft hyphens, invisible and
bidirectional marks; HTML entities and the tags of formatting; the delimiters of inline formulas; blanks
between groups of three digits, and in words those between a number and its unit.

Not forgiven: digits, signs and separators of numbers, case, diacritics, and whether a digit is raised or
lowered (10³ is not 103). Words leave punctuation aside; the similarity of characters does not.

Texts are as hostile as the pages they were read from: every pattern takes time linear in the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*\n?[ \t]*")
#: A word that goes on in the next line in lower case; whether the hyphen is its own, nobody can tell.
_BROKEN = re.compile("(?<=[^\\W\\d_])[-\u2010\u2011][ \t]{0,20}\n[ \t]{0,20}(?=[^\\W\\d_])(?=[^A-Z])")
_RAISED = re.compile(r"(?i)<(su[pb])(?:\s[^<>]{0,200})?>")
#: Tags that say how text looks or where a line ends; any other ``<word>`` is text.
_INLINE_TAG = re.compile(r"(?i)</?(?:b|i|u|s|em|strong|span|a|mark|del|ins|small|code|su[pb])(?:\s[^<>]{0,1000})?/?>")
_BLOCK_TAG = re.compile(
    r"(?i)</?(?:br|p|div|ul|ol|li|hr|table|thead|tbody|tfoot|tr|td|th|caption|img|h[1-6]|pre)(?:\s[^<>]{0,1000})?/?>"
)
_SUPERSCRIPTS = re.compile("[\u2070-\u207f\u00b2\u00b3\u00b9]+")
_SUBSCRIPTS = re.compile("[\u2080-\u208e]+")
_PLAIN: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4\u0060\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d", "-"),
        "\u00b5": "\u03bc",
        "\u2022": "-",
        "\u2044": "/",
    }
)
#: pandoc's rule for ``$…$``: no blank inside the dollars, no digit behind them; so prices stay prices.
_FORMULA = re.compile(
    r"\\\(((?:(?!\\\().){1,2000}?)\\\)|\$\$([^$]{1,4000})\$\$"
    r"|(?<![\\$])\$(?![\s$])([^$\n]{1,1000})(?<![\s\\])\$(?![\d$])",
    re.DOTALL,
)
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?|\\.", re.DOTALL)
_IDEOGRAPH = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0903\u093a-\u094f\u0e31-\u0e4e"
)
_LETTER = rf"(?:(?![{_IDEOGRAPH}])[^\W\d_]|[{_MARKS}])"
#: One ideograph or kana, a number with its sign and separators, or a run of letters.
_WORD = re.compile(rf"[{_IDEOGRAPH}]|(?:(?<![^\s(\[])-)?\d+(?:[.,:/']\d+)*|{_LETTER}+")
#: Blanks of any width between groups of three digits, as in ``754 600``.
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text in normal form, and where it begins in it."""

    text: str
    start: int

    @property
    def is_number(self) -> bool:
        """Whether it is a number, such as ``1,136``, ``-5`` or the 12 of ``B12``."""
        return self.text[-1].isdecimal()


def normalise(text: str) -> str:
    """``text`` in normal form, on one line."""
    text = _INVISIBLE.sub("", _LINE_BREAKS.sub("\n", text))
    text = _BROKEN.sub("", _SOFT_HYPHEN.sub("", text))
    text = _FORMULA.sub(lambda match: plain_latex(match[1] or match[2] or match[3] or ""), text)
    text = _RAISED.sub(lambda match: "^" if match[1].lower() == "sup" else "_", text)
    text = html.unescape(_BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text)))
    text = _SUBSCRIPTS.sub(r"_\g<0>", _SUPERSCRIPTS.sub(r"^\g<0>", text))
    text = " ".join(unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN).split())
    return _THOUSANDS.sub(lambda number: number[0].replace(" ", ""), text)


def inline_formulas(text: str) -> list[str]:
    """The LaTeX of the formulas within a text."""
    return [match[1] or match[2] or match[3] for match in _FORMULA.finditer(text)]


def words_of(normal: str) -> list[Word]:
    """The words of a text in normal form, in order."""
    return [Word(match[0], match.start()) for match in _WORD.finditer(normal)]


def plain_latex(latex: str) -> str:
    """The letters and digits of a formula: Greek commands as letters, other commands as blanks, no braces."""
    text = _COMMAND.sub(_symbol, latex)
    return re.sub(r"[ \t]*([_^])[ \t]*", r"\1", re.sub(r"[{}~&]", "", text))


def _symbol(command: re.Match[str]) -> str:
    name = command[1] or ""
    case = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return " "
