"""The OpenAI wire format as vLLM speaks it: request bodies in, completions and error objects out."""

from __future__ import annotations

import base64
import binascii
import io
import time
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError

from mineru_pipeline.devserver import tokens
from mineru_pipeline.devserver.identity import OWNER
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest

MAX_ASPECT = 200
MAX_MODEL_LEN = 16384
# The value at which vLLM's image loader (Pillow) refuses an image.
MAX_PIXELS = 178_956_970


class ApiError(Exception):
    """A request that ends in an error answer; ``status`` and ``kind`` are vLLM's for the same case."""

    def __init__(self, status: int, kind: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}}


def bad_request(message: str, *, param: str | None = None) -> ApiError:
    """A 400 as vLLM words it."""
    return ApiError(400, "BadRequestError", message, param=param)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A parsed body: the model asked for, and the request itself."""

    model: str
    prompt: PromptRequest


def parse_chat(body: object, *, model_id: str) -> ChatRequest:
    """Check a decoded JSON body; raises :class:`ApiError` with vLLM's statuses."""
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object.")
    model = body.get("model", model_id)
    if model != model_id:
        raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", param="model")
    if body.get("stream"):
        raise bad_request("This server does not stream; leave out `stream`.", param="stream")
    texts, urls = _user_content(body.get("messages"))
    if len(urls) > 1:
        raise bad_request("At most 1 image(s) may be provided in one prompt.", param="messages")
    if not texts and not urls:
        raise bad_request("The last message must hold text or an image.", param="messages")
    image = _image_bytes(urls[0]) if urls else b""
    size = _image_size(image) if image else (0, 0)
    return ChatRequest(str(model), PromptRequest("".join(texts), image, size, _max_tokens(body)))


def _max_tokens(body: dict[str, Any]) -> int | None:
    value = body.get("max_completion_tokens", body.get("max_tokens"))
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise bad_request(f"max_tokens must be at least 1, got {value!r}.", param="max_tokens")
    if value > MAX_MODEL_LEN:
        raise bad_request(f"max_tokens={value} is larger than max_model_len={MAX_MODEL_LEN}.", param="max_tokens")
    return value


def _user_content(messages: object) -> tuple[list[str], list[str]]:
    """Texts and image URLs of the last user message."""
    if not isinstance(messages, list) or not messages:
        raise bad_request("`messages` must be a non-empty list.", param="messages")
    users = [m for m in messages if isinstance(m, dict) and m.get("role") == "user"]
    if not users:
        raise bad_request("`messages` holds no message of role `user`.", param="messages")
    content = users[-1].get("content")
    if isinstance(content, str):
        return [content], []
    if not isinstance(content, list):
        raise bad_request("`content` must be a string or a list of parts.", param="messages")
    texts: list[str] = []
    urls: list[str] = []
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                urls.append(url)
            case _:
                raise bad_request("A part of `content` is neither text nor an image_url.", param="messages")
    return texts, urls


def _image_bytes(url: str) -> bytes:
    head, comma, payload = url.partition(",")
    if not head.startswith("data:"):
        raise bad_request("Only data: URLs are read; this server fetches nothing.", param="messages")
    if not comma or not head.endswith(";base64"):
        raise bad_request("Only base64 data URLs are supported for now.", param="messages")
    try:
        data = base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise bad_request(f"The image is not valid base64: {error}", param="messages") from error
    if not data:
        raise bad_request("The image is empty.", param="messages")
    return data


def _image_size(data: bytes) -> tuple[int, int]:
    """Size in pixels of an encoded image; reads its structure, not its pixels."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                image.verify()
    except UnidentifiedImageError as error:
        raise bad_request("cannot identify image file", param="messages") from error
    except Image.DecompressionBombError as error:
        raise ApiError(500, "InternalServerError", str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise bad_request(f"The image is damaged: {error}", param="messages") from error
    if width * height > MAX_PIXELS:
        raise ApiError(500, "InternalServerError", f"Image size ({width * height} pixels) exceeds {MAX_PIXELS} pixels.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise bad_request(f"absolute aspect ratio must be smaller than {MAX_ASPECT}", param="messages")
    return width, height


def completion(answer: Answer, chat: ChatRequest, request_id: str) -> dict[str, Any]:
    """The body of a successful answer, cut to ``max_tokens`` if the request set it."""
    text, reason = answer.text, answer.finish_reason
    if chat.prompt.max_tokens is not None:
        text, cut = tokens.truncate(text, chat.prompt.max_tokens)
        reason = "length" if cut else reason
    prompt_tokens = tokens.count(chat.prompt.prompt) + tokens.count_image(chat.prompt.image_size)
    generated = tokens.count(text) + (reason == "stop")
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": chat.model,
        "system_fingerprint": OWNER,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": reason,
                "stop_reason": None,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": generated,
            "total_tokens": prompt_tokens + generated,
        },
    }


def model_list(card: ModelCard, created: int) -> dict[str, Any]:
    """The body of ``/v1/models``: exactly one model, which says what it is."""
    entry = {
        "id": card.model_id,
        "object": "model",
        "created": created,
        "owned_by": OWNER,
        "root": card.model_id,
        "parent": None,
        "max_model_len": MAX_MODEL_LEN,
        "description": card.description,
    }
    return {"object": "list", "data": [entry]}
