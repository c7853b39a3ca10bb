"""What a result depends on, as two short hashes: one for the model's answers, one for the outputs."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from mineru_vl_utils import MinerUClient
from mineru_vl_utils.mineru_client import DEFAULT_PROMPTS, DEFAULT_SAMPLING_PARAMS

from mineru_pipeline.parsing.assemble import ASSEMBLY_VERSION
from mineru_pipeline.parsing.extract import LADDER_SAMPLING
from mineru_pipeline.parsing.render import RenderOptions

#: Raised by hand when the way pages are put to the model changes and nothing hashed below shows it.
EXTRACTION_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights answer."""

    name: str
    revision: str | None = None

    @property
    def is_stand_in(self) -> bool:
        """Whether it is one of our own dev servers, whose output must not be taken for a model's."""
        return self.name.startswith("mineru-pipeline/")


@dataclass(frozen=True, slots=True)
class Revisions:
    """The keys under which raw answers and outputs are stored (12 hexadecimal digits each)."""

    extraction: str
    parser: str


def revisions(model: ModelIdentity, options: RenderOptions, *, text_layer_fallback: bool) -> Revisions:
    """Hash everything that the answers, and then the outputs, are a function of.

    The extraction revision covers model and weights, prompts, sampling, rendering and how images are
    prepared; the parser revision adds the assembly, so that a new assembly asks the model for nothing.
    Versions of PDFium and Pillow are left out on purpose: their pixels differ by less than scanning
    noise, and a security release must not buy every GPU page again. ``EXTRACTION_VERSION`` is for the
    release that is different.
    """
    extraction = _digest(
        {
            "version": EXTRACTION_VERSION,
            "model": asdict(model),
            "prompts": DEFAULT_PROMPTS,
            "sampling": {name: asdict(params) for name, params in DEFAULT_SAMPLING_PARAMS.items()},
            "ladder": LADDER_SAMPLING,
            "rendering": asdict(options),
            "preparation": _preparation(),
        }
    )
    parser = _digest(
        {
            "extraction": extraction,
            "assembly": ASSEMBLY_VERSION,
            # Both shape the outputs after the model has answered.
            "libraries": {name: version(name) for name in ("docvortex", "mineru-vl-utils")},
            "text_layer_fallback": text_layer_fallback,
        }
    )
    return Revisions(extraction, parser)


def _preparation() -> dict[str, Any]:
    """vl-utils' own defaults for the images it sends: sizes, edges, ratios."""
    parameters = inspect.signature(MinerUClient.__init__).parameters
    names = ("layout_image_size", "min_image_edge", "max_image_edge_ratio")
    return {name: parameters[name].default for name in names}


def _digest(value: dict[str, Any]) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
