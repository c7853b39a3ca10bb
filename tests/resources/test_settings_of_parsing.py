"""What the settings of the model server, its client, rendering, limits and metrics change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ModelServer, pdf, start_server, stop_server
from settings_bench import CLIENT, Bench

from mineru_pipeline.errors import (
    ModelServerError,
    RunInterruptedError,
)
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing.exporter import serving_metrics
from mineru_pipeline.parsing.render import sandbox_config
from resources import parsing


@pytest.mark.setting("tenant")
def test_tenant(bench: Bench) -> None:
    """Outputs lie under the tenant."""
    assert bench.parse(tenant="acme").row.outputs.startswith("parsed/acme/")


@pytest.mark.setting("vllm_server.enabled")
def test_enabled(bench: Bench) -> None:
    """Switched off, a page that no model has read stops the run; a finished document does not need one."""
    with pytest.raises(ModelServerError, match=r"vllm_server\.enabled"):
        bench.parse(vllm_server__enabled=False)
    bench.parse()
    assert bench.parse(vllm_server__enabled=False).row.state == "parsed"


@pytest.mark.setting("vllm_server.base_url", "vllm_server.model")
def test_server_and_model(bench: Bench, model_server: ModelServer) -> None:
    """Requests go to the configured server, and a model that it does not serve is refused."""
    before = model_server.answered()
    assert bench.parse().row.requests < model_server.answered() - before
    with pytest.raises(ModelServerError, match="other/model"):
        bench.parse(vllm_server__model="other/model")


@pytest.mark.setting("vllm_server.model_revision", "rendering.dpi", "rendering.max_long_edge_px")
@pytest.mark.parametrize(
    "change", [{"vllm_server__model_revision": "r2"}, {"rendering__dpi": 100}, {"rendering__max_long_edge_px": 1000}]
)
def test_what_the_model_is_asked_keys_its_answers(bench: Bench, change: dict[str, Any]) -> None:
    """Another model or rendering has another extraction revision, and so another parser revision."""
    before, after = (parsing.revisions_of(bench.load(**given).settings) for given in ({}, change))
    assert before.extraction != after.extraction
    assert before.parser != after.parser


@pytest.mark.setting("rendering.dpi", "rendering.max_long_edge_px")
def test_rendering(bench: Bench) -> None:
    """An A4 page has as many pixels as asked for."""

    def height(**changes: int) -> int:
        store = bench.parse(**changes).store
        (key,) = (item.key for item in store.list("extracted/"))
        store_data = store.get(key).decode()
        for item in list(store.list("")):
            store.delete(item.key)
        return int(store_data.split('"height_px":')[1].split(",")[0])

    assert height() == 2339
    assert height(rendering__dpi=100) == 1170
    assert height(rendering__max_long_edge_px=1000) == 1000


@pytest.mark.setting("vllm_server.api_key")
def test_api_key(bench: Bench, tmp_path: Path) -> None:
    """A guarded server lets the right key in and refuses a wrong one, which no message repeats."""
    (tmp_path / "key").write_text("right\n")
    server = start_server(tmp_path, "--api-key-file", str(tmp_path / "key"))
    try:
        with pytest.raises(ModelServerError) as caught:
            bench.parse(vllm_server__base_url=server.url, vllm_server__api_key="wr0ng")
        assert "wr0ng" not in str(caught.value)
        assert "api_key" in str(caught.value)
        assert bench.parse(vllm_server__base_url=server.url, vllm_server__api_key="right").row.state == "parsed"
    finally:
        stop_server(server)


@pytest.mark.setting(*CLIENT)
@pytest.mark.parametrize("name", CLIENT)
def test_the_clients_settings_reach_the_client(bench: Bench, name: str) -> None:
    """Each changes exactly its field of the client's configuration, whose effect the client's own tests show."""
    field, value = CLIENT[name]
    expected: ClientConfig
    plain, changed = (
        parsing.client_config(bench.load(**given).settings, ("http://127.0.0.1:9",)) for given in ({}, {name: value})
    )
    if name == "http_client.timeout_seconds":
        # A slow call is one that needs half of the time-out.
        breaker = replace(plain.breaker, slow_call_duration_threshold_seconds=value / 2)
        expected = replace(plain, timeout_seconds=value, breaker=breaker)
    elif ".circuit_breaker." in name:
        expected = replace(plain, breaker=replace(plain.breaker, **{field: value}))
    else:
        expected = replace(plain, **{field: value})
    assert plain != changed == expected


@pytest.mark.setting("workers.count", "workers.timeout_seconds")
def test_how_much_a_run_takes_on(bench: Bench, tmp_path: Path) -> None:
    """Render children follow the setting, and a run beyond its time stops."""
    assert parsing.engine_limits(bench.load(workers__count=3).settings).render_children == 3
    with pytest.raises(RunInterruptedError, match=r"workers\.timeout_seconds"):
        bench.parse(workers__timeout_seconds=0.000_001)


@pytest.mark.setting("limits.max_bytes", "limits.max_pages", "limits.max_page_edge_pt", "limits.seconds_per_page")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limits__max_bytes": 100}, "too-many-bytes"),
        ({"limits__max_pages": 1}, "too-many-pages"),
        ({"limits__max_page_edge_pt": 500}, "page-too-large"),
        ({"limits__seconds_per_page": 0.000_001}, "probe-timeout"),
    ],
)
def test_limits(bench: Bench, change: dict[str, Any], reason: str) -> None:
    """A document over a limit is rejected with the reason; within the default it is parsed."""
    data = pdf("one", "two")
    assert bench.parse(data).row.state == "parsed"
    got = bench.parse(data, **change).row
    assert (got.state, got.reason) == ("rejected", reason)


@pytest.mark.setting("limits.memory_mib")
def test_memory_limit(bench: Bench) -> None:
    """The render child's memory is limited to the setting."""
    limits = parsing.limits_of(bench.load(limits__memory_mib=222).settings)
    assert sandbox_config(limits).memory_mib == 222


@pytest.mark.setting("parsing.text_layer_fallback")
def test_text_layer_fallback_changes_outputs_but_not_what_the_model_is_asked(bench: Bench) -> None:
    """Switching it off needs no new answers: only the parser revision is another."""
    before, after = (
        parsing.revisions_of(bench.load(parsing__text_layer_fallback=value).settings) for value in (True, False)
    )
    assert before.extraction == after.extraction
    assert before.parser != after.parser
    bench.parse()
    again = bench.parse(parsing__text_layer_fallback=False)
    assert (again.row.state, again.row.requests, again.metrics.snapshot().requests) == ("parsed", 0, 0)


@pytest.mark.setting("metrics.port", "metrics.host")
def test_where_metrics_are_served(bench: Bench) -> None:
    """Off by default; with a port, the figures are served there and at no other address."""
    off, on = (bench.load(**given).settings.metrics for given in ({}, {"metrics__port": 0, "metrics__host": "::1"}))
    registry = ClientMetrics().registry
    with serving_metrics(registry, off.host, off.port) as nothing:
        assert nothing is None
    with serving_metrics(registry, on.host, on.port) as port:
        assert "mineru_vllm_client_requests_total 0.0" in httpx.get(f"http://[::1]:{port}/metrics").text
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
