"""The settings of alerts: whom to tell that a run failed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from mineru_pipeline.settings_types import Section


class AlertSettings(Section):
    """Where failed runs are told."""

    webhook_url: SecretStr | None = Field(
        None, description="Gets a POST of JSON for each run that failed. Unset: nobody is told."
    )
    link_base: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="Address of the Dagster UI, for the link to the run."
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=15)] = Field(5, description="Limit on one answer of the webhook.")

    @field_validator("webhook_url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        # Such addresses hold tokens, so the text does not quote it.
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it must start with http:// or https://")
        return url
