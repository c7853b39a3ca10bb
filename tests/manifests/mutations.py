"""Faults that somebody might make in a manifest, one at a time, and the rule that must see each."""

from __future__ import annotations

from manifests.changes import (
    Mutation,
    argument,
    in_object,
    in_pod,
    in_text,
    let_in,
    set_at,
    without_policy,
    workload,
)
from manifests.rules import overlay

MUTATIONS = (
    Mutation(
        "a Service names a port that its pod does not have",
        in_object("Service", "dagster-code-location", "spec.ports.0.targetPort", "http"),
        "ports_fit",
        "no port http",
    ),
    Mutation(
        "a headless Service has another port than its pod",
        in_object("Service", "vllm-server", "spec.ports.0.port", 80),
        "ports_fit",
        "is headless",
    ),
    Mutation(
        "a probe asks a port that is not open",
        in_pod("vllm-server", "containers.0.readinessProbe.httpGet.port", 8080),
        "ports_fit",
        "8080",
    ),
    Mutation(
        "a probe is missing",
        in_pod("dagster-daemon", "containers.0.livenessProbe", None),
        "watched",
        "nobody notices",
    ),
    Mutation(
        "a container has no limit of memory",
        in_pod("dagster-daemon", "containers.0.resources.limits.memory", None),
        "bounded",
        "no limits of memory",
    ),
    Mutation(
        "a Service selects nothing",
        in_object("Service", "vllm-server", "spec.selector", {"app.kubernetes.io/name": "vlm"}),
        "selected",
        "selects nothing",
    ),
    Mutation(
        "a PodMonitor selects nothing",
        in_object(
            "PodMonitor",
            "mineru-pipeline-runs",
            "spec.selector.matchLabels",
            {"app.kubernetes.io/component": "run-worker"},
        ),
        "selected",
        "PodMonitor/mineru-pipeline-runs: selects nothing",
    ),
    Mutation(
        "a monitor names a port that no pod has",
        in_object("PodMonitor", "mineru-pipeline-runs", "spec.podMetricsEndpoints.0.port", "prometheus"),
        "ports_fit",
        "prometheus",
    ),
    Mutation(
        "anybody in the namespace reaches vLLM",
        let_in("model-server", {"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 8000}]}),
        "open_ways",
        "stranger here must not reach model-server:8000",
    ),
    Mutation(
        "another namespace reaches vLLM",
        let_in("model-server", {"from": [{"namespaceSelector": {}}]}),
        "open_ways",
        "stranger elsewhere must not reach model-server",
    ),
    Mutation("what is not named is not denied", without_policy("default-deny"), "open_ways", "must not reach"),
    Mutation(
        "the proxies reach PostgreSQL",
        let_in("database", {"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "oauth2-proxy"}}}]}),
        "open_ways",
        "proxy-readonly must not reach database:5432",
        "development",
    ),
    Mutation(
        "the daemon may go anywhere",
        in_object("NetworkPolicy", "daemon-outwards", "spec.egress", [{}]),
        "open_ways",
        "daemon must not reach hub",
    ),
    Mutation(
        "runs are not let out to vLLM",
        without_policy("runs"),
        "open_ways",
        "run_worker cannot reach model-server:8000",
    ),
    Mutation(
        "a ConfigMap that pods read is missing",
        lambda cluster: cluster.objects.remove(cluster.get("ConfigMap", "oauth2-proxy")),
        "references",
        "there is no ConfigMap oauth2-proxy",
    ),
    Mutation(
        "a key of a ConfigMap is missing",
        in_object("ConfigMap", "vllm-serving", "data.MAX_MODEL_LEN", None),
        "expanded",
        "$(MAX_MODEL_LEN) stands for nothing",
    ),
    Mutation(
        "a key of a Secret is spelled otherwise",
        in_pod("vllm-server", "containers.0.env.0.valueFrom.secretKeyRef.key", "apikey"),
        "references",
        "has no key apikey",
    ),
    Mutation(
        "a Secret is missing",
        lambda cluster: cluster.objects.remove(cluster.get("Secret", "vllm-api-key")),
        "references",
        "there is no Secret vllm-api-key",
        "development",
    ),
    Mutation(
        "a claim is named otherwise",
        in_pod("vllm-server", "volumes.0.persistentVolumeClaim.claimName", "weights"),
        "references",
        "there is no claim weights",
    ),
    Mutation(
        "a setting is spelled otherwise",
        in_object(
            "ConfigMap",
            "mineru-pipeline-settings",
            "data.MINERU_PIPELINE__VLLM_SERVER__BASEURL",
            "http://vllm-server:8000",
        ),
        "settings_known",
        "names no setting",
    ),
    Mutation(
        "a setting has a value that it does not take",
        in_object("ConfigMap", "mineru-pipeline-settings", "data.MINERU_PIPELINE__METRICS__PORT", "metrics"),
        "settings_known",
        "metrics.port",
    ),
    Mutation(
        "the model server is looked for at a port that it does not have",
        in_object(
            "ConfigMap",
            "mineru-pipeline-settings",
            "data.MINERU_PIPELINE__VLLM_SERVER__BASE_URL",
            '["http://vllm-server:8080","http://vllm-server-2:8000"]',
        ),
        "addresses_lead",
        "vllm-server has no port 8080",
    ),
    Mutation(
        "a second model server is not in the settings",
        in_object(
            "ConfigMap",
            "mineru-pipeline-settings",
            "data.MINERU_PIPELINE__VLLM_SERVER__BASE_URL",
            "http://vllm-server:8000",
        ),
        "servers_one_by_one",
        "Deployment/vllm-server-2",
    ),
    Mutation(
        "a model server has two pods",
        set_at("spec.replicas", 2, lambda cluster: workload(cluster, "vllm-server")),
        "servers_one_by_one",
        "2 pods behind one address",
    ),
    Mutation(
        "the weights are not pinned",
        in_object("ConfigMap", "vllm-serving", "data.REVISION", "main"),
        "model_pinned",
        "'main' is not the hash",
    ),
    Mutation(
        "another model is served than the pipeline asks for",
        in_object(
            "ConfigMap",
            "mineru-pipeline-settings",
            "data.MINERU_PIPELINE__VLLM_SERVER__MODEL",
            "Qwen/Qwen2.5-VL-7B-Instruct",
        ),
        "model_pinned",
        "the pipeline asks for Qwen",
    ),
    Mutation(
        "vLLM does not know a flag",
        argument("vllm-server", "--shutdown-timeout", "--max-num-queued-reqs=64"),
        "flags_accepted",
        "knows no --max-num-queued-reqs",
    ),
    Mutation(
        "a flag is left to its default",
        argument("vllm-server", "--limit-mm-per-prompt", None),
        "flags_accepted",
        "--limit-mm-per-prompt is left",
    ),
    Mutation(
        "the server is killed before it has shut down",
        in_pod("vllm-server", "terminationGracePeriodSeconds", 30),
        "times_fit",
        "is killed after 30 s",
    ),
    Mutation(
        "runs give up before a server is back",
        in_object(
            "ConfigMap", "mineru-pipeline-settings", "data.MINERU_PIPELINE__HTTP_CLIENT__OUTAGE_BUDGET_SECONDS", "300"
        ),
        "times_fit",
        "runs wait 300 s",
    ),
    Mutation(
        "Dagster ends runs before they stop by themselves",
        in_text("dagster-instance", "dagster.yaml", r"max_runtime_seconds: \d+", "max_runtime_seconds: 3600"),
        "times_fit",
        "max_runtime_seconds",
    ),
    Mutation(
        "a new model server waits for the GPU of the old one",
        set_at("spec.strategy", {"type": "RollingUpdate"}, lambda cluster: workload(cluster, "vllm-server")),
        "on_a_gpu",
        "would wait for the GPU",
    ),
    Mutation(
        "a pod may run as root",
        in_pod("dagster-daemon", "securityContext.runAsNonRoot", None),
        "confined",
        "may run as root",
    ),
    Mutation(
        "a run may write to its image",
        in_text(
            "dagster-instance", "dagster.yaml", "read_only_root_filesystem: true", "read_only_root_filesystem: false"
        ),
        "confined",
        "Job/dagster-run",
    ),
    Mutation(
        "a run gets less memory",
        in_text("dagster-instance", "dagster.yaml", "memory: 4Gi", "memory: 2Gi"),
        "runs_are_ours",
        "2Gi",
    ),
    Mutation(
        "runs show their metrics at a port that is not open",
        in_text("dagster-instance", "dagster.yaml", "container_port: 9464", "container_port: 9090"),
        "runs_are_ours",
        "9090",
    ),
    Mutation(
        "a run has a token of the API server",
        in_text(
            "dagster-instance",
            "dagster.yaml",
            "automount_service_account_token: false",
            "automount_service_account_token: true",
        ),
        "tokens_where_needed",
        "has a token",
    ),
    Mutation(
        "the launcher may read Secrets",
        in_object("Role", "dagster-run-launcher", "rules.0.resources", ["jobs", "secrets"]),
        "rights_as_needed",
        "secrets",
    ),
    Mutation(
        "the launcher may not list pods",
        in_object("Role", "dagster-run-launcher", "rules.2.verbs", ["get", "delete"]),
        "rights_as_needed",
        "dagster-daemon",
    ),
    Mutation(
        "the webserver for all can change things",
        argument("dagster-webserver-readonly", "--read-only", None),
        "behind_a_proxy",
        "is not read-only",
    ),
    Mutation(
        "the proxy for few lets in everybody",
        argument("oauth2-proxy-admin", "--allowed-group", None),
        "behind_a_proxy",
        "lets in everybody",
    ),
    Mutation(
        "an Ingress leads past the proxy",
        in_object(
            "Ingress", "dagster-admin", "spec.rules.0.http.paths.0.backend.service.name", "dagster-webserver-admin"
        ),
        "behind_a_proxy",
        "leads past the proxy",
    ),
    Mutation(
        "dagster.yaml names a variable that nobody sets",
        in_object("ConfigMap", "dagster-environment", "data.DAGSTER_LOGS_ENDPOINT", None),
        "instance_as_meant",
        "has no variable DAGSTER_LOGS_ENDPOINT",
    ),
    Mutation(
        "the driver of the database is not installed",
        in_text("dagster-instance", "dagster.yaml", r"postgresql\+psycopg2", "postgresql"),
        "instance_as_meant",
        "No module named",
    ),
    Mutation(
        "a cancelled run keeps its slot for ever",
        in_text("dagster-instance", "dagster.yaml", "  free_slots_after_run_end_seconds: 300\n", ""),
        "instance_as_meant",
        "slots of ended runs",
    ),
    Mutation(
        "two daemons run during a roll-out",
        set_at("spec.strategy", None, lambda cluster: workload(cluster, "dagster-daemon")),
        "one_daemon",
        "two daemons",
    ),
    Mutation(
        "an image has no tag",
        in_pod("oauth2-proxy-admin", "containers.0.image", "quay.io/oauth2-proxy/oauth2-proxy:latest"),
        "images_pinned",
        "is not pinned",
    ),
    Mutation(
        "runs have an older image than the code location",
        in_pod("dagster-code-location", "containers.0.image", "registry.example.com/mineru-pipeline:0.0.9"),
        "images_pinned",
        "another image",
    ),
    Mutation(
        "a home folder cannot be written to",
        in_pod("dagster-daemon", "containers.0.volumeMounts.1.mountPath", "/opt/dagster/elsewhere"),
        "room_to_write",
        "/opt/dagster/home",
    ),
    Mutation(
        "a field is spelled otherwise",
        in_pod("vllm-server", "containers.0.readynessProbe", {}),
        "well_formed",
        "readynessProbe",
    ),
    Mutation(
        "a monitor has a field that the operator does not know",
        in_object("ServiceMonitor", "vllm-server", "spec.endpoints.0.intervall", "15s"),
        "well_formed",
        "intervall",
    ),
    Mutation(
        "an object lies in another namespace",
        in_object("Service", "vllm-server", "metadata.namespace", "default"),
        "named_once",
        "not in the namespace",
    ),
    Mutation(
        "a label is missing",
        in_object("Deployment", "dagster-daemon", "metadata.labels", {"app.kubernetes.io/name": "dagster"}),
        "labelled",
        "without",
    ),
    Mutation(
        "the namespace admits whatever comes",
        in_object("Namespace", "mineru-production", "metadata.labels", {}),
        "admission",
        "restricted",
    ),
    Mutation(
        "a secret is in the overlay of production",
        lambda cluster: cluster.objects.append(overlay("development").copy().get("Secret", "vllm-api-key")),
        "placeholders_stay_home",
        "a secret in the repository",
    ),
    Mutation(
        "a mount has no volume",
        in_pod("vllm-server", "containers.0.volumeMounts.1.name", "memory"),
        "mounted",
        "no volume memory",
    ),
    Mutation(
        "more children open PDFs than the pod has memory for",
        in_object("ConfigMap", "mineru-pipeline-settings", "data.MINERU_PIPELINE__WORKERS__COUNT", "4"),
        "workers_have_room",
        "may be needed",
    ),
)
