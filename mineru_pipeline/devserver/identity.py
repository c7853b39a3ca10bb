"""What the dev server calls itself, so that nobody takes its output for MinerU2.5's."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: The model id of the OCR responder.
MODEL_ID = "mineru-pipeline/dev-ocr-1"
#: The model id of the simulated responder.
SIMULATED_MODEL_ID = "mineru-pipeline/simulated-1"
#: ``owned_by`` of both models.
OWNER = "mineru-pipeline-devserver"

DESCRIPTION = "OCR on a CPU that answers MinerU's prompts for development and CI; it is not MinerU2.5."
SIMULATED_DESCRIPTION = "Invented answers of plausible shape for tests and load; nothing on the page is read."


def code_revision() -> str:
    """What the OCR's answers depend on, as 12 hexadecimal digits of a hash over its own code.

    The recogniser changes more often than anybody would remember to say so, and answers of two
    versions must not be taken for one model's.
    """
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "ocr").glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
