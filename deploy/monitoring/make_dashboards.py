"""Makes the dashboards of Grafana in ``dashboards/``; this is the file to edit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FOLDER = Path(__file__).resolve().parent / "dashboards"
_WIDTH, _HEIGHT = 8, 7
#: Whoever looks chooses the Prometheus, so that the files serve any Grafana.
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_VLLM = '{job="vllm"}'


@dataclass(frozen=True, slots=True)
class Plot:
    """A panel: what it shows, in which unit of Grafana's, and the expressions, each with its legend."""

    title: str
    about: str
    unit: str
    series: Sequence[tuple[str, str]]


def _quantiles(metric: str, text: str) -> list[tuple[str, str]]:
    return [
        (
            f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket[$__rate_interval])))",
            f"{text}, {round(q * 100)} %",
        )
        for q in (0.5, 0.95)
    ]


SERVER = {
    "Is it there?": [
        Plot("Up", "1: it answers Prometheus.", "none", [('up{job="vllm"}', "{{instance}}")]),
        Plot(
            "Loading a model",
            "1: its container runs and is not ready. Needs kube-state-metrics; elsewhere it looks as if it were down.",
            "none",
            [("server:loading", "{{pod}}")],
        ),
        Plot(
            "Server errors",
            "Share of completions with 5xx; an alert at 5 %.",
            "percentunit",
            [("server:http_errors:ratio_rate5m", "{{instance}}")],
        ),
    ],
    "How fast?": [
        Plot(
            "Latency",
            "Of requests that ended; an alert at 10 s.",
            "s",
            _quantiles("vllm:e2e_request_latency_seconds", "all"),
        ),
        Plot(
            "Queue and prefill",
            "Grows with the load.",
            "s",
            [
                *_quantiles("vllm:request_queue_time_seconds", "queue"),
                *_quantiles("vllm:request_prefill_time_seconds", "prefill"),
            ],
        ),
        Plot(
            "Decoding",
            "Grows with the length of answers.",
            "s",
            _quantiles("vllm:request_decode_time_seconds", "decode"),
        ),
        Plot("Generated tokens", "A second.", "none", [("server:generation_tokens:rate5m", "{{instance}}")]),
        Plot(
            "Requests by their end",
            "`length` is truncated, `abort` was stopped.",
            "reqps",
            [("sum by (finished_reason) (rate(vllm:request_success_total[$__rate_interval]))", "{{finished_reason}}")],
        ),
        Plot(
            "Turned away",
            "Because the queue was full.",
            "reqps",
            [("sum by (reason) (rate(vllm:admission_rejections_total[$__rate_interval]))", "{{reason}}")],
        ),
    ],
    "How full?": [
        Plot(
            "Requests",
            "Running and waiting.",
            "none",
            [
                (f"vllm:num_requests_running{_VLLM}", "running {{instance}}"),
                (f"vllm:num_requests_waiting{_VLLM}", "waiting {{instance}}"),
            ],
        ),
        Plot("KV cache", "An alert at 95 %.", "percentunit", [(f"vllm:kv_cache_usage_perc{_VLLM}", "{{instance}}")]),
        Plot(
            "Preemptions",
            "Requests thrown out of the cache and begun again.",
            "reqps",
            [("sum by (instance) (rate(vllm:num_preemptions_total[$__rate_interval]))", "{{instance}}")],
        ),
        Plot(
            "GPU memory", "An alert at 98 %.", "percentunit", [("server:gpu_memory:ratio", "GPU {{gpu}} {{Hostname}}")]
        ),
        Plot("GPU use", "Share of time with work.", "percent", [("DCGM_FI_DEV_GPU_UTIL", "GPU {{gpu}} {{Hostname}}")]),
        Plot("Last XID error", "0: none.", "none", [("DCGM_FI_DEV_XID_ERRORS", "GPU {{gpu}} {{Hostname}}")]),
    ],
}
PIPELINE = {
    "The promise": [
        Plot(
            "Late or failed",
            "Share of documents without a result within an hour; 1 % is allowed.",
            "percentunit",
            [
                ("slo:documents_bad:ratio_rate1h", "1 hour"),
                ("slo:documents_bad:ratio_rate3d", "3 days"),
            ],
        ),
        Plot(
            "Arrival to result",
            "Of batches that ended.",
            "s",
            _quantiles("mineru_pipeline_document_age_seconds", "age"),
        ),
        Plot(
            "Oldest waiting",
            "Time since the arrival of the oldest document without a result.",
            "s",
            [("time() - (mineru_pipeline_oldest_arrival_timestamp_seconds > 0)", "oldest")],
        ),
    ],
    "Work": [
        Plot("Pages", "Answered a second.", "none", [("pipeline:pages_answered:rate5m", "pages")]),
        Plot(
            "Waiting",
            "Documents without any result, and batches without one of this revision.",
            "none",
            [
                ("mineru_pipeline_documents_waiting", "documents"),
                ('mineru_pipeline_batches{state="open"}', "batches"),
            ],
        ),
        Plot("Runs", "Queued and going on.", "none", [("mineru_pipeline_runs", "{{status}}")]),
        Plot(
            "Runs that ended",
            "Within an hour.",
            "none",
            [("sum by (status) (increase(mineru_pipeline_runs_ended_total[1h]))", "{{status}}")],
        ),
        Plot(
            "Time by stage",
            "Seconds a second, over all pages in work: what to add.",
            "none",
            [("sum by (stage) (rate(mineru_stage_seconds_total[$__rate_interval]))", "{{stage}}")],
        ),
        Plot(
            "Consumer lag",
            "Messages behind the stored cursor.",
            "none",
            [("sum by (topic) (kafka_consumergroup_lag)", "{{topic}}")],
        ),
    ],
    "Between workers and servers": [
        Plot(
            "Failures",
            "Attempts without a whole answer.",
            "reqps",
            [("sum by (error_type) (rate(mineru_vllm_client_failures_total[$__rate_interval]))", "{{error_type}}")],
        ),
        Plot(
            "Circuit breakers",
            "0 closed, 1 half-open, 2 open; the worst of all workers.",
            "none",
            [("max by (endpoint) (mineru_vllm_circuit_breaker_state)", "{{endpoint}}")],
        ),
        Plot(
            "Limits",
            "Requests that workers may have in flight, and have.",
            "none",
            [
                ("sum by (endpoint) (mineru_vllm_limiter_limit)", "limit {{endpoint}}"),
                ("sum by (endpoint) (mineru_vllm_limiter_in_flight)", "in flight {{endpoint}}"),
            ],
        ),
        Plot(
            "Outage",
            "Share of time in which work waited and nothing got through.",
            "percentunit",
            [("sum(rate(mineru_vllm_outage_seconds_total[$__rate_interval]))", "outage")],
        ),
    ],
    "What waits for somebody": [
        Plot(
            "Quarantine",
            "Documents by what they wait for.",
            "none",
            [("mineru_pipeline_quarantined_documents", "{{waits_for}}")],
        ),
        Plot(
            "Batches",
            "Failed, and nothing starts them again.",
            "none",
            [("mineru_pipeline_batches_waiting_for_somebody", "batches")],
        ),
        Plot(
            "Outbox",
            "Batches whose results have not been told.",
            "none",
            [("mineru_pipeline_outbox_batches", "batches")],
        ),
        Plot(
            "Sensors that fail",
            "1: its latest evaluation failed.",
            "none",
            [("mineru_pipeline_automation_failing > 0", "{{name}}")],
        ),
        Plot(
            "Daemons",
            "Time since the last sign of life.",
            "s",
            [("time() - mineru_pipeline_daemon_heartbeat_timestamp_seconds", "{{daemon}}")],
        ),
        Plot(
            "Free space",
            "Of the store.",
            "percentunit",
            [
                ("minio_cluster_capacity_usable_free_bytes / minio_cluster_capacity_usable_total_bytes", "free"),
            ],
        ),
    ],
}
QUALITY = {
    "The gate": [
        Plot("Gate", "0 passed, 1 in doubt, 2 failed.", "none", [("mineru_pipeline_quality_gate_state", "{{check}}")]),
        Plot(
            "Age of the verdict",
            "Since the gate was evaluated.",
            "s",
            [("time() - mineru_pipeline_quality_gate_timestamp_seconds", "{{check}}")],
        ),
    ],
    "Without the truth": [
        Plot(
            "Bands",
            "Share of documents by how good their parse probably is.",
            "percentunit",
            [
                (
                    "mineru_pipeline_documents_by_band / scalar(sum(mineru_pipeline_documents_by_band))",
                    "{{band}}",
                )
            ],
        ),
        Plot("Evidence of drift", "10,000 is an alarm.", "none", [("mineru_pipeline_drift_evidence", "evidence")]),
        Plot("Documents seen", "By the detector of drift.", "none", [("mineru_pipeline_drift_documents", "documents")]),
    ],
    "Pages and documents": [
        Plot(
            "Pages not wholly read",
            "Degraded, with a gap, or of failed documents; an alert at 10 %.",
            "percentunit",
            [("pipeline:pages_not_read:ratio_rate1h", "share")],
        ),
        Plot(
            "Pages by outcome",
            "A second.",
            "none",
            [("sum by (outcome) (rate(mineru_pages_total[$__rate_interval]))", "{{outcome}}")],
        ),
        Plot("Documents by state", "Under the present revision.", "none", [("mineru_pipeline_documents", "{{state}}")]),
    ],
}
DASHBOARDS = {
    "server": ("Model server", SERVER),
    "pipeline": ("Pipeline", PIPELINE),
    "quality": ("Quality", QUALITY),
}


