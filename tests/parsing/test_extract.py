"""The fall-back ladder of a page: what goes down it, what stops the run, what is asked again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mineru_vl_utils.post_process.table_image_processor import TABLE_IMAGE_TOKEN_MAP_KEY
from mineru_vl_utils.vlm_client import SamplingParams
from mineru_vl_utils.vlm_client.base_client import VlmClient

from mineru_pipeline.errors import (
    AnswerError,
    ClientSideError,
    ModelServerError,
    OutageError,
    RepetitiveAnswerError,
    RequestTimeoutError,
    ServerError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.transport import build_mineru_client
from mineru_pipeline.parsing.budget import ByteBudget
from mineru_pipeline.parsing.checkpoint import encode_page
from mineru_pipeline.parsing.extract import (
    LADDER_SAMPLING,
    MAX_BLOCKS,
    ExtractedPage,
    MinerUExtractor,
    parse_layout,
    text_within,
)
from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.pages import RenderedPage
from mineru_pipeline.parsing.pictures import encode_png
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.resizing import layout_pixels

LAYOUT = (
    "<|box_start|>100 100 900 200<|box_end|><|ref_start|>title<|ref_end|><|rotate_up|>\n"
    "<|box_start|>100 300 900 500<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>\n"
)
WORDS = (Word("Heading", 0.1, 0.12, 0.3, 0.15), Word("own", 0.1, 0.35, 0.2, 0.38), Word("text", 0.25, 0.35, 0.3, 0.38))
Answer = Callable[[str, SamplingParams], str]


class ScriptedModel(VlmClient):  # type: ignore[misc]  # the library ships no types
    """Answers by a function of prompt and sampling, and records what it was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(allow_truncated_content=True)
        self._answer = answer
        self.asked: list[tuple[str, float | None]] = []
        self.patient: list[bool] = []
        self.rejected: list[str] = []

    def reject(self, error: AnswerError) -> None:
        self.rejected.append(error.code)

    async def aio_predict(
        self,
        image: Any,
        prompt: str = "",
        sampling_params: Any = None,
        priority: int | None = None,
        *,
        is_patient: bool = False,
    ) -> str:
        self.asked.append((prompt.strip(), sampling_params.temperature))
        self.patient.append(is_patient)
        return self._answer(prompt.strip(), sampling_params)


def blank(words: Sequence[Word] = WORDS, ink: float = 0.05) -> RenderedPage:
    pixels = np.full((100, 100), 255, np.uint8)
    layout = encode_png(layout_pixels(pixels))
    return RenderedPage(0, 72.0, 72.0, layout, PackedPixels.of(pixels), ink, TextLayer.of(words))


async def extract(answer: Answer, page: RenderedPage | None = None) -> tuple[ExtractedPage, ScriptedModel]:
    model = ScriptedModel(answer)
    hold = await ByteBudget(1).acquire(0)
    return await MinerUExtractor(build_mineru_client(model)).extract(page or blank(), hold), model


async def test_whole_answers_make_a_whole_page() -> None:
    """Layout first, then one request a block; nothing is degraded."""
    got, model = await extract(lambda prompt, _: LAYOUT if prompt.startswith("Layout") else "read")
    assert [block["content"] for block in got.extraction.blocks] == ["read", "read"]
    assert got.extraction.degradations == ()
    assert got.requests == len(model.asked) == 3


NOWHERE = "<|box_start|>100 100 900 9" + "9" * 5000 + "<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>"


@pytest.mark.parametrize(
    ("layout", "kind"), [("", "empty-layout"), ("no box at all", "empty-layout"), (NOWHERE, "invalid-answer")]
)
async def test_a_layout_that_makes_no_sense_is_counted_each_time(layout: str, kind: str) -> None:
    """The client has taken the answer for whole; only who reads it knows better, and lets it count the kind."""
    got, model = await extract(lambda prompt, _: layout)
    assert model.rejected == [kind, kind]
    assert [degradation.cause for degradation in got.extraction.degradations] == [kind]
    assert [temperature for _, temperature in model.asked] == [0.0, LADDER_SAMPLING["temperature"]]


