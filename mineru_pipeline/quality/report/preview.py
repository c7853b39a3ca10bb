"""The report in small, as Markdown for the metadata of an asset or a check: decision, intervals by family, figures.

Dagster's UI (tried with 1.13) shows Markdown in a dialog some 430 pixels wide. It drops inline HTML and SVG, but shows
pictures whose address is a ``data:`` one, an SVG among them, so the picture is one: sharp, and some 5 KB.
"""

from __future__ import annotations

import base64
from typing import Final
from xml.etree import ElementTree as ET

from mineru_pipeline.quality.gates.model import Decision, Judgement, Verdict
from mineru_pipeline.quality.report import plain
from mineru_pipeline.quality.report.intervals import Scale
from mineru_pipeline.quality.report.model import Compared, Head, Side
from mineru_pipeline.quality.scores.model import Family
from mineru_pipeline.quality.scores.summary import summarise

_WIDTH: Final = 440
_LEFT, _RIGHT = 84, 330
_TOP, _ROW = 26, 26
_INK, _SOFT, _LINE = "#1b1f24", "#5b6470", "#d8dde3"
_COLOURS: Final = {Decision.ACCEPT: "#18794e", Decision.REJECT: "#b42318", Decision.INCONCLUSIVE: "#9a6200"}
_SPECIAL: Final = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]()<>#+!|~&"} | {"\n": " ", "\r": " "})


def preview_markdown(head: Head, compared: Compared) -> str:
    """Decision, sides, picture and figures as Markdown; whatever people or servers named is escaped."""
    judgement = compared.judgement
    sides = f"Candidate {_side(head.candidate)}"
    if head.baseline:
        sides = f"{sides}, baseline **{_escaped(head.baseline.name)}** {_side(head.baseline)}"
    parts = [
        f"### {plain.SIGNS[compared.decision] + ' ' if compared.decision else ''}{plain.headline(compared.decision)}",
        plain.explanation(judgement, compared.objections),
        *(_escaped(objection) for objection in compared.objections),
        f"{sides}; {len(compared.candidate)} documents of corpus {_escaped(head.corpus_version)}.",
    ]
    if any(side.stand_in for side in (head.candidate, head.baseline) if side):
        parts.append("**Not MinerU2.5**: the pages were read by a stand-in for development.")
    if judgement:
        data = base64.b64encode(preview_svg(judgement).encode()).decode()
        parts.append(f"![{plain.headline(judgement.decision)}: change by family](data:image/svg+xml;base64,{data})")
    parts.append(_verdicts(judgement) if judgement else _means(compared))
    return "\n\n".join(parts) + "\n"


def preview_svg(judgement: Judgement) -> str:
    """The intervals of all families as change against the baseline, with the lines that decide."""
    verdicts = judgement.verdicts
    height = _TOP + _ROW * len(verdicts) + 22
    size = {"width": str(_WIDTH), "height": str(height), "viewBox": f"0 0 {_WIDTH} {height}"}
    font = {"font-family": "system-ui, sans-serif", "font-size": "12"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **font})
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "rx": "6", "fill": "#fff"})
    scale = Scale.over(verdicts)
    for tick in scale.ticks():
        x = _x(scale, tick)
        _line(svg, x, _TOP - 4, height - 20, {"stroke": _LINE})
        _text(svg, x, 15, plain.signed(100 * tick, 0), {"text-anchor": "middle", "fill": _SOFT, "font-size": "11"})
    for number, verdict in enumerate(verdicts):
        _row(svg, scale, verdict, _TOP + _ROW * number + _ROW // 2)
    _text(svg, _LEFT, height - 6, "% against the baseline; black: asked for", {"fill": _SOFT, "font-size": "11"})
    return ET.tostring(svg, encoding="unicode")


def _row(svg: ET.Element, scale: Scale, verdict: Verdict, y: int) -> None:
    colour = _COLOURS[verdict.decision]
    lower, estimate, upper = (
        plain.change(verdict, value) for value in (verdict.lower, verdict.estimate, verdict.upper)
    )
    _text(svg, 8, y + 4, verdict.family, {})
    _text(svg, _RIGHT + 12, y + 4, f"{plain.SIGNS[verdict.decision]} {verdict.decision}", {"fill": colour})
    margin, tolerated = plain.change(verdict, verdict.margin), plain.change(verdict, verdict.tolerated)
    _line(svg, _x(scale, margin or 0.0), y - 9, y + 9, {"stroke": _INK, "stroke-width": "2"})
    _line(svg, _x(scale, tolerated or 0.0), y - 9, y + 9, {"stroke": "#b42318", "stroke-dasharray": "3 3"})
    if estimate is None:
        return
    low = _x(scale, scale.low if lower is None else lower)
    high = _x(scale, scale.high if upper is None else upper)
    ET.SubElement(svg, "path", {"d": f"M{low:.1f} {y}H{high:.1f}", "stroke": colour, "stroke-width": "3"})
    ET.SubElement(svg, "circle", {"cx": f"{_x(scale, estimate):.1f}", "cy": str(y), "r": "4.5", "fill": colour})


def _x(scale: Scale, change: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * scale.at(change) / 100


def _line(svg: ET.Element, x: float, top: int, bottom: int, stroke: dict[str, str]) -> None:
    ET.SubElement(svg, "path", {"d": f"M{x:.1f} {top}V{bottom}", **stroke})


def _text(svg: ET.Element, x: float, y: int, words: str, attributes: dict[str, str]) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.1f}", "y": str(y), "fill": _INK, **attributes}).text = words


def _verdicts(judgement: Judgement) -> str:
    rows = [
        f"| {verdict.family} | {plain.figure(verdict, verdict.estimate)} | {plain.interval(verdict)} "
        f"| {plain.SIGNS[verdict.decision]} {verdict.decision} |"
        for verdict in judgement.verdicts
    ]
    return "\n".join(["| family | kept | interval | decision |", "|---|---:|---:|---|", *rows])


def _means(compared: Compared) -> str:
    means = summarise(compared.candidate).overall
    rows = [f"| {family} | {plain.score(means[family].mean)} | {means[family].documents} |" for family in Family]
    return "\n".join(["| family | mean | documents |", "|---|---:|---:|", *rows])


def _side(side: Side) -> str:
    return f"revision {_escaped(side.parser_revision)}"


def _escaped(words: str) -> str:
    return words.translate(_SPECIAL)
