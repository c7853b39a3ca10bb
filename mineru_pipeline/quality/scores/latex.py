r"""The normal form of LaTeX: a list of tokens in which spelling without effect on the formula is undone.

Forgiven: delimiters, blanks and spacing commands, ``\left`` and ``\right``, styles of letters, braces around one
token, synonyms such as ``\le`` and ``\leq``, labels and tags, punctuation behind the formula. It is not a
renderer: two spellings of one formula beyond this list count as different.
"""

from __future__ import annotations

import re
from typing import Final

_DELIMITERS: Final = (("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$"))
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[^\s]", re.DOTALL)
_TAG = re.compile(r"\\(?:label|tag)\*?\s{0,9}\{[^{}]{0,200}\}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:equation|displaymath|math|align|aligned|gather|gathered|split)\*?\}")
_SPACING: Final = frozenset({r"\,", r"\;", r"\:", r"\!", "\\ ", r"\quad", r"\qquad", "~", "&"})
_SIZES: Final = {r"\left", r"\right", r"\displaystyle", r"\textstyle", r"\limits", r"\nolimits"} | {
    rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")
}
_STYLES: Final = {
    *(rf"\math{style}" for style in ("rm", "it", "bf", "sf", "tt")),
    *(rf"\text{style}" for style in ("", "rm", "it", "bf", "sf", "tt")),
    *(rf"\{style}" for style in ("operatorname", "boldsymbol", "bm", "rm", "bf", "it")),
}
_IGNORED: Final = _SPACING | _SIZES | _STYLES
_SYNONYMS: Final = {
    r"\leq": r"\le",
    r"\geq": r"\ge",
    r"\neq": r"\ne",
    r"\to": r"\rightarrow",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\vert": "|",
    r"\mid": "|",
    r"\colon": ":",
    r"\ast": "*",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\ldots": r"\dots",
    r"\cdots": r"\dots",
    r"\varepsilon": r"\epsilon",
    r"\prime": "'",
}


def strip_delimiters(latex: str) -> str:
    """``latex`` without the delimiters around it."""
    text = latex.strip()
    for opening, closing in _DELIMITERS:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            return text[len(opening) : -len(closing)].strip()
    return text


def latex_tokens(latex: str) -> list[str]:
    """The tokens of a formula in normal form: commands and single characters."""
    text = _ENVIRONMENT.sub("", _TAG.sub("", strip_delimiters(latex)))
    tokens = [_SYNONYMS.get(token, token) for token in _TOKEN.findall(text) if token not in _IGNORED]
    while tokens and tokens[-1] in {".", ",", ";"}:
        tokens.pop()
    return _without_needless_braces(tokens)


def _without_needless_braces(tokens: list[str]) -> list[str]:
    """Drop braces around one token, as in ``x^{2}``, and around nothing."""
    kept: list[str] = []
    for found in tokens:
        kept.append(found)
        if kept[-2:] == ["{", "}"]:
            del kept[-2:]
        elif found == "}" and kept[-3:-2] == ["{"]:
            kept[-3:] = [kept[-2]]
    return kept