def _panel(plot: Plot) -> Panel:
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)  # noqa: FBT003  their builder
    panel = Panel().title(plot.title).description(plot.about).unit(plot.unit).datasource(_SOURCE).legend(legend)
    panel = panel.span(_WIDTH).height(_HEIGHT).min(0)
    for number, (expression, text) in enumerate(plot.series):
        panel.with_target(Dataquery().expr(expression).legend_format(text).ref_id(chr(ord("A") + number)))
    return panel


def dashboard(name: str) -> str:
    """One of ``DASHBOARDS`` as the JSON that Grafana reads."""
    title, rows = DASHBOARDS[name]
    made = Dashboard(f"mineru-pipeline: {title}").uid(f"mineru-{name}").tags(["mineru-pipeline"]).readonly()
    made = made.refresh("1m").time("now-6h", "now").timezone("browser")
    made.with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for heading, plots in rows.items():
        made.with_row(Row(heading))
        for plot in plots:
            made.with_panel(_panel(plot))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def main() -> int:
    """Write the files, or with ``--check`` tell whether they are what they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    check, stale = parser.parse_args().check, []
    for name in DASHBOARDS:
        file, made = FOLDER / f"{name}.json", dashboard(name)
        if check and (not file.exists() or file.read_text(encoding="utf-8") != made):
            stale.append(file.name)
        elif not check:
            file.write_text(made, encoding="utf-8")
    if stale:
        sys.stderr.write(f"{', '.join(stale)} out of date: run {Path(__file__).name}\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
