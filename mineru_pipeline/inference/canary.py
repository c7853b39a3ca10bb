"""A request that any server in working order answers: a small white image and a short prompt."""

from __future__ import annotations

from mineru_pipeline.inference.wire import ChatRequest

#: A white 64 x 64 RGB image: large enough for every vision model, small enough to cost nothing.
WHITE_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAATUlEQVR42u3PQQ0AAAgEILV/5zOFDzdoQCepz6aeExAQEBAQEBAQ"
    "EBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELi3cqoDfaKuZM4AAAAASUVORK5CYII="
)
#: Longest time the canary may take, in seconds; it queues behind real work.
CANARY_SECONDS = 60.0

CANARY = ChatRequest(
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{WHITE_PNG}"}},
                {"type": "text", "text": "\nText Recognition:"},
            ],
        }
    ],
    options={"temperature": 0.0, "max_tokens": 8},
    # What it takes is at most what the texts beside it take.
    kind="text",
)
