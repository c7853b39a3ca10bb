"""One page to the model and back: layout, then every block, each with its own fall-back ladder."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mineru_vl_utils import MinerUClient
from mineru_vl_utils.post_process.table_image_processor import TABLE_IMAGE_TOKEN_MAP_KEY
from mineru_vl_utils.structs import ContentBlock
from mineru_vl_utils.vlm_client import SamplingParams
from PIL import Image

from mineru_pipeline.errors import (
    AnswerError,
    ClientSideError,
    EmptyLayoutError,
    InferenceError,
    InvalidAnswerError,
    ModelServerError,
    OutageError,
    RepetitiveAnswerError,
)
from mineru_pipeline.parsing.budget import Hold
from mineru_pipeline.parsing.markup import clean_text
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage, Word
from mineru_pipeline.parsing.tasks import all_or_first_error

logger = logging.getLogger(__name__)

_RANDOM_IS_LENT = threading.Lock()

#: Sampling of the second attempt: a greedy decoder that looped once loops again, so it is let off
#: the greedy path, with a stronger ban on repeats.
LADDER_SAMPLING: dict[str, float | int] = {
    "temperature": 0.4,
    "top_p": 0.9,
    "top_k": 20,
    "repetition_penalty": 1.05,
    "no_repeat_ngram_size": 35,
}

#: Share of inked pixels above which an empty layout cannot be the truth (a dust speck is below it).
INK_OF_A_PAGE = 0.001

#: Blocks of one page; the densest newspaper has a third of it, and each costs a request.
MAX_BLOCKS = 1000

WHOLE_PAGE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """What came back for a page, and how many requests that took."""

    extraction: PageExtraction
    requests: int


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

    async def extract(self) -> ExtractedPage:
        # A view of the bytes, not a copy.
        size = (self._page.width_px, self._page.height_px)
        image = Image.frombuffer("RGB", size, self._page.rgb, "raw", "RGB", 0, 1)
        try:
            blocks = await self._layout(image)
            crops, prompts, sampling, indices = await asyncio.to_thread(_prepare_crops, self._mineru, image, blocks)
        except InferenceError as error:
            return self._done([], [self._degradation(None, error)])
        # The crops are all that is needed from here on; the page's own pixels are the larger part.
        del image
        self._page = replace(self._page, rgb=b"")
        self._hold.resize(sum(map(len, crops)))
        answers = await all_or_first_error(
            self._block(index, blocks[index], crop, prompt, params)
            for index, crop, prompt, params in zip(indices, crops, prompts, sampling, strict=True)
        )
        return self._done(blocks, [answer for answer in answers if answer is not None])

    async def _layout(self, image: Image.Image) -> list[ContentBlock]:
        picture = await self._mineru.helper.aio_prepare_for_layout(None, image)
        params = self._mineru.sampling_params["[layout]"]
        try:
            return await self._layout_once(picture, params)
        except AnswerError as error:
            logger.info("page %d: layout again with changed sampling: %s", self._page.index, error)
            return await self._layout_once(picture, _changed(params))

    async def _layout_once(self, picture: bytes, params: SamplingParams) -> list[ContentBlock]:
        answer = await self._ask(picture, self._mineru.prompts["[layout]"], params)
        blocks = parse_layout(self._mineru, answer)
        if not blocks and (self._page.ink > INK_OF_A_PAGE or self._page.words):
            raise EmptyLayoutError("the model found no block on a page that is not blank", text=answer[:300])
        return blocks

    async def _block(
        self, index: int, block: ContentBlock, crop: bytes, prompt: str, params: SamplingParams
    ) -> Degradation | None:
        try:
            try:
                block.content = await self._ask(crop, prompt, params)
            except AnswerError:
                block.content = await self._ask(crop, prompt, _changed(params))
        except InferenceError as error:
            return self._degradation(index, error, block.bbox)
        return None

    def _degradation(self, block: int | None, error: InferenceError, bbox: Sequence[float] = WHOLE_PAGE) -> Degradation:
        """What is kept of a failure: its kind alone, for ids and addresses differ from run to run."""
        cause = _of_this_request(error)
        logger.warning("page %d, block %s is degraded: %s", self._page.index, block, cause)
        status = f" (status {cause.status})" if cause.status else ""
        message = (type(cause).__doc__ or cause.code).splitlines()[0] + status
        return Degradation(block, cause.code, message, text_within(self._page.words, bbox))

    async def _ask(self, picture: bytes, prompt: str, params: SamplingParams) -> str:
        self._requests += 1
        return clean_text(str(await self._mineru.client.aio_predict(picture, prompt, params)))

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
        return ExtractedPage(extraction, self._requests)


def parse_layout(mineru: MinerUClient, answer: str) -> list[ContentBlock]:
    """The blocks of a layout answer; whatever is wrong with it is a failure of the answer alone."""
    try:
        blocks: list[ContentBlock] = mineru.helper.parse_layout_output(answer)
    except Exception as error:
        # A looping decoder writes numbers that Python refuses to read, and more that nobody foresees.
        raise InvalidAnswerError(f"the layout cannot be read: {type(error).__name__}", text=answer[:300]) from error
    if len(blocks) > MAX_BLOCKS:
        raise RepetitiveAnswerError(f"the layout has {len(blocks)} blocks", text=answer[:300])
    return blocks


def _prepare_crops(
    mineru: MinerUClient, image: Image.Image, blocks: list[ContentBlock]
) -> tuple[list[bytes], list[str], list[SamplingParams], list[int]]:
    """vl-utils' preparation; boxes that it cannot cut make the layout as a whole invalid."""
    try:
        return _prepare_repeatably(mineru, image, blocks)
    except Exception as error:
        raise InvalidAnswerError(f"the blocks cannot be cut out: {type(error).__name__}") from error


def _prepare_repeatably(
    mineru: MinerUClient, image: Image.Image, blocks: list[ContentBlock]
) -> tuple[list[bytes], list[str], list[SamplingParams], list[int]]:
    """The same requests and the same checkpoint for the same page.

    Pictures inside a table are masked with a token from the global random generator, which is lent
    to vl-utils with a fixed seed. The pictures themselves stay out of the checkpoint: assembly cuts them anew.
    """
    if not {"table", "image"} <= {block.type for block in blocks}:
        prepared: tuple[list[bytes], list[str], list[SamplingParams], list[int]]
        prepared = mineru.helper.prepare_for_extract(image, blocks)
        return prepared
    with _RANDOM_IS_LENT:
        state = random.getstate()
        random.seed(repr([(block.type, block.bbox) for block in blocks]))
        try:
            prepared = mineru.helper.prepare_for_extract(image, blocks)
        finally:
            random.setstate(state)
    for block in blocks:
        if TABLE_IMAGE_TOKEN_MAP_KEY in block:
            block[TABLE_IMAGE_TOKEN_MAP_KEY] = dict.fromkeys(block[TABLE_IMAGE_TOKEN_MAP_KEY], "")
    return prepared


def _changed(params: SamplingParams) -> SamplingParams:
    return replace(params, **LADDER_SAMPLING)


def _of_this_request(error: InferenceError) -> InferenceError:
    """``error`` if it concerns this request alone; raised on if it concerns the server."""
    if isinstance(error, OutageError):
        raise error
    if isinstance(error, ClientSideError) and error.status in {401, 403, 404}:
        raise ModelServerError(
            f"the model server refuses our requests: {error}. "
            "Check vllm_server.base_url, vllm_server.model and vllm_server.api_key."
        ) from error
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