@pytest.mark.parametrize("error", [TruncatedAnswerError("cut"), RepetitiveAnswerError("loop")])
async def test_a_bad_answer_is_asked_again_with_changed_sampling(error: Exception) -> None:
    """Truncation and loops get a second attempt off the greedy path, and its answer counts."""

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith("Layout"):
            return LAYOUT
        if params.temperature == LADDER_SAMPLING["temperature"]:
            return "second attempt"
        raise error

    got, _ = await extract(answer)
    assert {block["content"] for block in got.extraction.blocks} == {"second attempt"}
    assert got.extraction.degradations == ()
    assert got.requests == 5


@pytest.mark.parametrize(("late", "expected"), [(1, "first choice"), (2, "substitute"), (3, None)])
async def test_what_is_not_answered_in_time_is_asked_again_in_both_ways(late: int, expected: str | None) -> None:
    """At once and with more patience: the same question, whose answer is preferred, and one off the greedy path."""
    asked = 0

    def answer(prompt: str, params: SamplingParams) -> str:
        nonlocal asked
        if prompt.startswith("Layout"):
            return LAYOUT.splitlines(keepends=True)[0]
        asked += 1
        if asked <= late:
            raise RequestTimeoutError("still at it")
        return "substitute" if params.temperature == LADDER_SAMPLING["temperature"] else "first choice"

    got, model = await extract(answer)
    assert got.extraction.blocks[0]["content"] == expected
    assert [degradation.cause for degradation in got.extraction.degradations] == ([] if expected else ["timeout"])
    assert model.asked[1:] == [("Text Recognition:", t) for t in (0.0, 0.0, LADDER_SAMPLING["temperature"])]
    assert model.patient == [False, False, True, True]


async def test_a_block_that_stays_bad_keeps_the_text_layer_and_its_cause() -> None:
    """Only that block is degraded; the others and the page are as the model said."""

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith("Layout"):
            return LAYOUT
        raise TruncatedAnswerError("ran out of tokens")

    got, _ = await extract(answer)
    assert [(d.block, d.cause, d.text_layer) for d in got.extraction.degradations] == [
        (0, "truncated", "Heading"),
        (1, "truncated", "own text"),
    ]
    assert len(got.extraction.blocks) == 2


@pytest.mark.parametrize(
    ("words", "second", "expected", "cause"),
    [
        (WORDS, "read", "read", []),
        (WORDS, " \n", None, ["empty-answer"]),
        ((), "never asked for", "", []),
    ],
)
async def test_nothing_read_where_the_pdf_has_words_is_no_answer(
    words: Sequence[Word], second: str, expected: str | None, cause: list[str]
) -> None:
    """It is asked for again off the greedy path; without words of the PDF, an empty block is taken for one."""
    layout = LAYOUT.splitlines(keepends=True)[1]

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith("Layout"):
            return layout
        return second if params.temperature == LADDER_SAMPLING["temperature"] else ""

    got, model = await extract(answer, blank(words))
    assert got.extraction.blocks[0]["content"] == expected
    assert [degradation.cause for degradation in got.extraction.degradations] == cause
    assert len(model.rejected) == (0 if not words else 1 + len(cause))


async def test_an_error_of_one_request_is_not_asked_again_here() -> None:
    """The transport has spent its retries; a second budget on top would multiply them."""

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith("Layout"):
            return LAYOUT
        raise ServerError("broken block", status=500)

    got, model = await extract(answer)
    assert [d.cause for d in got.extraction.degradations] == ["server", "server"]
    assert len(model.asked) == 3


@pytest.mark.parametrize("answer", ["", "I cannot see any layout."])
async def test_an_empty_layout_of_an_inked_page_is_a_failure(answer: str) -> None:
    """Two attempts find nothing: the page as a whole falls back, with all its own text."""
    got, model = await extract(lambda prompt, _: answer)
    (failure,) = got.extraction.degradations
    assert (failure.block, failure.cause) == (None, "empty-layout")
    assert failure.text_layer == "Heading\nown text"
    assert len(model.asked) == 2


async def test_an_empty_layout_of_a_blank_page_is_the_truth() -> None:
    """A page without ink and words has no blocks, and that is no failure."""
    got, _ = await extract(lambda prompt, _: "", blank((), 0.0))
    assert got.extraction.blocks == ()
    assert got.extraction.degradations == ()


@pytest.mark.parametrize("at", ["Layout", "Text"])
async def test_an_outage_goes_up_not_down_the_ladder(at: str) -> None:
    """Nothing is degraded because the server is gone; the run hears of it."""

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith(at):
            raise OutageError("no server")
        return LAYOUT

    with pytest.raises(OutageError):
        await extract(answer)


