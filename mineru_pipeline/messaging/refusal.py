"""Why a message, or one record in it, is refused: the reason codes of dead letters."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ValidationError

from mineru_pipeline.errors import RefusedMessageError

_SHOWN = 5


class Reason(StrEnum):
    """The codes; each says which kind of mistake was made, and so whose it is."""

    EMPTY = "empty"
    TOO_LARGE = "message-too-large"
    NOT_JSON = "not-json"
    NOT_AN_EVENT = "not-an-event"
    UNKNOWN_TYPE = "unknown-type"
    WRONG_SCHEMA = "wrong-schema"
    TOO_MANY_RECORDS = "too-many-records"
    INVALID_URI = "invalid-uri"
    FORBIDDEN_SCHEME = "forbidden-scheme"
    FORBIDDEN_BUCKET = "forbidden-bucket"
    INVALID_TENANT = "invalid-tenant"
    INVALID_SIZE = "invalid-size"


def refused(reason: Reason, message: str) -> RefusedMessageError:
    """Return the error to raise."""
    return RefusedMessageError(str(reason), message)


def schema_refusal(what: str, error: ValidationError) -> RefusedMessageError:
    """Return the refusal of ``what``, which does not fit its schema; values are never quoted, they may be secret."""
    problems = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
    fields = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    reason = Reason.WRONG_SCHEMA
    if fields == {"tenant"}:
        reason = Reason.INVALID_TENANT
    elif fields == {"size"}:
        reason = Reason.INVALID_SIZE
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return refused(reason, f"The {what} does not fit its schema: {'; '.join(problems[:_SHOWN])}{more}.")


def _place(loc: tuple[int | str, ...]) -> str:
    """A field's dotted name; names may be the sender's own, so they are cut and made plain."""
    return ".".join(ascii(part)[1:-1][:80] if isinstance(part, str) else str(part) for part in loc) or "value"
