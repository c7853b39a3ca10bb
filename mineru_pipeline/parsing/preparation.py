"""Prepares what the model is shown: sizes and colours exactly as ``mineru-vl-utils`` does, at a fraction of its cost.

What is cut, turned, masked, padded and asked remains that library's decision: its own
``prepare_for_extract`` runs on a stand-in for the page that cuts nothing before it is encoded.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from mineru_vl_utils import MinerUClient
from mineru_vl_utils.mineru_client import MinerUClientHelper
from mineru_vl_utils.post_process.table_image_processor import TABLE_IMAGE_TOKEN_MAP_KEY
from mineru_vl_utils.structs import ContentBlock
from mineru_vl_utils.vlm_client import SamplingParams
from PIL import Image

from mineru_pipeline.parsing.pictures import Pixels, encode_png
from mineru_pipeline.parsing.pixels import PackedPixels

_RANDOM_IS_LENT = threading.Lock()


@dataclass(frozen=True, slots=True)
class Crop:
    """The request for one block of a page."""

    #: Index into the page's blocks.
    block: int
    #: PNG.
    picture: bytes
    prompt: str
    sampling: SamplingParams


def prepare_crops(mineru: MinerUClient, page: PackedPixels, blocks: list[ContentBlock]) -> list[Crop]:
    """Return what is asked for ``blocks``, in order; they are changed as by ``prepare_for_extract``.

    The same page and blocks give the same pictures and prompts: pictures inside a table are masked with tokens from
    the global random generator, which is lent to vl-utils with a fixed seed. The pictures themselves,
    which vl-utils puts beside the tokens, are left out of the blocks: assembly cuts them anew.

    Raises:
        ValueError: the packed pixels are damaged. vl-utils may raise anything on absurd boxes.
    """
    helper = _PixelHelper(mineru.helper)
    with page.unpacked() as pixels:
        if not {"table", "image"} <= {block.type for block in blocks}:
            return _encoded(helper.prepare_for_extract(_Page(pixels), blocks))
        # Here vl-utils draws on what it cuts, in colour: it gets a page that it can draw on.
        crops = _encoded(_with_fixed_seed(helper, Image.fromarray(pixels).convert("RGB"), blocks))
    for block in blocks:
        if TABLE_IMAGE_TOKEN_MAP_KEY in block:
            block[TABLE_IMAGE_TOKEN_MAP_KEY] = dict.fromkeys(block[TABLE_IMAGE_TOKEN_MAP_KEY], "")
    return crops


class _Page:
    """As much of ``PIL.Image.Image`` as vl-utils needs of a page it only cuts."""

    #: vl-utils would convert anything else, a whole page at once.
    mode = "RGB"

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        height, width = pixels.shape[:2]
        self.size = width, height

    def crop(self, box: tuple[float, float, float, float]) -> _Cut:
        """Cut as Pillow does: at the pixels nearest to ``box``, which lies within the page."""
        left, top, right, bottom = map(round, box)
        return _Cut(self._pixels[top:bottom, left:right])


class _Cut:
    """A part of a page, of which no copy is made unless it has to be turned or resized."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.size = self.width, self.height

    def copy(self) -> Image.Image:
        """Return the part as an image of its own: vl-utils turns tables, and looks for pictures in them."""
        return Image.fromarray(self.pixels)

    def rotate(self, angle: int, *, expand: bool) -> Image.Image:
        """Return the part turned by ``angle`` degrees."""
        return self.copy().rotate(angle, expand=expand)


class _PixelHelper(MinerUClientHelper):  # type: ignore[misc] # vl-utils ships no types
    """vl-utils' helper, but it leaves the encoding to us, and what needs no resizing as it is."""

    def __init__(self, stock: MinerUClientHelper) -> None:
        # With this back end images stay images.
        self.__dict__.update(vars(stock), backend="transformers")

    def resize_by_need(self, image: _Cut | Image.Image) -> _Cut | Image.Image:
        """Pad and enlarge what is too thin or too small; see vl-utils."""
        shorter, longer = sorted(image.size)
        if longer / shorter <= self.max_image_edge_ratio and shorter >= self.min_image_edge:
            return image
        whole = image.copy() if isinstance(image, _Cut) else image
        # It pads with a colour.
        resized: Image.Image = super().resize_by_need(whole.convert("RGB"))
        return resized


def _encoded(prepared: tuple[list[Any], list[str], list[SamplingParams], list[int]]) -> list[Crop]:
    images, prompts, sampling, indices = prepared
    pictures = (encode_png(image.pixels if isinstance(image, _Cut) else np.asarray(image)) for image in images)
    return [Crop(*fields) for fields in zip(indices, pictures, prompts, sampling, strict=True)]


def _with_fixed_seed(helper: MinerUClientHelper, image: Image.Image, blocks: list[ContentBlock]) -> Any:
    with _RANDOM_IS_LENT:
        state = random.getstate()
        random.seed(repr([(block.type, block.bbox) for block in blocks]))
        try:
            return helper.prepare_for_extract(image, blocks)
        finally:
            random.setstate(state)
