"""The requests of a load test: a real page, sent as MinerU sends one, a layout first and then its blocks.

``loadtest_page.png`` is the first page of ``samples/01-two-column-article.pdf`` at 200 dpi.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import resources
from itertools import cycle, islice

from mineru_vl_utils import MinerUClient
from mineru_vl_utils.structs import ContentBlock
from PIL import Image

from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.transport import MinerUTransport, build_mineru_client
from mineru_pipeline.inference.wire import ChatRequest

#: What a layout of the page finds: MinerU's type and left, top, right, bottom in fractions.
BLOCKS = (
    ("header", (0.083, 0.031, 0.264, 0.049)),
    ("title", (0.165, 0.062, 0.837, 0.115)),
    ("text", (0.083, 0.162, 0.917, 0.238)),
    ("title", (0.084, 0.253, 0.214, 0.274)),
    ("text", (0.083, 0.271, 0.493, 0.540)),
    ("table", (0.091, 0.694, 0.488, 0.793)),
    ("text", (0.508, 0.307, 0.917, 0.502)),
    ("image", (0.528, 0.514, 0.915, 0.685)),
    ("text", (0.508, 0.730, 0.917, 0.882)),
)
#: Pages that differ from each other. A server that remembers images saves work from then on.
VARIANTS = 16


def requests(client: VLLMClient, count: int) -> Iterator[ChatRequest]:
    """Return ``count`` requests as the worker's transport builds them, page by page."""
    transport = MinerUTransport(client)
    mineru = build_mineru_client(transport)
    size = 1 + len(BLOCKS)
    needed = min(VARIANTS, -(-count // size))
    pages = [_page_requests(mineru, transport, variant) for variant in range(needed)]
    return islice(cycle(request for page in pages for request in page), count)


def _page_requests(mineru: MinerUClient, transport: MinerUTransport, variant: int) -> list[ChatRequest]:
    whole = page(variant)
    blocks = [ContentBlock(kind, list(bbox)) for kind, bbox in BLOCKS]
    layout = mineru.helper.prepare_for_layout(whole)
    crops, prompts, sampling, _ = mineru.helper.prepare_for_extract(whole, blocks)
    wanted = [(layout, mineru.prompts["[layout]"], mineru.sampling_params["[layout]"])]
    wanted += list(zip(crops, prompts, sampling, strict=True))
    return [transport.build_request(picture, prompt, params, None) for picture, prompt, params in wanted]


def page(variant: int = 0) -> Image.Image:
    """The page with a grey speck in every block, another grey for each variant."""
    picture = resources.files(__package__).joinpath("loadtest_page.png").read_bytes()
    with Image.open(io.BytesIO(picture)) as opened:
        drawn = opened.convert("RGB")
    for _, (left, top, _, _) in BLOCKS:
        drawn.putpixel((round(left * drawn.width) + 4, round(top * drawn.height) + 4), (100 + 8 * variant,) * 3)
    return drawn
