"""What the model sees: every picture that is sent has the size and the colours that the stock client sends."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Sequence

import numpy as np
import pytest
from mineru_vl_utils import MinerUClient
from mineru_vl_utils.post_process.table_image_processor import TABLE_IMAGE_TOKEN_MAP_KEY
from mineru_vl_utils.structs import ContentBlock
from mineru_vl_utils.vlm_client.base_client import VlmClient
from PIL import Image

from mineru_pipeline.inference.transport import build_mineru_client
from mineru_pipeline.parsing.pictures import LAYOUT_SIZE, Pixels, encode_png, one_channel
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.preparation import Crop, prepare_crops
from mineru_pipeline.parsing.resizing import layout_pixels

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def mineru() -> MinerUClient:
    """The stock client; nothing is sent with it."""
    return build_mineru_client(VlmClient())


def page(height: int, width: int, colour: str) -> Pixels:
    """A page of noise, which shows every pixel that is wrong: grey, coloured, or coloured in one corner."""
    dice = np.random.default_rng(height * width)
    grey = dice.integers(0, 256, (height, width, 1), dtype=np.uint8)
    pixels = np.repeat(grey, 3, axis=2)
    if colour == "all":
        pixels = dice.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if colour == "corner":
        pixels[: height // 4, : width // 4] = dice.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return pixels


def block(kind: str, box: Box, angle: int | None = 0) -> ContentBlock:
    return ContentBlock(kind, list(box), angle=angle)


def decoded(png: bytes) -> tuple[tuple[int, int], bytes]:
    """Size and RGB values, as any server reads them."""
    image = Image.open(io.BytesIO(png))
    return image.size, image.convert("RGB").tobytes()


def packed(pixels: Pixels) -> PackedPixels:
    return PackedPixels.of(np.ascontiguousarray(one_channel(pixels)))


def assert_same_as_stock(mineru: MinerUClient, pixels: Pixels, blocks: Sequence[ContentBlock]) -> list[Crop]:
    ours, theirs = list(copy.deepcopy(blocks)), list(copy.deepcopy(blocks))
    crops = prepare_crops(mineru, packed(pixels), ours)
    random.seed(repr([(each.type, each.bbox) for each in theirs]))
    pictures, prompts, sampling, indices = mineru.helper.prepare_for_extract(Image.fromarray(pixels), theirs)
    assert [crop.block for crop in crops] == indices
    assert [crop.prompt for crop in crops] == prompts
    assert [crop.sampling for crop in crops] == sampling
    assert [decoded(crop.picture) for crop in crops] == [decoded(picture) for picture in pictures]
    for each in (*ours, *theirs):
        each.pop(TABLE_IMAGE_TOKEN_MAP_KEY, None)
    assert ours == theirs
    return crops


@pytest.mark.parametrize("colour", ["none", "all", "corner"])
@pytest.mark.parametrize("size", [(2339, 1654), (1654, 2339), (700, 500), (1036, 1036), (40, 3000)])
def test_the_layout_picture_is_the_stock_clients(mineru: MinerUClient, size: tuple[int, int], colour: str) -> None:
    """Upright, wide, small, already right and absurd pages: same size, same colours."""
    pixels = page(*size, colour)
    ours = encode_png(layout_pixels(np.ascontiguousarray(one_channel(pixels))))
    assert decoded(ours) == decoded(mineru.helper.prepare_for_layout(Image.fromarray(pixels)))


def test_the_layout_size_is_the_libraries_default(mineru: MinerUClient) -> None:
    """A release that shows the model larger pages must not be missed."""
    assert mineru.helper.layout_image_size == LAYOUT_SIZE


@pytest.mark.parametrize("colour", ["none", "all", "corner"])
def test_blocks_of_every_kind_are_the_stock_clients(mineru: MinerUClient, colour: str) -> None:
    """Types, angles, odd fractions and boxes at the edge: same pictures, prompts, sampling and order."""
    blocks = [
        block("title", (0.1037, 0.0503, 0.8999, 0.0901)),
        block("text", (0.0, 0.1, 1.0, 0.2), None),
        block("text", (0.1, 0.2, 0.4, 0.4), 90),
        block("equation", (0.5, 0.2, 0.9, 0.4), 180),
        block("list", (0.1, 0.4, 0.5, 0.5)),
        block("table", (0.1, 0.5, 0.9, 0.6)),
        block("table", (0.1, 0.6, 0.9, 0.7), 270),
        block("footer", (0.0, 0.95, 1.0, 1.0)),
        block("page_number", (0.999, 0.999, 1.0, 1.0)),
    ]
    crops = assert_same_as_stock(mineru, page(877, 620, colour), blocks)
    assert len(crops) == len(blocks) - 1


@pytest.mark.parametrize("colour", ["none", "all", "corner"])
@pytest.mark.parametrize(
    "box",
    [(0.0, 0.5, 1.0, 0.506), (0.5, 0.0, 0.504, 1.0), (0.3, 0.3, 0.31, 0.31), (0.001, 0.001, 0.002, 0.5)],
    ids=["thin", "narrow", "tiny", "a hair"],
)
@pytest.mark.parametrize("angle", [0, 90])
def test_thin_and_tiny_blocks_are_padded_and_enlarged_alike(
    mineru: MinerUClient, box: Box, colour: str, angle: int
) -> None:
    """Blocks beyond the largest ratio or below the smallest edge go the library's own way."""
    assert_same_as_stock(mineru, page(1100, 850, colour), [block("text", box, angle)])


