"""Claims about the benchmark as a whole: its files, its arithmetic, and what it writes and prints."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from conftest import pdf
from rich.console import Console

from bench import peer, table
from bench.__main__ import PARTS, main, merged
from bench.context import CPU_SHARE, Context, born_digital, processors
from bench.load import PageLoad
from mineru_pipeline.settings import project_root

RESULTS = {
    "client_cpu_ratio": 0.41,
    "throughput_of_capacity": {"4": 0.97},
    "workers8": {"shed_after_10s": 0},
    "peer": {"throughput_of_capacity": {"4": 0.5}, "workers8": {"shed_after_10s": 812}},
    "peak_rss_mib": {"ours": 512.3, "peer": 2048.0},
}


def context(folder: Path, **known: float) -> Context:
    return Context((), Path("python"), folder, 1, 1.0, lambda _: None, dict(known))


def test_figures_of_one_part_leave_the_others_alone() -> None:
    """A part's figures come to the top, the peer's beside those of other parts, the raw ones under the part."""
    found = {"client_cpu_ratio": 0.3, "peer": {"b": 2}, "raw": [1]}
    results = merged({"conformance_mean": 0.99, "peer": {"a": 1}, "parts": {"x": {}}}, "cpu", found, 1.0)
    assert (results["conformance_mean"], results["client_cpu_ratio"], results["peer"]) == (0.99, 0.3, {"a": 1, "b": 2})
    assert (results["parts"]["x"], results["parts"]["cpu"]["raw"]) == ({}, [1])


def test_the_table_tells_what_is_met_and_what_is_missed() -> None:
    """Each measured figure has a line with what was wanted, ours, the peer's and a verdict; others have none."""
    written = io.StringIO()
    Console(width=120, file=written).print(table.of(RESULTS))
    lines = [re.sub(r"\s+", " ", line).strip() for line in written.getvalue().splitlines()]
    assert "CPU a page, share of the peer's ≤ 0.4 0.410 missed" in lines
    assert "4 slots: of capacity ≥ 0.95 0.970 0.500 met" in lines
    assert "8 workers: shed after 10 s ≤ 0 0 812 met" in lines
    assert "peak memory, MiB (1,000 pages; peer: 130) ≤ 800 512 2048 met" in lines
    assert not [line for line in lines if line.startswith("40 slots")]


def test_the_kept_results_have_every_figure() -> None:
    """``bench/results.json`` holds a number for each goal, and the peer's beside it."""
    path = project_root() / "bench" / "results.json"
    if not path.exists():
        pytest.skip("not measured yet: make bench")
    results = json.loads(path.read_text())
    for goal in table.GOALS:
        for where in filter(None, (goal.path, goal.peer_path)):
            value = results
            for name in where:
                value = value[name]
            assert isinstance(value, int | float), where


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error starts nothing and names the parts there are."""
    with pytest.raises(SystemExit):
        main(["--only", "cpu,memory"])
    said = capsys.readouterr().err
    assert all(part in said for part in (*PARTS, "memory"))


def test_a_folder_without_manifest_is_looked_through(tmp_path: Path) -> None:
    """Files with text are taken; locked, empty and broken ones are not."""
    (tmp_path / "text.pdf").write_bytes(pdf("words"))
    (tmp_path / "blank.pdf").write_bytes(pdf(""))
    (tmp_path / "locked.pdf").write_bytes(pdf("words", password="x"))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    assert [path.name for path in born_digital(tmp_path)] == ["text.pdf"]


def test_a_manifest_says_what_is_born_digital(tmp_path: Path) -> None:
    """With a manifest only the files with a text layer that can be parsed are taken."""
    (tmp_path / "manifest.csv").write_text(
        "file,text_layer,expected\na.pdf,yes,parsed\nb.pdf,no,parsed\nc.pdf,yes,rejected: encrypted\n"
    )
    assert [path.name for path in born_digital(tmp_path)] == ["a.pdf"]


def test_offered_pages_are_many_and_all_different(tmp_path: Path) -> None:
    """Sixty pages are two long files and twenty single pages, no two alike, long ones spread among the others."""
    files = context(tmp_path).mixed_pdfs(60)
    assert sorted({path.name.partition("-")[0] for path in files}) == ["1", "20"]
    assert (len(files), len({path.read_bytes() for path in files})) == (22, 22)
    assert not files[0].name.startswith("20") or not files[1].name.startswith("20")


@pytest.mark.parametrize("slots", [4, 40, 400])
def test_a_server_is_as_slow_as_the_processors_need(tmp_path: Path, slots: int) -> None:
    """Feeding all slots takes at most the allowed share of the processors, and no request is quicker than real ones."""
    load = PageLoad(prompt_tokens=4000, generation_tokens=800, requests=10)
    rates = load.rates(context(tmp_path, cpu_seconds_per_page=0.25), slots)
    assert slots / rates.page_seconds * 0.25 <= CPU_SHARE * processors() * 1.0001
    assert rates.request_seconds >= 0.2
    assert 4000 / rates.prefill + 800 / rates.decode == pytest.approx(rates.page_seconds)


def test_the_peer_is_pinned_and_has_no_torch() -> None:
    """Every package of the peer's environment has a version, the peer the one that the results name."""
    lines = [line for line in peer.REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][^ ]*", line) for line in lines)
    assert peer.PEER.replace(" ", "==") in lines
    assert not [line for line in lines if line.startswith(("torch", "vllm", "transformers"))]


def test_the_peer_reaches_nothing_but_the_server() -> None:
    """It is started without proxies and told to ask no hub for weights."""
    found = peer.environment({"HTTPS_PROXY": "http://proxy", "PATH": "/bin"})
    assert "HTTPS_PROXY" not in found
    assert (found["PATH"], found["MINERU_MODEL_SOURCE"], found["HF_HUB_OFFLINE"]) == ("/bin", "local", "1")
