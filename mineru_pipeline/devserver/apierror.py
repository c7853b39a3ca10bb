"""Error answers in the form that vLLM gives them."""

from __future__ import annotations

from typing import Any


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