@pytest.mark.parametrize("colour", ["none", "all", "corner"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_pictures_inside_a_table_are_masked_alike(mineru: MinerUClient, colour: str, angle: int) -> None:
    """The mask's colour and token are drawn by the library, and the absorbed pictures are not asked for."""
    blocks = [
        block("table", (0.1, 0.1, 0.9, 0.9), angle),
        block("image", (0.2, 0.2, 0.4, 0.4)),
        block("image", (0.5, 0.5, 0.8, 0.85)),
        block("text", (0.1, 0.9, 0.9, 0.95)),
    ]
    assert [crop.block for crop in assert_same_as_stock(mineru, page(877, 620, colour), blocks)] == [0, 3]


def test_pictures_and_captions_are_chosen_alike(mineru: MinerUClient) -> None:
    """Small pictures, pictures in an image_block and captions inside pictures are left out as the library does."""
    blocks = [
        block("image_block", (0.1, 0.1, 0.9, 0.5)),
        block("image", (0.1, 0.1, 0.5, 0.5)),
        block("chart", (0.1, 0.6, 0.9, 0.8)),
        block("image_caption", (0.2, 0.65, 0.4, 0.7)),
        block("image", (0.1, 0.9, 0.12, 0.92)),
    ]
    assert [crop.block for crop in assert_same_as_stock(mineru, page(877, 620, "all"), blocks)] == [2]


def test_random_blocks_are_the_stock_clients(mineru: MinerUClient) -> None:
    """A hundred boxes with thousandths for coordinates, as the model gives them."""
    dice = random.Random(7)
    blocks = []
    for _ in range(100):
        (x0, x1), (y0, y1) = (sorted(dice.sample(range(1001), 2)) for _ in range(2))
        angle = dice.choice([0, 0, 0, 90, 180, 270])
        blocks.append(block("text", (x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000), angle))
    assert_same_as_stock(mineru, page(613, 431, "corner"), blocks)


def test_grey_parts_of_a_coloured_page_take_one_channel(mineru: MinerUClient) -> None:
    """They look the same, and are a third to compress and to send."""
    blocks = [block("text", (0.5, 0.5, 0.9, 0.9)), block("text", (0.0, 0.0, 0.9, 0.2))]
    crops = prepare_crops(mineru, packed(page(877, 620, "corner")), blocks)
    assert [Image.open(io.BytesIO(crop.picture)).mode for crop in crops] == ["L", "RGB"]
