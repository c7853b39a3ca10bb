"""One page to the model and back: layout, then every block, each with its own fall-back ladder."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from mineru_vl_utils import MinerUClient
from mineru_vl_utils.structs import ContentBlock
from mineru_vl_utils.vlm_client import SamplingParams

from mineru_pipeline.errors import (
    AnswerError,
    EmptyAnswerError,
    EmptyLayoutError,
    InferenceError,
    InvalidAnswerError,
    OutageError,
    RepetitiveAnswerError,
    RequestTimeoutError,
)
from mineru_pipeline.parsing.budget import Hold
from mineru_pipeline.parsing.layer import Word
from mineru_pipeline.parsing.markup import clean_text
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.preparation import Crop, prepare_crops
from mineru_pipeline.parsing.tasks import all_or_first_error, preferred

logger = logging.getLogger(__name__)

#: Sampling of the second attempt: a greedy decoder that looped once loops again, so it is let off
#: the greedy path, with a stronger ban on repeats.
LADDER_SAMPLING: dict[str, float | int] = {
    "temperature": 0.4,
    "top_p": 0.9,
    "top_k": 20,
    "repetition_penalty": 1.05,
    "no_repeat_ngram_size": 35,
}

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Share of inked pixels above which an empty layout cannot be the truth (a dust speck is below it).
INK_OF_A_PAGE = 0.001

#: Blocks of one page; the densest newspaper has a third of it, and each costs a request.
MAX_BLOCKS = 1000

#: Of a picture the model may have nothing to say, whatever is written on it.
_WITHOUT_WORDS = frozenset({"image", "chart", "image_block"})

WHOLE_PAGE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """What came back for a page, how many requests that took, and how long (seconds)."""

    extraction: PageExtraction
    requests: int
    layout_seconds: float = 0.0
    blocks_seconds: float = 0.0
    #: Questions that had to be asked again, by what was wrong with the first answer.
    asked_again: Mapping[str, int] = field(default_factory=dict)


class PageExtractor(Protocol):
    """Turns the pixels of a page into the model's raw answers."""

    async def room(self) -> None:
        """Wait until the model wants more pages."""
        ...

    async def extract(self, page: RenderedPage, hold: Hold) -> ExtractedPage:
        """Ask the model for layout and content of one page, and tell ``hold`` what the page still keeps.

        Raises:
            OutageError: the model server is out of reach for everyone.
            ModelServerError: the server refuses us as such (key, model name).
        """
        ...


@dataclass(frozen=True, slots=True)
class MinerUExtractor:
    """MinerU's two-step extraction over a ``MinerUClient`` that carries our transport."""

    mineru: MinerUClient

    async def room(self) -> None:
        """See :class:`PageExtractor`."""
        await self.mineru.client.room()

    async def extract(self, page: RenderedPage, hold: Hold) -> ExtractedPage:
        """See :class:`PageExtractor`."""
        work = _PageOnItsWay(self.mineru, page, hold)
        del page
        return await work.extract()


class _PageOnItsWay:
    """One page's requests, counted."""

    def __init__(self, mineru: MinerUClient, page: RenderedPage, hold: Hold) -> None:
        self._mineru = mineru
        self._page = page
        self._hold = hold
        self._requests = 0
        self._asked_again: Counter[str] = Counter()
        self._started = time.monotonic()
        self._layout_seconds = 0.0

    async def extract(self) -> ExtractedPage:
        try:
            blocks = await self._layout()
            with self._rejected_answers_counted():
                crops = await asyncio.to_thread(_prepare_crops, self._mineru, self._page.pixels, blocks)
        except InferenceError as error:
            return self._done([], [self._degradation(None, error)])
        # The crops are all that is needed from here on, each until its block is done.
        self._page = self._page.without_pictures()
        self._hold.resize(sum(len(crop.picture) for crop in crops))
        jobs = [self._block(blocks[crop.block], crop) for crop in crops]
        del crops
        answers = await all_or_first_error(jobs)
        return self._done(blocks, [answer for answer in answers if answer is not None])

    async def _layout(self) -> list[ContentBlock]:
        try:
            return await self._asked_twice(self._layout_once, self._mineru.sampling_params["[layout]"])
        finally:
            self._layout_seconds = time.monotonic() - self._started

    async def _layout_once(self, params: SamplingParams, *, is_patient: bool) -> list[ContentBlock]:
        prompt = self._mineru.prompts["[layout]"]
        answer = await self._ask(self._page.layout, prompt, params, is_patient=is_patient)
        with self._rejected_answers_counted():
            blocks = parse_layout(self._mineru, answer)
            if not blocks and (self._page.ink > INK_OF_A_PAGE or self._page.layer.count):
                raise EmptyLayoutError("the model found no block on a page that is not blank", text=answer[:300])
        return blocks

    @contextmanager
    def _rejected_answers_counted(self) -> Iterator[None]:
        """Let the client count an answer that arrived whole and cannot be used."""
        try:
            yield
        except AnswerError as error:
            self._mineru.client.reject(error)
            raise

    async def _block(self, block: ContentBlock, crop: Crop) -> Degradation | None:
        try:
            block.content = await self._asked_twice(partial(self._block_once, block, crop), crop.sampling)
        except InferenceError as error:
            return self._degradation(crop.block, error, block.bbox)
        finally:
            self._hold.resize(max(0, self._hold.size - len(crop.picture)))
        return None

    async def _block_once(self, block: ContentBlock, crop: Crop, params: SamplingParams, *, is_patient: bool) -> str:
        answer = await self._ask(crop.picture, crop.prompt, params, is_patient=is_patient)
        if not answer.strip() and block.type not in _WITHOUT_WORDS:
            with self._rejected_answers_counted():
                # A scan has no words of its own: there, nobody can tell an empty block from one that was not read.
                if text_within(self._page.words, block.bbox):
                    raise EmptyAnswerError("the model read nothing where the PDF itself has words")
        return answer

    def _degradation(self, block: int | None, error: InferenceError, bbox: Sequence[float] = WHOLE_PAGE) -> Degradation:
        """What is kept of a failure: its kind alone, for ids and addresses differ from run to run."""
        cause = _of_this_request(error)
        logger.warning("page %d, block %s is degraded: %s", self._page.index, block, cause)
        status = f" (status {cause.status})" if cause.status else ""
        message = (type(cause).__doc__ or cause.code).splitlines()[0] + status
        return Degradation(block, cause.code, message, text_within(self._page.words, bbox))

    async def _ask(self, picture: bytes, prompt: str, params: SamplingParams, *, is_patient: bool) -> str:
        self._requests += 1
        answer = await self._mineru.client.aio_predict(picture, prompt, params, is_patient=is_patient)
        return clean_text(str(answer))

    def _done(self, blocks: Sequence[ContentBlock], degradations: Sequence[Degradation]) -> ExtractedPage:
        page = self._page
        extraction = PageExtraction(
            index=page.index,
            width_pt=page.width_pt,
            height_pt=page.height_pt,
            width_px=page.width_px,
            height_px=page.height_px,
            ink=page.ink,
            blocks=tuple(dict(block) for block in blocks),
            degradations=tuple(degradations),
        )
        seconds = time.monotonic() - self._started
        return ExtractedPage(
            extraction, self._requests, self._layout_seconds, seconds - self._layout_seconds, dict(self._asked_again)
        )

    async def _asked_twice(self, ask: _Ask[T], params: SamplingParams) -> T:
        try:
            return await ask(params, is_patient=False)
        except (RequestTimeoutError, AnswerError) as error:
            self._asked_again[error.code] += 1
            return await _asked_again(ask, params, error)


