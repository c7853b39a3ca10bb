"""An OpenAI-compatible server on CPU that speaks MinerU's protocol: real OCR, or simulated answers."""

from __future__ import annotations

from mineru_pipeline.devserver.identity import (
    DESCRIPTION,
    MODEL_ID,
    OWNER,
    SIMULATED_DESCRIPTION,
    SIMULATED_MODEL_ID,
)
from mineru_pipeline.devserver.process import ManagedServer

__all__ = ["DESCRIPTION", "MODEL_ID", "OWNER", "SIMULATED_DESCRIPTION", "SIMULATED_MODEL_ID", "ManagedServer"]
