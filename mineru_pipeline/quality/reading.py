"""Reads values from JSON that anybody may have damaged or edited by hand: nothing is used before it was checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

#: Building one takes milliseconds, and a corpus has ninety files of a kind.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def loaded(text: str | bytes) -> Any:
    """Return what JSON says, where it says it with numbers that there are.

    Raises:
        ValueError: it is no JSON, nests too deep, or holds an infinite number or NaN.
    """
    try:
        return json.loads(text, parse_constant=_refused, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def decoded(kind: type[T], text: str | bytes, schema: int | None = None) -> T:
    """Return a dataclass, or several in a sequence, whose fields all have the types that they are declared with.

    Fields that are not declared are left out. Where ``schema`` is given, the JSON has to name the same one.

    Raises:
        ValueError: it is nothing of the kind; says which field is wrong.
    """
    value = loaded(text)
    if schema is not None:
        named = value.get("schema") if isinstance(value, dict) else None
        if named != schema:
            raise ValueError(f"its schema is {str(named)[:20]!a}, this version reads {schema}")
    try:
        found: T = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:80] for part in first["loc"])
        raise ValueError(f"{place or 'the whole'}: {first['msg']}") from error
    return found


def check_place(key: str, own: str) -> None:
    """Refuse what was copied under ``key`` from its own place: it would stand for what it is not.

    Raises:
        ValueError: it was.
    """
    if key != own:
        raise ValueError(f"it belongs under {own[:200]!a}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