async def test_a_refused_client_is_no_matter_of_the_page() -> None:
    """Wrong key and wrong model concern every page, so the error of the client goes up."""

    def answer(prompt: str, params: SamplingParams) -> str:
        raise ModelServerError("refused")

    with pytest.raises(ModelServerError):
        await extract(answer)


async def test_a_rejected_block_is_degraded_at_once() -> None:
    """A 400 for one picture says nothing about the others."""

    def answer(prompt: str, params: SamplingParams) -> str:
        if prompt.startswith("Layout"):
            return LAYOUT
        raise ClientSideError("image too large", status=400)

    got, _ = await extract(answer)
    assert [d.cause for d in got.extraction.degradations] == ["client-side", "client-side"]


def test_text_within_keeps_lines_and_the_layers_own_order() -> None:
    """Words on one line are joined by spaces, lines by newlines; words outside the box are left out."""
    words = [Word("a", 0.1, 0.1, 0.2, 0.12), Word("b", 0.3, 0.1, 0.4, 0.12), Word("c", 0.1, 0.2, 0.2, 0.22)]
    assert text_within(words) == "a b\nc"
    assert text_within(words, (0.25, 0.0, 1.0, 1.0)) == "b"


async def test_pictures_inside_a_table_give_the_same_checkpoint_each_time() -> None:
    """vl-utils masks them with random tokens; here the same page has the same ones, and no pixels are kept."""
    layout = (
        "<|box_start|>100 100 900 900<|box_end|><|ref_start|>table<|ref_end|><|rotate_up|>\n"
        "<|box_start|>200 200 600 600<|box_end|><|ref_start|>image<|ref_end|><|rotate_up|>\n"
    )
    state = random.getstate()
    first, _ = await extract(lambda prompt, _: layout if prompt.startswith("Layout") else "<table></table>")
    assert random.getstate() == state
    random.random()
    again, _ = await extract(lambda prompt, _: layout if prompt.startswith("Layout") else "<table></table>")
    assert first.extraction == again.extraction
    tokens = first.extraction.blocks[0][TABLE_IMAGE_TOKEN_MAP_KEY]
    assert list(tokens.values()) == [""]


@pytest.mark.parametrize(
    "layout",
    [
        f"<|box_start|>{'9' * 5000} 1 2 3<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>",
        "\n".join(
            f"<|box_start|>{x} {y} {x + 9} {y + 9}<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>"
            for x in range(0, 900, 20)
            for y in range(0, 900, 20)
        ),
    ],
    ids=["number without end", "blocks without end"],
)
async def test_a_looping_layout_costs_its_page_alone(layout: str) -> None:
    """What the library cannot read, or would ask a thousand questions about, falls back to the page's own text."""
    got, model = await extract(lambda prompt, _: layout)
    (failure,) = got.extraction.degradations
    assert (failure.block, failure.text_layer) == (None, "Heading\nown text")
    assert len(model.asked) == 2


def test_a_layout_is_counted_before_it_is_compared() -> None:
    """Blocks are compared each with each, so an answer of half a megabyte would hold the worker up for long."""
    answer = "<|box_start|>1 1 9 9<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>\n" * (MAX_BLOCKS + 1)
    with pytest.raises(RepetitiveAnswerError, match=str(MAX_BLOCKS + 1)):
        parse_layout(build_mineru_client(ScriptedModel(lambda *_: "")), answer)


async def test_answers_that_no_file_can_hold_are_cleaned() -> None:
    """A lone surrogate, which JSON may carry, is dropped before it reaches a checkpoint."""
    got, _ = await extract(lambda prompt, _: LAYOUT if prompt.startswith("Layout") else "a\ud800b")
    assert [block["content"] for block in got.extraction.blocks] == ["ab", "ab"]
    assert encode_page(got.extraction)


async def test_the_same_failure_leaves_the_same_checkpoint() -> None:
    """Request ids and addresses are for the log; a checkpoint holds nothing that differs from run to run."""

    async def once(request_id: str) -> bytes:
        def answer(prompt: str, params: SamplingParams) -> str:
            if prompt.startswith("Layout"):
                return LAYOUT
            raise ServerError(f"request {request_id} failed", endpoint=f"http://{request_id}", request_id=request_id)

        return encode_page((await extract(answer))[0].extraction)

    assert await once("one") == await once("two")
