"""The OpenAI wire format as vLLM speaks it: request bodies in, completions out."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from mineru_pipeline.devserver import images, tokens
from mineru_pipeline.devserver.apierror import ApiError, bad_request
from mineru_pipeline.devserver.identity import OWNER
from mineru_pipeline.devserver.responder import Answer, ModelCard, PromptRequest
from mineru_pipeline.devserver.tokens import MAX_MODEL_LEN

_BASE64_MARK = b";base64,"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A parsed body: the model asked for, and the request itself."""

    model: str
    prompt: PromptRequest


def parse_chat(body: bytes, *, model_id: str) -> ChatRequest:
    """Check the body of a chat completion; raises :class:`ApiError` with vLLM's statuses."""
    rest, payload = _cut_out_image(body)
    decoded = _json_object(rest)
    texts, urls = _user_content(decoded.get("messages"))
    if payload and (len(urls) != 1 or not urls[0].endswith(";base64,")):
        # What was cut out is not the image that is asked about: read all of it.
        payload = b""
        decoded = _json_object(body)
        texts, urls = _user_content(decoded.get("messages"))
    model = decoded.get("model", model_id)
    if model != model_id:
        raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", param="model")
    if decoded.get("stream"):
        raise bad_request("This server does not stream; leave out `stream`.", param="stream")
    if len(urls) > 1:
        raise bad_request("At most 1 image(s) may be provided in one prompt.", param="messages")
    if not texts and not urls:
        raise bad_request("The last message must hold text or an image.", param="messages")
    prompt, image, size = _prompt(texts), b"", (0, 0)
    if urls:
        image = payload or _image_payload(urls[0])
        size = images.size_of(image)
    return ChatRequest(str(model), PromptRequest(prompt, image, size, _max_tokens(decoded), in_base64=True))


def _cut_out_image(body: bytes) -> tuple[bytes, bytes]:
    """The body without its first base64 payload, and that payload: most of the bytes need no JSON parser."""
    start = body.find(_BASE64_MARK) + len(_BASE64_MARK)
    if start < len(_BASE64_MARK):
        return body, b""
    end = body.find(b'"', start)
    payload = body[start:end]
    if end < 0 or b"\\" in payload:
        return body, b""
    return body[:start] + body[end:], payload


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise bad_request("The body must be a JSON object.")
    return decoded


def _prompt(texts: list[str]) -> str:
    """The text of the prompt; images do not count towards its length, as the image processor shrinks them."""
    prompt = "".join(texts)
    length = tokens.count(prompt)
    if length >= MAX_MODEL_LEN:
        raise bad_request(
            f"This model's maximum context length is {MAX_MODEL_LEN} tokens. However, your request has {length} input "
            "tokens. Please reduce the length of the input messages.",
            param="input_tokens",
        )
    return prompt


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


def _image_payload(url: str) -> bytes:
    head, comma, payload = url.partition(",")
    if not head.startswith("data:"):
        raise bad_request("Only data: URLs are read; this server fetches nothing.", param="messages")
    if not comma or not head.endswith(";base64"):
        raise bad_request("Only base64 data URLs are supported for now.", param="messages")
    # Whatever ASCII cannot say is no base64 either.
    return payload.encode("ascii", "replace")


def completion(answer: Answer, chat: ChatRequest, request_id: str) -> dict[str, Any]:
    """The body of a successful answer, cut to ``max_tokens`` and, silently, to what the context leaves room for."""
    room = MAX_MODEL_LEN - tokens.count(chat.prompt.prompt)
    text, cut = tokens.truncate(answer.text, min(room, chat.prompt.max_tokens or room))
    reason = "length" if cut else answer.finish_reason
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
