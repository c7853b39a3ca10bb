"""What a faults file says: rules that match requests, and the fault that strikes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mineru_pipeline.devserver.faults.answers import ANSWERS, Parameter
from mineru_pipeline.devserver.faults.refusals import REFUSALS
from mineru_pipeline.errors import ModelServerError

#: Faults that strike the whole server once they are triggered.
OUTAGES = ("refused", "restart", "engine-dead", "shutdown-draining")
#: Faults of one connection or one body.
WIRE = ("reset", "reset-after-500", "cut", "not-json", "not-a-completion")
#: Faults of timing.
TIMING = ("hang", "slow")
#: Every fault there is.
FAULTS = (*OUTAGES, *WIRE, *TIMING, *ANSWERS, *REFUSALS)

# What each parameter is for, and the value without one.
_DEFAULTS: dict[str, dict[str, Parameter]] = {
    "refused": {"seconds": 5.0},
    "restart": {"seconds": 5.0},
    "engine-dead": {"seconds": None},
    "shutdown-draining": {"seconds": 5.0},
    "slow": {"factor": 10.0, "seconds": 0.0},
    "truncated": {"keep": 0.5},
    "abort": {"keep": 0.5},
    "loop": {"finish_reason": "stop"},
    "too-many-requests": {"retry_after": None},
    "error": {"status": 500},
}
_PARAMETERS = ("seconds", "factor", "keep", "finish_reason", "retry_after", "status")


class Match(BaseModel):
    """Which requests a rule strikes: those for which everything that is given holds.

    Requests are counted from 1 and seconds from 0, both since the rules were set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["layout", "text", "table", "formula", "image"] | None = None
    requests: tuple[int, int | None] = (1, None)
    seconds: tuple[float, float | None] = (0.0, None)
    digest: str = ""
    content_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    every: Annotated[int, Field(ge=1)] = 1
    times: Annotated[int, Field(ge=1)] | None = None


class FaultRule(BaseModel):
    """One fault, whom it strikes, and its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Literal[FAULTS]  # type: ignore[valid-type]
    match: Match = Match()
    seconds: Annotated[float, Field(ge=0)] | None = None
    factor: Annotated[float, Field(ge=0)] | None = None
    keep: Annotated[float, Field(ge=0, le=1)] | None = None
    finish_reason: Literal["stop", "length"] | None = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None

    @model_validator(mode="after")
    def _takes_these_parameters(self) -> Self:
        taken = _DEFAULTS.get(self.fault, {})
        for name in self.model_fields_set.intersection(_PARAMETERS) - set(taken):
            known = ", ".join(taken) or "no parameters"
            raise ValueError(f"the fault {self.fault!r} does not take {name!r}; it takes {known}")
        return self

    def parameters(self) -> dict[str, Parameter]:
        """The fault's parameters: its defaults, and above them what was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set.intersection(_PARAMETERS)}
        return {**_DEFAULTS.get(self.fault, {}), **given}


class FaultPlan(BaseModel):
    """All rules; the first that matches a request strikes it. ``seed`` throws the dice of the shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    rules: tuple[FaultRule, ...] = ()


def parse(text: str, origin: str) -> FaultPlan:
    """The plan that ``text`` (YAML, of which JSON is a part) holds.

    Raises :class:`ModelServerError`, which names ``origin``, the place in it, and what is allowed there.
    """
    try:
        return FaultPlan.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ModelServerError(f"{origin} is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}" for problem in error.errors()
        )
        raise ModelServerError(f"{origin} is no plan of faults: {found}.") from error


def load(path: Path) -> FaultPlan:
    """The plan in the file ``path``; raises :class:`ModelServerError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelServerError(f"The faults file {path} cannot be read: {error}") from error
    return parse(text, f"The faults file {path}")
