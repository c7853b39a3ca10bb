"""The settings of backfills: how much is parsed again by itself, and how often."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mineru_pipeline.settings_types import Section


class BackfillSettings(Section):
    """Batches that are parsed again: with failed documents, or after a change of the parser revision."""

    most_runs: Annotated[int, Field(ge=0, le=1000)] = Field(
        2, description="Runs of backfills queued or going on at any time; 0 requests none but what somebody restarted."
    )
    most_attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        4, description="How often a document may fail before it waits in the quarantine for somebody."
    )
