"""Formulas in LaTeX, made by lot from shapes that occur in papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mineru_pipeline.quality.corpus.dice import Dice

_GREEK = (r"\alpha", r"\beta", r"\gamma", r"\lambda", r"\mu", r"\sigma", r"\theta", r"\rho", r"\omega", r"\tau")
_LATIN = tuple("abcfghkmnpqrstuvxyz")
_SLOT = re.compile(r"<(\w+)>")
#: Slots in capitals are filled anew each time, the others alike within a formula; see :meth:`Formulas._slot`.
_SHAPES = (
    r"<S> = \sum_{<index>=1}^{n} <letter>_{<index>} \left( <E> \right)",
    r"\int_{0}^{<N>} \frac{<E>}{<T>} \, d<variable> = <N>",
    r"<S> = \frac{<E>}{<E>} + <T>",
    r"<CAPITAL> = \begin{pmatrix} <C> & <C> \\ <C> & <C> \end{pmatrix}",
    r"<CAPITAL> = \begin{pmatrix} <C> & <C> & <C> \\ <C> & <C> & <C> \\ <C> & <C> & <C> \end{pmatrix}",
    r"<S> = \sqrt{<E> + \frac{<N>}{<S>}}",
    r"\lim_{n \to \infty} \left( 1 + \frac{<number>}{n} \right)^{n} = e^{<number>}",
    r"f(<variable>) = \begin{cases} <E> & <variable> \ge <number> \\ <T> & <variable> < <number> \end{cases}",
    r"<letter>_{n+1} = <letter>_{n} - \frac{f(<letter>_{n})}{f'(<letter>_{n})} \le <N>",
    r"\hat{<greek>} = \frac{<N>}{n} \sum_{i=1}^{n} \left( <letter>_{i} - \bar{<letter>} \right)^{<P>}",
    r"\frac{\partial <variable>}{\partial t} = <N> \nabla^{2} <variable> + <E>",
    r"\prod_{<index>=1}^{<N>} \left( <E> \right) \ge \frac{<T>}{<N>}",
    r"<S> \approx <N> \cdot 10^{-<P>} \, <T> \pm <N>",
)
_TERMS = (
    "<N> <S>",
    "<L>^{<P>}",
    r"\sin(<S>)",
    r"\cos(<S>)",
    r"\log(<S>)",
    r"\exp(<S>)",
    "<S>",
    "<S> <S>",
    "<N> <L>^{<P>}",
)


class Formulas:
    """A source of formulas; none is made twice."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._made: set[str] = set()
        self._slots: Mapping[str, Callable[[], str]] = {
            "S": self._symbol,
            "N": self._number,
            "T": lambda: self._filled(dice.pick(_TERMS), {}),
            "E": lambda: self._filled(dice.pick(("<T> + <T>", "<T> - <T>", "<T> + <T> - <N>")), {}),
            "C": lambda: self._number() if dice.chance(0.6) else self._symbol(),
            "L": lambda: dice.pick(_LATIN),
            "P": lambda: str(dice.integer(2, 7)),
            "CAPITAL": lambda: dice.pick("ABCM"),
            "index": lambda: dice.pick("ijk"),
            "letter": lambda: dice.pick(_LATIN),
            "greek": lambda: dice.pick(_GREEK),
            "variable": lambda: dice.pick("uvwx"),
            "number": self._number,
        }

    def draw(self) -> str:
        """Return the next formula."""
        while True:
            latex = self._filled(self._dice.pick(_SHAPES), {})
            if latex not in self._made:
                self._made.add(latex)
                return latex

    def _filled(self, shape: str, alike: dict[str, str]) -> str:
        return _SLOT.sub(lambda match: self._slot(match[1], alike), shape)

    def _slot(self, name: str, alike: dict[str, str]) -> str:
        if name.isupper():
            return self._slots[name]()
        if name not in alike:
            alike[name] = self._slots[name]()
        return alike[name]

    def _symbol(self) -> str:
        letter = self._dice.pick(_GREEK if self._dice.chance(0.4) else _LATIN)
        return f"{letter}_{{{self._dice.pick('ijkn')}}}" if self._dice.chance(0.35) else letter

    def _number(self) -> str:
        dice = self._dice
        return str(dice.integer(2, 99)) if dice.chance(0.7) else f"{dice.integer(0, 9)}.{dice.integer(1, 99)}"
