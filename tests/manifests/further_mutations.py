"""More faults of the kind of ``mutations.py``: what a pod is given, how it runs, and who reaches it."""

from __future__ import annotations

from manifests.changes import Change, Mutation, argument, container_of, in_object, in_pod, in_text
from manifests.objects import Cluster


def without(name: str, part: str, word: str) -> Change:
    """Take out of a list of a container whatever has ``word`` in it."""

    def change(cluster: Cluster) -> None:
        container = container_of(cluster, name)
        kept = [each for each in container[part] if word not in str(each)]
        assert kept != container[part]
        container[part] = kept

    return change


def variable(name: str, key: str, value: str) -> Change:
    """Give a variable of a container another value, or one that it did not have."""

    def change(cluster: Cluster) -> None:
        container = container_of(cluster, name)
        container["env"] = [each for each in container["env"] if each["name"] != key] + [{"name": key, "value": value}]

    return change


def setting(name: str, key: str, value: str) -> Change:
    return in_object("ConfigMap", name, f"data.{key}", value)


FURTHER_MUTATIONS = (
    Mutation(
        "rights on Jobs are asked for in a group that has none",
        in_object("Role", "dagster-run-launcher", "rules.0.apiGroups", [""]),
        "rights_as_needed",
        "jobs are not in",
    ),
    Mutation(
        "rights hold for one name",
        in_object("Role", "dagster-run-launcher", "rules.0.resourceNames", ["run"]),
        "rights_as_needed",
        "of these names only",
    ),
    Mutation(
        "the launcher may not read why a run did not start",
        in_object("Role", "dagster-run-launcher", "rules.4.verbs", ["get"]),
        "rights_as_needed",
        "dagster-daemon",
    ),
    Mutation(
        "the exporter begins a database of its own",
        without("mineru-pipeline-exporter", "volumeMounts", "'dagster.yaml'"),
        "dagster_files",
        "there is no /opt/dagster/home/dagster.yaml",
    ),
    Mutation(
        "the daemon looks for its workspace elsewhere",
        argument("dagster-daemon", "--workspace", "--workspace=/opt/dagster/workspace.yaml"),
        "dagster_files",
        "there is no /opt/dagster/workspace.yaml",
    ),
    Mutation(
        "runs do not get the keys of the store",
        in_text("dagster-instance", "dagster.yaml", ", mineru-pipeline-store", ""),
        "secrets_where_needed",
        "is not given mineru-pipeline-store",
    ),
    Mutation(
        "the exporter gets the key of the model server",
        in_pod("mineru-pipeline-exporter", "containers.0.envFrom.3.secretRef.name", "vllm-api-key"),
        "secrets_where_needed",
        "has no use for vllm-api-key",
    ),
    Mutation(
        "the proxy for few has the cookie secret of the one for all",
        in_pod("oauth2-proxy-admin", "containers.0.envFrom.1.secretRef.name", "oauth2-proxy-readonly"),
        "secrets_where_needed",
        "is not given oauth2-proxy-admin",
    ),
    Mutation(
        "the model server asks nobody for a key",
        in_pod("vllm-server", "containers.0.env.0.name", "VLLM_APIKEY"),
        "variables_read",
        "has no VLLM_API_KEY",
    ),
    Mutation(
        "the proxy lets in whoever asks for any path",
        setting("oauth2-proxy", "OAUTH2_PROXY_SKIP_AUTH_ROUTES", ".*"),
        "variables_read",
        "nobody reads OAUTH2_PROXY_SKIP_AUTH_ROUTES",
    ),
    Mutation(
        "a webserver names a ConfigMap without its hash",
        variable("dagster-webserver-admin", "SETTINGS_CONFIG_MAP", "mineru-pipeline-settings"),
        "variables_read",
        "which there is not",
    ),
    Mutation(
        "the login's cookies travel in the clear",
        setting("oauth2-proxy", "OAUTH2_PROXY_COOKIE_SECURE", "false"),
        "guarded_outside",
        "in the clear",
    ),
    Mutation(
        "the database takes passwords in the clear",
        setting("dagster-environment", "PGSSLMODE", "disable"),
        "guarded_outside",
        "PGSSLMODE",
    ),
    Mutation(
        "the store moves to a port that nobody is let out to",
        setting("mineru-pipeline-settings", "MINERU_PIPELINE__MINIO__ENDPOINT", "https://minio.example.com:9443"),
        "ways_out",
        "run_worker: is not let out to port 9443",
    ),
    Mutation(
        "answers of DNS that are long do not come through",
        in_object("NetworkPolicy", "names", "spec.egress.0.ports", [{"protocol": "UDP", "port": 53}]),
        "ways_out",
        "names: no DNS by TCP",
    ),
    Mutation(
        "the broker sends its clients to themselves",
        variable("kafka", "KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092"),
        "development_set_up",
        "sends its clients to",
        "development",
    ),
    Mutation(
        "a topic that nobody makes",
        setting("mineru-pipeline-settings", "MINERU_PIPELINE__KAFKA__RESULTS_TOPIC", "results"),
        "development_set_up",
        "nobody makes the topic results",
        "development",
    ),
    Mutation(
        "a database in the root of its volume",
        variable("postgresql", "PGDATA", "/var/lib/postgresql/data"),
        "development_set_up",
        "in the root of the volume",
        "development",
    ),
    Mutation(
        "a probe asks for a path that there is not",
        in_pod("vllm-server-2", "containers.0.readinessProbe.httpGet.path", "/healthz"),
        "asked_rightly",
        "asks for /healthz",
    ),
    Mutation(
        "a probe ends what is busy for three seconds",
        in_pod("dagster-webserver-admin", "containers.0.livenessProbe.periodSeconds", 1),
        "asked_rightly",
        "is ended after 6 s",
    ),
    Mutation(
        "the code location listens to itself alone",
        argument("dagster-code-location", "--host", "--host=127.0.0.1"),
        "asked_rightly",
        "where only it itself gets to",
    ),
    Mutation(
        "the exporter's port is called otherwise than its monitor has it",
        in_pod("mineru-pipeline-exporter", "containers.0.ports.0.name", "http"),
        "watched_rightly",
        "exporter has no port metrics",
    ),
    Mutation(
        "a monitor calls its job otherwise than the rules do",
        in_object("ServiceMonitor", "vllm-server", "spec.jobLabel", "app.kubernetes.io/component"),
        "watched_rightly",
        'rules ask for job="vllm"',
    ),
    Mutation(
        "a monitor waits longer than its interval",
        in_object("ServiceMonitor", "vllm-server", "spec.endpoints.0.scrapeTimeout", "30s"),
        "watched_rightly",
        "which Prometheus refuses",
    ),
    Mutation(
        "a pod does not own its volumes",
        in_pod("vllm-weights", "securityContext.fsGroup", 0),
        "room_of_its_own",
        "group 0 owns its volumes",
    ),
    Mutation(
        "what waits for the weights may change them",
        in_pod("vllm-server", "initContainers.0.volumeMounts.0.readOnly", None),
        "room_of_its_own",
        "wait-for-weights: may change the weights",
    ),
    Mutation(
        "a pod takes a token by a volume",
        in_pod("oauth2-proxy-admin", "volumes", [{"name": "t", "projected": {"sources": []}}]),
        "room_of_its_own",
        "is of the kind projected",
    ),
    Mutation(
        "a webserver is reached past its proxy",
        in_object("Service", "dagster-webserver-admin", "spec.type", "NodePort"),
        "within_the_cluster",
        "is reached from outside",
    ),
    Mutation(
        "an Ingress has the certificate of another host",
        in_object("Ingress", "dagster-admin", "spec.tls.0.hosts", ["dagster.example.com"]),
        "within_the_cluster",
        "no certificate for dagster-admin.example.com",
    ),
    Mutation(
        "the address for all leads to the webserver for few",
        in_object(
            "Ingress", "dagster-readonly", "spec.rules.0.http.paths.0.backend.service.name", "oauth2-proxy-admin"
        ),
        "within_the_cluster",
        "leads to oauth2-proxy-admin",
    ),
    Mutation(
        "no node with a model server can be drained",
        in_object("PodDisruptionBudget", "vllm-server", "spec.maxUnavailable", 0),
        "within_the_cluster",
        "no node can be drained",
    ),
    Mutation(
        "a Job begins again for ever",
        in_pod("dagster-migration", "restartPolicy", "Always"),
        "jobs_come_to_an_end",
        "restartPolicy is Always",
    ),
    Mutation(
        "a probe runs a command that there is not",
        in_pod("dagster-daemon", "containers.0.livenessProbe.exec.command", ["dagster-daemon", "liveness"]),
        "asked_rightly",
        "runs ['dagster-daemon', 'liveness']",
    ),
    Mutation(
        "no controller is named for an Ingress",
        in_object("Ingress", "dagster-admin", "spec.ingressClassName", None),
        "within_the_cluster",
        "whichever controller",
    ),
    Mutation(
        "there are two databases",
        in_object("StatefulSet", "postgresql", "spec.replicas", 2),
        "one_of_each",
        "StatefulSet/postgresql: there are 2",
        "development",
    ),
    Mutation(
        "the code location has another name",
        argument("dagster-code-location", "--location-name", "--location-name=other"),
        "one_of_each",
        "has another name",
    ),
)
