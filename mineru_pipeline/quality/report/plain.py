"""What the report says in plain language: the decision, the families, and figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mineru_pipeline.quality.gates.model import Decision, Judgement, Kind, Verdict
from mineru_pipeline.quality.scores.model import BlockState, Family

HEADLINES: Final = {Decision.ACCEPT: "Accepted", Decision.REJECT: "Rejected", Decision.INCONCLUSIVE: "Not decided"}
#: Told apart without colours, too.
SIGNS: Final = {Decision.ACCEPT: "✓", Decision.REJECT: "✗", Decision.INCONCLUSIVE: "?"}
STATE_SIGNS: Final = {
    BlockState.FOUND: "✓",
    BlockState.PARTIAL: "~",
    BlockState.LOST: "✗",
    BlockState.LEAKED: "!",
}
#: What a family says, in one line.
MEANINGS: Final = {
    Family.TEXT: "words that were read, and no others",
    Family.DIGITS: "numbers that were read digit by digit",
    Family.ORDER: "words in the order in which people read",
    Family.TABLES: "rows, columns, spans and words of tables",
    Family.HEADINGS: "headings known as such",
    Family.FORMULAS: "LaTeX of displayed formulas, by edits",
    Family.LEAKAGE: "page headers and footers kept out of the text",
    Family.REPETITION: "nothing said again and again",
    Family.PAGES: "pages that are not lost as a whole",
}
CATASTROPHES: Final = {
    "lost": "nearly nothing of it was found",
    "loop": "it repeats itself",
    "garbage": "nearly nothing that came stands on it",
}


def headline(decision: Decision | None) -> str:
    """The decision in two words."""
    return HEADLINES[decision] if decision else "No baseline"


def explanation(judgement: Judgement | None, objections: Sequence[str] = ()) -> str:
    """What the decision means, for somebody who knows no statistics."""
    if judgement is None:
        return (
            "There is nothing to compare with. What follows shows how good this parse is, not whether it is good "
            "enough."
        )
    if objections and judgement.decision is not Decision.REJECT:
        return (
            f"It must not go out, although the gates say {judgement.decision}: the following weighs more than a mean."
        )
    sure = f"{1 - judgement.alpha:.0%}"
    if judgement.decision is Decision.ACCEPT:
        return (
            f"Every family keeps what is asked for, with {sure} confidence. As far as quality goes, the candidate may "
            "go out."
        )
    if judgement.decision is Decision.REJECT:
        return (
            f"The candidate is worse than what is tolerated in {_families(judgement, Decision.REJECT)}, with {sure} "
            "confidence over all families together. It must not go out; the report shows page by page what was lost."
        )
    return (
        f"In {_families(judgement, Decision.INCONCLUSIVE)} the candidate is neither shown to be good enough nor shown "
        "to be worse than what is tolerated. Nothing goes out on that: look at what was lost, or measure more "
        "documents."
    )


def worse_means(kind: Kind) -> str:
    """What "x % worse" means in a family of this kind."""
    if kind is Kind.RATIO:
        return "the mean over all documents is (100 − x) % of the baseline’s"
    return "x more pages in a hundred are catastrophic"


def change(verdict: Verdict, value: float | None) -> float | None:
    """A figure of a verdict as change against the baseline, 0 for none: the scale that all families share."""
    if value is None:
        return None
    return value - 1 if verdict.kind is Kind.RATIO else value


def figure(verdict: Verdict, value: float | None) -> str:
    """A figure of a verdict: a share of the baseline's mean, or points that the mean moved by."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if verdict.kind is Kind.RATIO else f"{signed(100 * value, 1)} points"


def interval(verdict: Verdict) -> str:
    """Both ends of the interval of a verdict; "–" for an end that is not known."""
    low, high = figure(verdict, verdict.lower), figure(verdict, verdict.upper)
    unit = " %" if verdict.kind is Kind.RATIO else " points"
    return f"{low.removesuffix(unit) if high.endswith(unit) else low} to {high}"


def score(value: float | None) -> str:
    """A score 0-1 with three digits; a dash where there is none. Only what is whole is shown as 1."""
    if value is None:
        return "–"
    return "1" if value >= 1 else f"{min(value, 0.999):.3f}"


def delta(before: float | None, after: float | None) -> str:
    """How far a score moved; "" where nothing moved that three digits show, or nothing can be compared."""
    if before is None or after is None or round(after - before, 3) == 0:
        return ""
    return signed(after - before, 3)


def signed(value: float, digits: int) -> str:
    """A number with its sign, minus as minus; no sign at zero."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+") + text


def percent(value: float | None) -> str:
    """A share as whole per cent; what is not quite all is never shown as all."""
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" if value in {0.0, 1.0} else f"{min(max(round(100 * value), 1), 99)} %"


def _families(judgement: Judgement, decision: Decision) -> str:
    names = [verdict.family for verdict in judgement.verdicts if verdict.decision is decision]
    if len(names) < 2:  # noqa: PLR2004 - a list of one needs no "and"
        return names[0] if names else "no family"
    return f"{', '.join(names[:-1])} and {names[-1]}"
