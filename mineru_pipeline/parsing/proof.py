"""Proof, before any page is sent, that the model answers as MinerU's does.

A server may be healthy, serve the right name and still refuse or garble every request: a text-only
model under that name, a context that is too short, a proxy that answers with a page of its own.
Page by page each of these looks like a fault of the page, and a whole library would be degraded.
"""

from __future__ import annotations

import asyncio

from mineru_vl_utils import MinerUClient
from PIL import Image, ImageDraw

from mineru_pipeline.errors import (
    AnswerError,
    ClientSideError,
    InvalidAnswerError,
    ModelServerError,
    RequestTimeoutError,
)
from mineru_pipeline.parsing.extract import parse_layout

_LINES = (
    "This page is sent once, before the work begins.",
    "Whoever can read a page finds a block of text on it.",
    "It is the same each time, so it says nothing of anybody.",
)


def known_page() -> Image.Image:
    """An A4 page at 100 dpi with three large lines of text."""
    page = Image.new("RGB", (827, 1169), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(_LINES):
        draw.text((90, 200 + 40 * number), line, fill="black", font_size=26)
    return page


async def prove(mineru: MinerUClient) -> None:
    """Ask for the layout of a page that is known to be good.

    Raises:
        ModelServerError: the answer cannot be used, so neither could any other; says what to check.
        OutageError: no server answers.
    """
    picture = await asyncio.to_thread(mineru.helper.prepare_for_layout, known_page())
    try:
        # A cold server may compile for minutes before it answers its first request.
        answer = await mineru.client.aio_predict(
            picture, mineru.prompts["[layout]"], mineru.sampling_params["[layout]"], is_patient=True
        )
        if not parse_layout(mineru, str(answer)):
            raise InvalidAnswerError("it found no block on a page of text")
    except (AnswerError, ClientSideError, RequestTimeoutError) as error:
        raise ModelServerError(
            f"The model server cannot do MinerU's work, so no page was sent: {error} Check that vllm_server.model "
            "is a MinerU2.5 model, that it accepts one image and its context is long enough, and that no proxy "
            "answers in its place."
        ) from error
