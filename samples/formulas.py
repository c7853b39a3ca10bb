"""The page of formulas: numbered displayed ones as outlines, inline ones as text in the standard fonts."""

from __future__ import annotations

from typing import Any

from reportlab.platypus import Frame, PageTemplate, Paragraph

from samples.mathart import DisplayedFormula
from samples.style import BODY, HEIGHT, MARGIN, NOTICE, SECTION, TITLE, WIDTH, document, page_foot, running_head

_TITLE = "Heat, Water and Yeast in a Loaf"
_HEAT = (
    "A loaf of bread is warm outside long before it is warm inside. Let <i>T</i>(<i>x</i>, <i>t</i>) be the "
    "temperature at depth <i>x</i> below the crust after the time <i>t</i>. With the thermal diffusivity "
    "<greek>a</greek> of dough, about 1.4 \u00d7 10<super>-7</super> m<super>2</super>/s, heat spreads by"
)
_HEAT_SOLUTION = (
    "where <i>r</i> counts the water that evaporates and <i>L</i> is its latent heat. Without evaporation, and with "
    "the oven at <i>T</i><sub>1</sub> and the dough at <i>T</i><sub>0</sub> &lt; <i>T</i><sub>1</sub>, a thick loaf "
    "follows"
)
_AVERAGE = (
    "The loaf is done when its centre reaches 96 \u00b0C. Since the time for this grows with the square of the "
    "radius <i>R</i>, a loaf of twice the radius stays four times as long in the oven. The mean temperature of a "
    "round loaf is"
)
_YEAST = (
    "Yeast grows until sugar or space runs out. With <i>N</i> cells, a capacity <i>K</i> and a rate <i>k</i> that "
    "depends on temperature, the dough obeys the logistic law, and Arrhenius gives the rate:"
)
_RATE = (
    "Here <i>E</i><sub>a</sub> is the activation energy, 55 kJ/mol for baker's yeast, and <i>R</i><sub>g</sub> is "
    "the gas constant. From 24 \u00b0C to 28 \u00b0C the rate grows by a factor of 1.34, so a proof of 90 minutes "
    "shrinks to 67."
)
_MIX = (
    "A baker who mixes <i>n</i> flours with masses <i>m</i><sub>i</sub> and water uptakes <i>w</i><sub>i</sub> finds"
    " the water of the dough as a weighted mean, with an error that follows from the errors "
    "<greek>s</greek><sub>i</sub> of the single flours:"
)
_STAGES = (
    "Sourdough is kept alive in stages. If <i>y</i> and <i>b</i> are the masses of yeast and bacteria, one feeding "
    "takes them to the next by a matrix whose larger eigenvalue <greek>l</greek><sub>1</sub> must exceed 1, or the "
    "culture dies out:"
)


def make() -> bytes:
    """Return the page as a PDF."""
    story: list[Any] = [
        Paragraph(_TITLE, TITLE),
        Paragraph("1. Heat", SECTION),
        _prose(_HEAT),
        DisplayedFormula(
            r"\frac{\partial T}{\partial t} = \alpha \, \frac{\partial^2 T}{\partial x^2} - \frac{L}{c_p}\, r(x, t)", 1
        ),
        _prose(_HEAT_SOLUTION),
        DisplayedFormula(
            r"T(x, t) = T_1 - (T_1 - T_0)\, \frac{2}{\sqrt{\pi}} \int_{0}^{x / \sqrt{4 \alpha t}} e^{-u^2}\, du", 2
        ),
        _prose(_AVERAGE),
        DisplayedFormula(
            r"\bar{T}(t) = T_1 - \frac{6 (T_1 - T_0)}{\pi^2} \sum_{n=1}^{\infty} \frac{1}{n^2}"
            r" \exp \left( - \frac{n^2 \pi^2 \alpha t}{R^2} \right)",
            3,
        ),
        Paragraph("2. Yeast", SECTION),
        _prose(_YEAST),
        DisplayedFormula(
            r"\frac{dN}{dt} = k N \left( 1 - \frac{N}{K} \right), \qquad k = k_0 \, e^{- E_a / (R_g T)}", 4
        ),
        _prose(_RATE),
        Paragraph("3. Mixing and feeding", SECTION),
        _prose(_MIX),
        DisplayedFormula(
            r"\bar{w} = \frac{1}{M} \sum_{i=1}^{n} m_i w_i, \qquad M = \sum_{i=1}^{n} m_i, \qquad"
            r" \sigma_{\bar{w}}^2 = \sum_{i=1}^{n} \left( \frac{m_i}{M} \right)^2 \sigma_i^2",
            5,
        ),
        _prose(_STAGES),
        DisplayedFormula(
            r"\begin{pmatrix} y_{t+1} \\ b_{t+1} \end{pmatrix} = \begin{pmatrix} a & -c \\ d & g \end{pmatrix}"
            r" \begin{pmatrix} y_t \\ b_t \end{pmatrix}, \qquad"
            r" \lambda_1 = \frac{a + g + \sqrt{(a - g)^2 - 4 c d}}{2} > 1",
            6,
        ),
    ]
    frame = Frame(MARGIN + 20, 50, WIDTH - 2 * MARGIN - 40, HEIGHT - 102, leftPadding=0, rightPadding=0)
    return document([PageTemplate("page", [frame], onPage=_decorate)], story, title=_TITLE, author="Tobias Welk")


def _prose(text: str) -> Paragraph:
    # reportlab's own subscripts hang so low that they touch the next line.
    return Paragraph(text.replace("<sub>", '<sub rise="2.4" size="7">'), BODY)


def _decorate(canvas: Any, _document: Any) -> None:
    running_head(canvas, "Worksheets for bakers", "Sheet 7")
    page_foot(canvas, NOTICE, "7")
