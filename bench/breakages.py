"""Things that can be wrong in what is deployed, one at a time, and the test that must see each."""

from __future__ import annotations

from dataclasses import dataclass

_OVERLAY = "tests/deploy/test_k8s_overlays.py::test_an_overlay_keeps_to_every_rule"
_COMPOSE = "tests/deploy/test_compose.py::test_the_compose_file_keeps_to_the_rule"
_MONITORING = "tests/deploy/test_monitoring.py"


@dataclass(frozen=True, slots=True)
class Breakage:
    """A change of one file, the test that fails for it alone, and what stands in that failure."""

    name: str
    what: str
    file: str
    #: Stands in the file exactly once.
    old: str
    new: str
    test: str
    says: str

    def applied(self, text: str) -> str:
        """Return the file's text with the change in it, or raise ValueError where it does not fit any more."""
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {found} times in {self.file}")
        return text.replace(self.old, self.new)


BREAKAGES = (
    Breakage(
        "wrong-port",
        "a Service leads to a port that its pod does not have",
        "deploy/k8s/base/dagster/code-location.yaml",
        "      port: 4000\n      targetPort: grpc\n",
        "      port: 4000\n      targetPort: http\n",
        f"{_OVERLAY}[ports_fit-production]",
        "no port http",
    ),
    Breakage(
        "missing-limit",
        "a container has no limit of memory",
        "deploy/k8s/base/dagster/daemon.yaml",
        '              cpu: "1"\n              memory: 1Gi\n',
        '              cpu: "1"\n',
        f"{_OVERLAY}[bounded-production]",
        "no limits of memory",
    ),
    Breakage(
        "selects-nothing",
        "a Service selects nothing",
        "deploy/k8s/base/vllm/server/service.yaml",
        '    mineru-pipeline/server: "1"\n',
        '    mineru-pipeline/server: "3"\n',
        f"{_OVERLAY}[selected-production]",
        "Service/vllm-server: selects nothing",
    ),
    Breakage(
        "open-path",
        "everybody in the namespace reaches vLLM",
        "deploy/k8s/base/network/model-server.yaml",
        "        - podSelector:\n            matchLabels:\n              app.kubernetes.io/component: run_worker\n",
        "        - podSelector: {}\n",
        f"{_OVERLAY}[open_ways-production]",
        "stranger here must not reach model-server:8000",
    ),
    Breakage(
        "root",
        "a pod may run as root",
        "deploy/k8s/base/dagster/code-location.yaml",
        "        runAsNonRoot: true\n",
        "",
        f"{_OVERLAY}[confined-production]",
        "may run as root",
    ),
    Breakage(
        "short-grace",
        "vLLM is killed before it has shut down",
        "deploy/k8s/base/vllm/server/deployment.yaml",
        "terminationGracePeriodSeconds: 100",
        "terminationGracePeriodSeconds: 30",
        f"{_OVERLAY}[times_fit-production]",
        "is killed after 30 s",
    ),
    Breakage(
        "unknown-metric-in-a-rule",
        "an alert waits for a metric that does not exist",
        "deploy/monitoring/rules/model-server.yaml",
        'vllm:kv_cache_usage_perc{job="vllm"} > 0.95',
        'vllm:gpu_cache_usage_perc{job="vllm"} > 0.95',
        f"{_MONITORING}::test_rules_read_what_exists",
        "vllm:gpu_cache_usage_perc",
    ),
    Breakage(
        "unknown-metric-on-a-dashboard",
        "a panel shows a metric that does not exist",
        "deploy/monitoring/dashboards/server.json",
        '"expr": "vllm:kv_cache_usage_perc{',
        '"expr": "vllm:gpu_cache_usage_perc{',
        "tests/deploy/test_dashboards.py::test_they_show_what_exists[server]",
        "vllm:gpu_cache_usage_perc",
    ),
    Breakage(
        "expired-runbook-link",
        "the heading is gone that the link of an alert leads to",
        "docs/operations/model-server.md",
        "## KVCacheFull\n",
        "## Full cache\n",
        f"{_MONITORING}::test_alerts_say_what_people_need[KVCacheFull]",
        "docs/operations/model-server.md has no heading KVCacheFull, or two",
    ),
    Breakage(
        "job-of-another-name",
        "the model server is scraped under another name than the rules have",
        "deploy/k8s/components/monitoring/monitors.yaml",
        '  # The job is "vllm", whatever the Service is called.\n  jobLabel: app.kubernetes.io/name\n',
        "  jobLabel: app.kubernetes.io/component\n",
        "tests/deploy/test_scraped.py::test_monitors_name_every_job_that_is_asked_for[production]",
        "{'vllm'} <= {",
    ),
    Breakage(
        "untested-alert",
        "an alert has no test in which it fires",
        "deploy/monitoring/rules/infrastructure.yaml",
        "      - alert: BrokerLost\n",
        "      - alert: Untested\n        expr: kafka_brokers < 1\n      - alert: BrokerLost\n",
        f"{_MONITORING}::test_each_alert_has_both_cases",
        "Untested",
    ),
    Breakage(
        "alert-that-never-fires",
        "a threshold in percent where the metric is a share",
        "deploy/monitoring/rules/model-server.yaml",
        'vllm:kv_cache_usage_perc{job="vllm"} > 0.95',
        'vllm:kv_cache_usage_perc{job="vllm"} > 95',
        f"{_MONITORING}::test_alerts_fire_and_keep_quiet[fires]",
        r"alertname=\"KVCacheFull\"",
    ),
    Breakage(
        "unknown-setting",
        "Compose gives a variable that is no setting",
        "deploy/compose/compose.yaml",
        "MINERU_PIPELINE__STORAGE__BUCKET:",
        "MINERU_PIPELINE__STORAGE__BUCKETS:",
        f"{_COMPOSE}[known_environment]",
        "MINERU_PIPELINE__STORAGE__BUCKETS",
    ),
    Breakage(
        "moving-tag",
        "an image of the Compose file has the tag latest",
        "deploy/compose/compose.yaml",
        "image: grafana/grafana:12.1.1",
        "image: grafana/grafana:latest",
        f"{_COMPOSE}[pinned]",
        "grafana: the tag latest is not exact",
    ),
    Breakage(
        "moving-base",
        "the base of an image moves",
        "deploy/docker/pipeline.Dockerfile",
        "FROM python:3.11.14-slim-bookworm\n",
        "FROM python:3.11-slim-bookworm\n",
        "tests/deploy/test_images.py::test_an_image_is_pinned_labelled_and_without_privileges[pipeline.Dockerfile]",
        "python:3.11-slim-bookworm",
    ),
    Breakage(
        "moving-action",
        "a workflow uses an action that moves",
        ".github/workflows/ci.yml",
        "      - run: make manifests\n",
        "      - uses: actions/cache@v4\n      - run: make manifests\n",
        "tests/deploy/test_workflow.py::test_a_workflow_keeps_to_the_rules[ci.yml]",
        "actions/cache@v4",
    ),
    Breakage(
        "dead-link",
        "a page links to one that does not exist",
        "docs/deployment/index.md",
        "(docker.md)",
        "(podman.md)",
        "tests/docs/test_site.py::test_the_site_has_every_page",
        "the target 'deployment/podman.md' is not found",
    ),
)
