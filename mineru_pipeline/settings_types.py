"""What every group of settings is made of: the base of a section, and the kinds of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=24 * 3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A group of settings; an unknown key is an error rather than a silent typo."""

    model_config = ConfigDict(extra="forbid", frozen=True)
