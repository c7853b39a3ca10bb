"""Error answers on order: each row of errors that vLLM, or something in front of it, is known to give."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response

from mineru_pipeline.devserver.apierror import ApiError

_BAD, _INTERNAL = "BadRequestError", "InternalServerError"
_ERRORS: dict[str, tuple[int, str, str]] = {
    "error-500": (500, _INTERNAL, "Internal server error"),
    "queue-full": (503, "Service Unavailable", "The server's queue is full."),
    "too-many-requests": (429, "TooManyRequestsError", "Too many requests."),
    "unknown-model": (404, "NotFoundError", "The model `simulated` does not exist."),
    "prompt-too-long": (400, _BAD, "This model's maximum context length is 16384 tokens. Reduce the input."),
    "bad-image": (400, _BAD, "cannot identify image file"),
    "too-many-images": (400, _BAD, "At most 1 image(s) may be provided in one prompt."),
    "absurd-image": (500, _INTERNAL, "Image size (200000000 pixels) exceeds limit of 178956970 pixels."),
    "unreachable-image": (500, _INTERNAL, "Cannot connect to host."),
}
#: Faults that are an answer other than 200, given at once.
REFUSALS = (*_ERRORS, "error", "error-503", "unauthorized")


def refusal(fault: str, *, status: int = 500, retry_after: float | None = None) -> Response:
    """The answer of ``fault``.

    ``error`` gives any ``status`` in vLLM's error object, ``error-503`` the plain text of a proxy without a server
    behind it, and ``unauthorized`` a string where others have an object, as vLLM does.
    """
    if fault == "unauthorized":
        return JSONResponse({"error": "Unauthorized"}, status_code=401)
    if fault == "error-503":
        return PlainTextResponse("no healthy upstream", status_code=503)
    error = ApiError(*_ERRORS.get(fault, (status, _INTERNAL, f"Status {HTTPStatus(status).phrase} on order.")))
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return JSONResponse(error.body(), status_code=error.status, headers=headers)
