"""Claims about the plots of evidence."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np

from mineru_pipeline.quality.gates.chart import Line, Threshold, drift_chart, evidence_chart, line_chart
from mineru_pipeline.quality.gates.drift import Point
from mineru_pipeline.quality.gates.model import PairedScores
from mineru_pipeline.quality.gates.sequential import SequentialGate

SVG = "{http://www.w3.org/2000/svg}"
THRESHOLD = Threshold("enough", 20)


def drawn(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each line."""
    lines = ET.fromstring(svg).iter(f"{SVG}polyline")
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in line.attrib["points"].split())]
        for line in lines
    ]


def test_the_same_figures_are_the_same_bytes() -> None:
    """A report that is written again is not another one."""
    rng = np.random.default_rng(1)
    scores = tuple(rng.uniform(0.8, 1, 100).tolist())
    paired = PairedScores("text", tuple(map(str, range(100))), scores, scores)
    first, second = (evidence_chart("text", SequentialGate().path(paired), 0.05) for _ in range(2))
    assert first == second
    assert [len(line) for line in drawn(first)] == [100, 100]
    assert "decided at 20" in first


def test_whatever_is_named_is_escaped() -> None:
    """A name cannot become markup of the report."""
    svg = line_chart("<script>x</script>", [Line("a & b", [1.0])], THRESHOLD)
    assert "<script>" not in svg
    assert ET.fromstring(svg).find(f"{SVG}title") is not None


def test_nothing_to_draw_is_an_empty_chart() -> None:
    """Before the first document, and without any line."""
    assert drawn(drift_chart([], 10_000)) == [[]]
    assert drawn(line_chart("none", [], THRESHOLD)) == []


def test_a_long_stream_keeps_its_peaks() -> None:
    """Of several documents in one pixel the one with most evidence is drawn, so that no crossing is lost."""
    values = [1.0] * 20_000
    values[12_345] = 50_000.0
    points = [Point(str(number), value, "a") for number, value in enumerate(values)]
    (line,) = drawn(drift_chart(points, 10_000))
    assert len(line) < 700
    flat = sorted(y for _, y in line)
    assert flat[0] < flat[1]


def test_everything_stays_within_the_picture() -> None:
    """Evidence of nothing and of nearly everything, too."""
    for x, y in drawn(line_chart("extremes", [Line("a", [0.0, 1e15, 1.0])], THRESHOLD))[0]:
        assert 0 <= x <= 720
        assert 0 <= y <= 300
