"""Pages of the engine that cannot be rendered, and those that are drawn for people."""

from __future__ import annotations

from scripted_engine import Bench, document

from mineru_pipeline.errors import (
    RenderCrashedError,
    RenderFailedError,
    RenderTimeoutError,
)
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.pages import RenderedPage
from mineru_pipeline.parsing.render import PdfSession


class DrawnAgain(PdfSession):
    """Counts the pages that are drawn for people alone."""

    drawn = 0

    async def picture(self, index: int, *, max_edge: int = 1000) -> bytes:
        DrawnAgain.drawn += 1
        return await super().picture(index, max_edge=max_edge)


async def test_the_report_shows_what_the_model_was_shown(bench: Bench) -> None:
    """Its pages are not drawn again, and each has its picture."""
    bench.session, DrawnAgain.drawn = DrawnAgain, 0
    (outcome,) = await bench.parse(document("page 1", "page 2"))
    assert DrawnAgain.drawn == 0
    assert bench.store.get(outcome.outputs + "report.html").count(b"data:image/png") == 2


async def test_pages_that_the_model_was_not_shown_now_are_drawn_for_the_report(bench: Bench) -> None:
    """Assembled from an earlier run's answers, a document has the same pictures in its report."""
    given = document("page 1", "page 2")
    (outcome,) = await bench.parse(given)
    bench.store.delete(outcome.outputs + "result.json")
    bench.session, DrawnAgain.drawn = DrawnAgain, 0
    await bench.parse(given)
    assert DrawnAgain.drawn == 2
    assert bench.store.get(outcome.outputs + "report.html").count(b"data:image/jpeg") == 2


class BrokenPages(PdfSession):
    """A session whose page 1 cannot be rendered, or kills its child each time."""

    error: Exception = RenderFailedError("page 2 is broken")
    broken = (1,)

    async def render(self, index: int, **options: bool) -> RenderedPage:
        if index in self.broken:
            raise self.error
        return await super().render(index, **options)


class DeadlyPages(BrokenPages):
    error = RenderCrashedError("the child crashed")
    broken = (0, 1, 2, 3)


class DeadlyTail(DeadlyPages):
    broken = (1, 2, 3, 4, 5, 6, 7)


class SlowOnce(PdfSession):
    slow = True

    async def render(self, index: int, **options: bool) -> RenderedPage:
        if self.slow:
            self.slow = False
            raise RenderTimeoutError("took too long")
        return await super().render(index, **options)


async def test_one_unrenderable_page_degrades_the_document_and_no_more(bench: Bench) -> None:
    """The other pages are as they were, and the gap is marked and explained."""
    bench.session = BrokenPages
    (outcome,) = await bench.parse(document("one", "two", "three"))
    assert (outcome.state, outcome.degraded_pages) == (State.DEGRADED, 1)
    assert "render-failed" in outcome.message
    text = bench.store.get(outcome.outputs + "document.md").decode()
    assert "one" in text
    assert "three" in text
    assert "[unreadable" in text


async def test_pages_that_keep_killing_the_child_do_not_cost_the_others(bench: Bench) -> None:
    """After three deaths in a row the rest become gaps, but what was rendered before is kept."""
    bench.session = DeadlyTail
    (outcome,) = await bench.parse(document(*(f"word{number}" for number in range(8))))
    assert (outcome.state, outcome.degraded_pages) == (State.DEGRADED, 7)
    assert "word0" in bench.store.get(outcome.outputs + "document.md").decode()
    # Nothing is remembered of pages that the model never saw.
    (model,) = bench.files("extracted").values()
    assert model.count(b"\n") == 1


async def test_a_document_of_which_nothing_can_be_rendered_fails(bench: Bench) -> None:
    """It fails with the reason; a neighbour is parsed all the same."""
    bench.session = DeadlyPages
    (outcome,) = await bench.parse(document("one", "two", "three", "four"))
    assert (outcome.state, outcome.reason) == (State.FAILED, "render-crashed")


async def test_a_time_out_has_a_second_chance(bench: Bench) -> None:
    """A page that is too slow once, on a busy machine, is not lost for it."""
    bench.session = SlowOnce
    (outcome,) = await bench.parse(document("one", "two"))
    assert outcome.state == State.PARSED
