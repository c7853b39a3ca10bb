"""Writes ``.env`` beside it from ``.env.example``, with a random value for each secret; an existing one is kept."""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECRETS = ("POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD", "MINIO_PIPELINE_SECRET", "GRAFANA_PASSWORD")


def filled(example: str) -> str:
    """Return the text with a secret behind every name of ``SECRETS`` that has none."""
    for name in SECRETS:
        example = re.sub(rf"^{name}=$", f"{name}={secrets.token_hex(20)}", example, flags=re.MULTILINE)
    return example


def main(folder: Path = HERE) -> str:
    """Write the file, for its owner alone; returns what was done."""
    target = folder / ".env"
    try:
        with target.open("x", encoding="utf-8") as file:
            target.chmod(0o600)
            file.write(filled((HERE / ".env.example").read_text(encoding="utf-8")))
    except FileExistsError:
        return f"{target} is there and stays as it is"
    return f"{target} written, with new secrets"


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
