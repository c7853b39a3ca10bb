"""The responder that reads: each of MinerU's prompts answered by recognition of the picture it came with."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from mineru_pipeline.devserver.identity import DESCRIPTION, MODEL_ID
from mineru_pipeline.devserver.ocr import weights
from mineru_pipeline.devserver.ocr.grid import arrange
from mineru_pipeline.devserver.ocr.layout import LayoutFinder
from mineru_pipeline.devserver.ocr.otsl import to_otsl
from mineru_pipeline.devserver.ocr.prose import ordered_rows, paragraph
from mineru_pipeline.devserver.ocr.reader import Page, Reader
from mineru_pipeline.devserver.ocr.regions import RegionDetector
from mineru_pipeline.devserver.prompts import Task, layout_answer, task_of
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest, UnusableImageError

Image = NDArray[np.uint8]

#: What MinerU2.5 answers for a block without text; the client then drops the block.
NO_TEXT = "[Non-Text]"


class OcrResponder:
    """Answers from pixels, ``workers`` requests at once on a thread each; sessions are shared."""

    def __init__(self, *, workers: int) -> None:
        cv2.setNumThreads(1)
        self._workers = workers
        self._reader = Reader(weights.tiny())
        self._layout = LayoutFinder(self._reader, RegionDetector(weights.session(weights.layout())))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ocr")

    @property
    def card(self) -> ModelCard:
        """Who answers."""
        return ModelCard(MODEL_ID, DESCRIPTION)

    @property
    def slots(self) -> int:
        """How many requests may run at once."""
        return self._workers

    @property
    def kv_cache_tokens(self) -> None:
        """There is no KV cache."""
        return

    def plan(self, request: PromptRequest) -> _Reading:
        """What answering takes is not known before."""
        return _Reading(self, request)

    async def answer(self, request: PromptRequest) -> Answer:
        """Answer one request on a worker thread; raises :class:`UnusableImageError`."""
        thread = asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            # The thread reads on, and until it is done its worker is not free.
            await asyncio.wait((thread,))
            raise

    def close(self) -> None:
        """End the worker threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: PromptRequest) -> Answer:
        if not request.image:
            return Answer(f"{MODEL_ID}: {DESCRIPTION}")
        image = decode(request.image_bytes())
        task = task_of(request.prompt)
        if task is Task.LAYOUT:
            return Answer(layout_answer(self._layout.find(image)))
        return Answer(_spoken(task, self._reader.read(image)))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one picture."""

    responder: OcrResponder
    request: PromptRequest
    kv_tokens: int = 0

    async def run(self, since: float) -> Answer:  # noqa: ARG002 reading takes the time it takes
        return await self.responder.answer(self.request)

    def so_far(self, seconds: float) -> Answer:  # noqa: ARG002 there is nothing before the end
        return Answer("", "abort")


def decode(data: bytes) -> Image:
    """The picture as BGR pixels; transparent parts become white. Raises :class:`UnusableImageError`."""
    try:
        with PilImage.open(io.BytesIO(data)) as picture:
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                layered = picture.convert("RGBA")
                ground = PilImage.new("RGBA", layered.size, "white")
                picture_rgb = PilImage.alpha_composite(ground, layered).convert("RGB")
            else:
                picture_rgb = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise UnusableImageError(f"The image cannot be decoded: {error}") from error
    return np.ascontiguousarray(np.asarray(picture_rgb)[:, :, ::-1])


def _spoken(task: Task, page: Page) -> str:
    if task is Task.TABLE:
        return to_otsl(arrange(page))
    if task is Task.IMAGE:
        return _picture(page)
    return paragraph(page.lines) or NO_TEXT


def _picture(page: Page) -> str:
    """The words in a picture, in the form that MinerU's image analysis has."""
    content = "\n".join(" ".join(line.text for line in row) for row in ordered_rows(page.lines))
    kind = "text_image" if content else "natural_image"
    return (
        f"<|class_start|>{kind}<|class_end|><|sub_class_start|><|sub_class_end|>"
        f"<|caption_start|><|caption_end|><|content_start|>{content}<|content_end|>"
    )
