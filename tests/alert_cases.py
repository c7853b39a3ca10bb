"""For each alert, series with which it fires and series with which it does not; samples as promtool has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """Series by name, when to look, and the time between two samples, which is that between two evaluations."""

    series: dict[str, str]
    at: str
    step: str


@dataclass(frozen=True, slots=True)
class Pair:
    fires: Case
    quiet: Case


def pair(at: str, fires: dict[str, str], quiet: dict[str, str], step: str = "1m") -> Pair:
    return Pair(Case(fires, at, step), Case(quiet, at, step))


UP = 'up{job="vllm", instance="a:8000"}'
_CHAT = 'handler="/v1/chat/completions", method="POST"'


def _latency(within_10: str, within_20: str) -> dict[str, str]:
    labels = 'job="vllm", instance="a:8000", model_name="m", engine="0"'
    bounds = {"10.0": within_10, "20.0": within_20, "+Inf": within_20}
    return {f'vllm:e2e_request_latency_seconds_bucket{{{labels}, le="{le}"}}': v for le, v in bounds.items()}


def _http(good: str, bad: str) -> dict[str, str]:
    return {
        f'http_requests_total{{job="vllm", instance="a:8000", {_CHAT}, status="{status}"}}': values
        for status, values in (("2xx", good), ("5xx", bad))
    }


def _vllm(**values: str) -> dict[str, str]:
    return {f'vllm:{name}{{job="vllm", instance="a:8000"}}': value for name, value in values.items()}


def _gpu(used: str, free: str) -> dict[str, str]:
    labels = 'gpu="0", UUID="u", device="d", modelName="m", Hostname="h"'
    return {f"DCGM_FI_DEV_FB_USED{{{labels}}}": used, f"DCGM_FI_DEV_FB_FREE{{{labels}}}": free}


def _due(in_time: str, late: str) -> dict[str, str]:
    found = {"in-time": in_time, "late": late, "failed": "0x600"}
    return {f'mineru_pipeline_documents_due_total{{verdict="{name}"}}': value for name, value in found.items()}


def _ours(name: str, value: str, labels: str = "") -> dict[str, str]:
    return {f"mineru_pipeline_{name}{{{labels}}}": value}


def _stopped(pages: str, done: str, runs: str) -> dict[str, str]:
    return {
        'mineru_pages_answered_total{source="model", pod="p"}': pages,
        'mineru_pipeline_batches{state="done"}': done,
        'mineru_pipeline_runs{status="started"}': runs,
        'mineru_pipeline_runs{status="queued"}': "0x60",
    }


_POD = 'namespace="mineru-production", pod="p", container="vllm", uid="u"'
_BREAKER = 'mineru_vllm_circuit_breaker_state{endpoint="http://a:8000", model_revision="m", pod="p"}'
_LAG = 'kafka_consumergroup_lag{consumergroup="mineru-pipeline", topic="t", partition="0"}'
_LETTERS = 'kafka_topic_partition_current_offset{topic="mineru.documents.dead-letters", partition="0"}'
_VOLUME = 'namespace="mineru-production", persistentvolumeclaim="c"'
_SEEN = 'mineru_pipeline_source_up{source="store"}'
_LOOKED = 'mineru_pipeline_look_timestamp_seconds{source="store"}'

CASES: dict[str, Pair] = {
    "ModelServerDown": pair("5m", {UP: "1 0x10"}, {UP: "0 1 0 1x10"}),
    "ModelLoadingLong": pair(
        "20m",
        {f"kube_pod_container_status_running{{{_POD}}}": "1x30", f"kube_pod_container_status_ready{{{_POD}}}": "0x30"},
        {
            f"kube_pod_container_status_running{{{_POD}}}": "1x30",
            f"kube_pod_container_status_ready{{{_POD}}}": "0x10 1x20",
        },
    ),
    "ModelServerSlow": pair("20m", _latency("0+9x30", "0+10x30"), _latency("0+98x30", "0+100x30")),
    "ModelServerErrors": pair("20m", _http("0+90x30", "0+10x30"), _http("0+98x30", "0+2x30")),
    "ModelServerQueueLong": pair(
        "20m",
        _vllm(num_requests_waiting="300x30", num_requests_running="256x30"),
        _vllm(num_requests_waiting="100x30", num_requests_running="256x30"),
    ),
    "KVCacheFull": pair("20m", _vllm(kv_cache_usage_perc="0.97x30"), _vllm(kv_cache_usage_perc="0.97x5 0.9x25")),
    "GPUMemoryFull": pair("20m", _gpu("79000x30", "1000x30"), _gpu("74000x30", "6000x30")),
    "GPUXidError": pair(
        "5m", {'DCGM_FI_DEV_XID_ERRORS{gpu="0", Hostname="h"}': "0 79x9"}, {'DCGM_FI_DEV_XID_ERRORS{gpu="0"}': "0x9"}
    ),
    "CircuitBreakerOpen": pair("10m", {_BREAKER: "0 2 1 2 1 2x10"}, {_BREAKER: "0 2 1 0x10"}),
    "RequestsFail": pair(
        "20m",
        {
            'mineru_vllm_client_failures_total{error_type="server"}': "0+10x30",
            "mineru_vllm_client_requests_total": "0+100x30",
        },
        {
            'mineru_vllm_client_failures_total{error_type="overloaded"}': "0+10x30",
            'mineru_vllm_client_failures_total{error_type="server"}': "0+1x30",
            "mineru_vllm_client_requests_total": "0+100x30",
        },
    ),
    "Outage": pair(
        "20m", {"mineru_vllm_outage_seconds_total": "0+60x30"}, {"mineru_vllm_outage_seconds_total": "0+60x3 180x30"}
    ),
    "NoPageFinished": pair(
        "40m", _stopped("500x60", "7x60", "1x60"), _stopped("500x60", "7x10 8x10 9x10 10x30", "1x60")
    ),
    "RunsFail": pair(
        "70m",
        _ours("runs_ended_total", "0+0.1x80", 'status="failure"'),
        _ours("runs_ended_total", "0+0.1x80", 'status="success"')
        | _ours("runs_ended_total", "3x80", 'status="failure"'),
    ),
    "BatchesWaitForSomebody": pair(
        "10m", _ours("batches_waiting_for_somebody", "2x20"), _ours("batches_waiting_for_somebody", "0x20")
    ),
    "DocumentsFailed": pair(
        "20m",
        _ours("quarantined_documents", "1x30", 'waits_for="somebody"'),
        _ours("quarantined_documents", "9x30", 'waits_for="retry"')
        | _ours("quarantined_documents", "0x30", 'waits_for="somebody"'),
    ),
    "ResultsNotTold": pair("40m", _ours("outbox_batches", "3x60"), _ours("outbox_batches", "3x20 0 3x40")),
    "DaemonSilent": pair(
        "10m",
        _ours("daemon_heartbeat_timestamp_seconds", "60x20", 'daemon="SENSOR"'),
        _ours("daemon_heartbeat_timestamp_seconds", "0+60x20", 'daemon="SENSOR"'),
    ),
    "AutomationFails": pair(
        "20m",
        _ours("automation_failing", "1x30", 'name="watched_buckets"'),
        _ours("automation_failing", "1x10 0 1x20", 'name="watched_buckets"'),
    ),
    "PipelineUnobserved": pair("15m", {_SEEN: "0x20"}, {_SEEN: "1x20", _LOOKED: "0+60x20"}),
    "ConsumerLag": pair("20m", {_LAG: "20000x30"}, {_LAG: "20000x10 100x20"}),
    "DeadLetters": pair("70m", {_LETTERS: "4x30 5x60"}, {_LETTERS: "4x90"}),
    "BrokerLost": pair("20m", {"kafka_brokers": "3x5 2x30"}, {"kafka_brokers": "3x30"}),
    "StoreFillsUp": pair(
        "20m",
        {"minio_cluster_capacity_usable_free_bytes": "5x30", "minio_cluster_capacity_usable_total_bytes": "100x30"},
        {"minio_cluster_capacity_usable_free_bytes": "50x30", "minio_cluster_capacity_usable_total_bytes": "100x30"},
    ),
    "VolumeFillsUp": pair(
        "20m",
        {
            f"kubelet_volume_stats_available_bytes{{{_VOLUME}}}": "5x30",
            f"kubelet_volume_stats_capacity_bytes{{{_VOLUME}}}": "100x30",
        },
        {
            f"kubelet_volume_stats_available_bytes{{{_VOLUME}}}": "50x30",
            f"kubelet_volume_stats_capacity_bytes{{{_VOLUME}}}": "100x30",
        },
    ),
    "QualityGateRed": pair(
        "5m",
        _ours("quality_gate_state", "0 2x9", 'check="quality_not_below_baseline"'),
        _ours("quality_gate_state", "1x9", 'check="quality_not_below_baseline"'),
    ),
    "Drift": pair("5m", _ours("drift_alarm", "0 1x9"), _ours("drift_alarm", "0x9")),
    "PagesNotRead": pair(
        "100m",
        {'mineru_pages_total{outcome="read"}': "0+80x120", 'mineru_pages_total{outcome="gap"}': "0+20x120"},
        {
            'mineru_pages_total{outcome="read"}': "0+95x120",
            'mineru_pages_total{outcome="gap"}': "0+5x120",
            'mineru_pages_total{outcome="reused"}': "0+900x120",
        },
    ),
    "DocumentsLateFast": pair("2h", _due("0+80x200", "0+20x200"), _due("0+97x200", "0+3x200")),
    "DocumentsLateSlow": pair("3d", _due("0+95x600", "0+5x600"), _due("0+995x600", "0+5x600"), step="10m"),
}

#: Minutes for which what an alert tells of must have been so, before anybody is told: the alerts by that. What has a
#: window of its own in its expression waits no longer.
_WAITS = {
    0: "DeadLetters GPUXidError NoPageFinished RunsFail ResultsNotTold DaemonSilent QualityGateRed Drift",
    2: "ModelServerDown DocumentsLateFast",
    5: "BrokerLost ModelServerSlow ModelServerErrors GPUMemoryFull CircuitBreakerOpen RequestsFail Outage "
    "BatchesWaitForSomebody",
    10: "ModelServerQueueLong KVCacheFull PipelineUnobserved",
    15: "ConsumerLag StoreFillsUp VolumeFillsUp ModelLoadingLong DocumentsLateSlow DocumentsFailed AutomationFails",
    30: "PagesNotRead",
}
WAITS = {alert: minutes for minutes, alerts in _WAITS.items() for alert in alerts.split()}
