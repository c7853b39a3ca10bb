"""The proof that a model server can do MinerU's work."""

from __future__ import annotations

import pytest
from mineru_vl_utils.vlm_client.base_client import VlmClient

from mineru_pipeline.errors import (
    ClientSideError,
    InvalidAnswerError,
    ModelServerError,
    OutageError,
    RequestTimeoutError,
)
from mineru_pipeline.inference.transport import build_mineru_client
from mineru_pipeline.parsing.proof import prove

LAYOUT = "<|box_start|>100 100 900 200<|box_end|><|ref_start|>text<|ref_end|><|rotate_up|>"


class Model(VlmClient):  # type: ignore[misc]  # the library ships no types
    """Gives one answer, or raises it."""

    def __init__(self, answer: str | Exception) -> None:
        super().__init__()
        self._answer = answer
        self.asked: list[object] = []

    async def aio_predict(self, image: object, prompt: str = "", *_: object, **__: object) -> str:
        self.asked.append(prompt)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def test_a_layout_is_proof_enough() -> None:
    """A server that finds a block on the known page passes."""
    model = Model(LAYOUT)
    await prove(build_mineru_client(model))
    assert model.asked == ["\nLayout Detection:"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Certainly! Here is the layout.",
        ClientSideError("no images", status=400),
        InvalidAnswerError("not JSON"),
        RequestTimeoutError("still at it"),
    ],
    ids=["empty", "chatter", "refused", "no protocol", "silent"],
)
async def test_a_server_that_fails_the_known_page_gets_no_other(answer: str | Exception) -> None:
    """Nothing usable for a page known to be good is a matter of the server, and ends the run."""
    with pytest.raises(ModelServerError, match="vllm_server"):
        await prove(build_mineru_client(Model(answer)))


async def test_an_outage_stays_an_outage() -> None:
    """Nobody at the address is told from somebody who cannot read."""
    with pytest.raises(OutageError):
        await prove(build_mineru_client(Model(OutageError("gone"))))