class _Ask(Protocol[T_co]):
    def __call__(self, params: SamplingParams, *, is_patient: bool) -> Coroutine[Any, Any, T_co]: ...


async def _asked_again(ask: _Ask[T], params: SamplingParams, error: RequestTimeoutError | AnswerError) -> T:
    """What the model says when asked again, for its answer was not whole or did not come in time.

    A request that is not answered while others are may be lost, long or in a loop. The same question, with more
    patience, helps against the first two, other sampling against the third. Both are asked at once, for one
    after the other would let a block that is beyond help hold its document up for twice as long.
    """
    if isinstance(error, AnswerError):
        logger.info("asked again with changed sampling: %s", error)
        return await ask(_changed(params), is_patient=False)
    logger.info("asked again, the same and with changed sampling: %s", error)
    same, differently = ask(params, is_patient=True), ask(_changed(params), is_patient=True)
    # An outage or a wrong key befalls the other one, too.
    return await preferred(same, differently, InferenceError)


def parse_layout(mineru: MinerUClient, answer: str) -> list[ContentBlock]:
    """The blocks of a layout answer; whatever is wrong with it is a failure of the answer alone."""
    if (claimed := answer.count("<|box_start|>")) > MAX_BLOCKS:
        # Before they are compared with each other, each with each.
        raise RepetitiveAnswerError(f"the layout has {claimed} blocks", text=answer[:300])
    try:
        blocks: list[ContentBlock] = mineru.helper.parse_layout_output(answer)
    except Exception as error:
        # A looping decoder writes numbers that Python refuses to read, and more that nobody foresees.
        raise InvalidAnswerError(f"the layout cannot be read: {type(error).__name__}", text=answer[:300]) from error
    return blocks


def _prepare_crops(mineru: MinerUClient, pixels: PackedPixels, blocks: list[ContentBlock]) -> list[Crop]:
    """What is asked for the blocks; boxes that cannot be cut make the layout as a whole invalid."""
    try:
        return prepare_crops(mineru, pixels, blocks)
    except Exception as error:
        raise InvalidAnswerError(f"the blocks cannot be cut out: {type(error).__name__}") from error


def _changed(params: SamplingParams) -> SamplingParams:
    return replace(params, **LADDER_SAMPLING)


def _of_this_request(error: InferenceError) -> InferenceError:
    """``error`` if it concerns this request alone; raised on if it concerns the server."""
    if isinstance(error, OutageError):
        raise error
    return error


def text_within(words: Sequence[Word], bbox: Sequence[float] = WHOLE_PAGE) -> str:
    """The words whose centre lies in ``bbox`` (fractions), in the text layer's own order, by lines."""
    x0, y0, x1, y1 = bbox
    inside = [w for w in words if x0 <= (w.x0 + w.x1) / 2 <= x1 and y0 <= (w.y0 + w.y1) / 2 <= y1]
    lines: list[list[Word]] = []
    for word in inside:
        same_line = lines and min(word.y1, lines[-1][-1].y1) > max(word.y0, lines[-1][-1].y0)
        if same_line and word.x0 >= lines[-1][-1].x0:
            lines[-1].append(word)
        else:
            lines.append([word])
    return clean_text("\n".join(" ".join(word.text for word in line) for line in lines))
