"""Answers gone wrong: cut short, in a loop, empty, or not what the grammar allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mineru_pipeline.devserver import tokens
from mineru_pipeline.devserver.prompts import Task
from mineru_pipeline.devserver.simulate import SimulatedWork

#: How often a loop says the same: more than any page could hold.
REPEATS = 400
_GARBAGE = {
    Task.LAYOUT: "I see a page with some text on it. <|box_start|>12 <|ref_start|>",
    Task.TABLE: "<fcel>a<fcel>b<nl><fcel><table><tr><td>c",
    Task.FORMULA: "\\frac{{a}{\\begin{array}",
}
_NOISE = "\ufffd\ufffd<|im_end|>\ufffd<|box_start|>\ufffd\ufffd"
_PHRASES = {Task.TABLE: "<fcel>0<fcel>0<nl>", Task.FORMULA: " + x_{1}"}
_PROSE = " and so on and on"

Parameter = float | str | None
Parameters = Mapping[str, Parameter]


def _cut(work: SimulatedWork, given: Parameters, reason: str) -> SimulatedWork:
    keep = float(given["keep"] or 0)
    text = work.text[: int(keep * len(work.text))]
    return replace(work, text=text, finish_reason=reason, decode_seconds=work.decode_seconds * keep)


def _truncated(work: SimulatedWork, given: Parameters) -> SimulatedWork:
    return _cut(work, given, "length")


def _abort(work: SimulatedWork, given: Parameters) -> SimulatedWork:
    return _cut(work, given, "abort")


def _loop(work: SimulatedWork, given: Parameters) -> SimulatedWork:
    """The whole answer, then the same phrase again and again, which takes its time as well."""
    phrase = "\n" + work.text.rsplit("\n", 1)[-1] if work.task is Task.LAYOUT else _PHRASES.get(work.task, _PROSE)
    text = work.text + phrase * REPEATS
    longer = tokens.count(text) / max(1, tokens.count(work.text))
    return replace(
        work, text=text, finish_reason=str(given["finish_reason"]), decode_seconds=work.decode_seconds * longer
    )


def _garbage(work: SimulatedWork, _: Parameters) -> SimulatedWork:
    return replace(work, text=_GARBAGE.get(work.task, _NOISE))


def _empty(work: SimulatedWork, _: Parameters) -> SimulatedWork:
    return replace(work, text="", decode_seconds=0.0)


#: Fault by name: what becomes of the work.
ANSWERS: dict[str, Callable[[SimulatedWork, Parameters], SimulatedWork]] = {
    "truncated": _truncated,
    "abort": _abort,
    "loop": _loop,
    "garbage": _garbage,
    "empty-layout": _empty,
    "empty-answer": _empty,
}
