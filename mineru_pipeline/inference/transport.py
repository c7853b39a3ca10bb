"""MinerU's two-step extraction over our client: the transport that ``MinerUClient`` is given."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mineru_vl_utils.vlm_client.base_client import SamplingParams, VlmClient
from mineru_vl_utils.vlm_client.utils import get_image_format

from mineru_pipeline.errors import AnswerError, RepetitiveAnswerError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.repetition import is_degenerate
from mineru_pipeline.inference.wire import PICTURE, ChatRequest

if TYPE_CHECKING:
    from mineru_vl_utils import MinerUClient

#: Encoded images (PNG, as vl-utils prepares them); several for one prompt, or none.
Images = bytes | Sequence[bytes] | None

#: What the model ends its turn with when special tokens are not skipped.
END_TOKEN = "<|im_end|>"  # noqa: S105 - a token of text
LAYOUT_PROMPT = "\nLayout Detection:"
#: What each of MinerU's prompts asks for.
KINDS = {
    LAYOUT_PROMPT: "layout",
    "\nText Recognition:": "text",
    "\nTable Recognition:": "table",
    "\nFormula Recognition:": "formula",
    "\nImage Analysis:": "image",
}


class MinerUTransport(VlmClient):  # type: ignore[misc] # vl-utils ships no types
    """Sends what the stock HTTP client sends, field for field, through a :class:`VLLMClient`.

    It adds what the stock client lacks: an answer that is not whole is an error, never content. Who
    wants to try again with other sampling passes ``sampling_params``.
    """

    def __init__(self, client: VLLMClient) -> None:
        super().__init__()
        self.vllm = client

    async def aio_predict(
        self,
        image: Images,
        prompt: str = "",
        sampling_params: SamplingParams | None = None,
        priority: int | None = None,
        *,
        request_id: str | None = None,
        is_patient: bool = False,
    ) -> str:
        """Return the model's text for one prompt, its end token removed.

        ``is_patient`` gives it more time than usual, as for what was not answered in time before.

        Raises:
            RepetitiveAnswerError: if the text is a loop; layouts are the parser's to judge.
            InferenceError: everything that :meth:`VLLMClient.chat_completion` raises.
        """
        request = replace(self.build_request(image, prompt, sampling_params, priority), is_patient=is_patient)
        answer = await self.vllm.chat_completion(request, request_id=request_id)
        text = answer.text.removesuffix(END_TOKEN)
        if prompt != LAYOUT_PROMPT and is_degenerate(text):
            error = RepetitiveAnswerError(
                f"The model fell into a loop of {len(text)} characters.",
                text=text,
                endpoint=answer.endpoint,
                request_id=answer.request_id,
            )
            self.reject(error)
            raise error
        return text

    async def aio_batch_predict(
        self,
        images: Sequence[Images],
        prompts: Sequence[str] | str = "",
        sampling_params: Sequence[SamplingParams | None] | SamplingParams | None = None,
        priority: Sequence[int | None] | int | None = None,
        semaphore: asyncio.Semaphore | None = None,
        use_tqdm: bool = False,  # noqa: FBT001, FBT002 - vl-utils' signature
        tqdm_desc: str | None = None,
    ) -> list[str]:
        """Return the texts in the order of ``images``; the first error cancels the others and is raised."""
        del use_tqdm, tqdm_desc
        count = len(images)
        arguments = zip(
            images, _spread(prompts, count), _spread(sampling_params, count), _spread(priority, count), strict=True
        )
        gate = semaphore or nullcontext()

        async def one(*inputs: Any) -> str:
            async with gate:
                return await self.aio_predict(*inputs)

        tasks = [asyncio.create_task(one(*inputs)) for inputs in arguments]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def reject(self, error: AnswerError) -> None:
        """Count an answer that arrived whole and is none: a loop, or a layout that makes no sense."""
        self.vllm.metrics.failed(error)

    async def room(self) -> None:
        """Wait until the client wants more work."""
        await self.vllm.room()

    async def aclose(self) -> None:
        """Close the client's connections."""
        await self.vllm.aclose()

    async def aclose_current_loop(self) -> None:
        """Do nothing: whoever made the client closes it."""

    def build_request(
        self, image: Images, prompt: str, sampling_params: SamplingParams | None, priority: int | None
    ) -> ChatRequest:
        """Return the request in the fields, and the order of fields, of vl-utils' own HTTP client."""
        pictures = () if image is None else (image,) if isinstance(image, bytes) else tuple(image)
        messages = [{"role": "user", "content": _user_content(pictures, prompt or self.prompt)}]
        if self.system_prompt:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        options = {} if priority is None else {"priority": priority}
        sampling = _sampling_fields(self.build_sampling_params(sampling_params))
        return ChatRequest(messages, options | sampling, KINDS.get(prompt, "other"), pictures)


def build_mineru_client(transport: MinerUTransport, *, executor: Executor | None = None) -> MinerUClient:
    """Return MinerU's extraction client on ``transport``; makes no request and leaves nothing open.

    ``executor`` runs its resizing and encoding; by default the event loop's own threads.
    """
    mineru = copy.copy(_stock_client())
    mineru.client, mineru.executor = transport, executor
    return mineru


@functools.cache
def _stock_client() -> MinerUClient:
    """Return the library's own client, which is never asked; making one reads every certificate of the system."""
    # Imported here: it takes most of the time that this room takes to import.
    from loguru import logger
    from mineru_vl_utils import MinerUClient

    logger.disable("mineru_vl_utils")
    mineru = MinerUClient(
        backend="http-client",
        server_url="http://unused",
        model_name="unused",
        skip_model_name_checking=True,
        use_tqdm=False,
        image_analysis=True,
    )
    mineru.client._client.close()  # noqa: SLF001 - the stock client opens one whether it is used or not
    return mineru


def _sampling_fields(sampling: SamplingParams) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty")
    fields: dict[str, Any] = {name: getattr(sampling, name) for name in names if getattr(sampling, name) is not None}
    if sampling.no_repeat_ngram_size is not None:
        fields["vllm_xargs"] = {"no_repeat_ngram_size": sampling.no_repeat_ngram_size, "debug": False}
    if sampling.max_new_tokens is not None:
        fields["max_completion_tokens"] = fields["max_tokens"] = sampling.max_new_tokens
    return fields | {"skip_special_tokens": False}


def _user_content(images: Sequence[bytes], prompt: str) -> list[dict[str, Any]]:
    """Images first, then the text; or each image where ``<image>`` stands in the text."""
    urls = [f"data:image/{get_image_format(image)};base64,{PICTURE}" for image in images]
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    if "<image>" not in prompt:
        return [*pictures, {"type": "text", "text": prompt}]
    content: list[dict[str, Any]] = []
    parts = prompt.split("<image>", len(images))
    for index in range(max(len(parts), len(pictures))):
        if parts[index : index + 1] not in ([], [""]):
            content.append({"type": "text", "text": parts[index]})
        content += pictures[index : index + 1]
    return content


def _spread(value: Any, count: int) -> Sequence[Any]:
    """Return one value for each image, as vl-utils does: a single one stands for all."""
    return [value] * count if isinstance(value, str) or not isinstance(value, Sequence) else value
