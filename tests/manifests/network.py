"""Who may talk to whom: NetworkPolicies evaluated as the API describes them, for every pair of peers and every port."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.objects import RUN, Cluster, matches
from manifests.security import all_pods

NAMESPACE = "kubernetes.io/metadata.name"
#: A port that nothing listens on: whoever may reach it may reach any.
ANY_OTHER = 31337
DNS = 53


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or an address outside of the cluster; ``listens`` are the ports at which others may want it."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ip: str = ""
    listens: tuple[int, ...] = ()


#: A way from one peer to another's port.
Way = tuple[str, str, int]


def inside(cluster: Cluster) -> list[Peer]:
    """The pods of the overlay and of a run, by component; two servers of one kind are one peer."""
    found: dict[str, Peer] = {}
    for pod in all_pods(cluster):
        ports = tuple(sorted(pod.ports().values()))
        found.setdefault(pod.component, Peer(pod.component, cluster.namespace, pod.labels, listens=ports))
    return list(found.values())


def strangers(cluster: Cluster) -> list[Peer]:
    """Pods that others bring: those that have a part in the table, and those that must have none."""
    run = {"app.kubernetes.io/component": RUN}
    return [
        Peer("dns", "kube-system", {"k8s-app": "kube-dns"}, listens=(53,)),
        Peer("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}, listens=(9090,)),
        Peer("ingress", "ingress-nginx", {"app.kubernetes.io/component": "controller"}, listens=(443,)),
        Peer("grafana", "monitoring", {"app.kubernetes.io/name": "grafana"}, listens=(3000,)),
        Peer("stranger here", cluster.namespace, {"app": "stranger"}, listens=(8080,)),
        Peer("stranger elsewhere", "default", {"app": "stranger"}, listens=(8080,)),
        # Labels are free: what counts is whose namespace they are in.
        Peer("run elsewhere", "default", run, listens=(9464,)),
        Peer("prometheus elsewhere", "default", {"app.kubernetes.io/name": "prometheus"}, listens=(9090,)),
    ]


def sides(cluster: Cluster, source: Peer, target: Peer, port: int) -> list[bool]:
    """Whether a connection is let out at its source and in at its target, of those that are in the namespace."""
    protocol = "UDP" if port == DNS else "TCP"
    found = []
    if source.namespace == cluster.namespace:
        found.append(_passes(cluster, "Egress", source, target, port, protocol))
    if target.namespace == cluster.namespace:
        found.append(_passes(cluster, "Ingress", target, source, port, protocol))
    return found


def _passes(cluster: Cluster, direction: str, own: Peer, other: Peer, port: int, protocol: str) -> bool:
    # Policies speak of the pods of their own namespace only; one that no policy selects is open.
    mine = [
        each["spec"]
        for each in cluster.of("NetworkPolicy")
        if own.namespace == each["metadata"]["namespace"]
        and direction in each["spec"]["policyTypes"]
        and matches(each["spec"]["podSelector"], own.labels)
    ]
    field_name, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    rules = [rule for spec in mine for rule in spec.get(field_name, [])]
    return not mine or any(
        _of_port(rule.get("ports"), port, protocol) and _of_peer(rule.get(peers), cluster, other) for rule in rules
    )


def _of_port(ports: list[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for each in ports:
        assert not isinstance(each.get("port"), str), "name ports of policies by number"
        first = each.get("port", port)
        if each.get("protocol", "TCP") == protocol and first <= port <= each.get("endPort", first):
            return True
    return False


def _of_peer(peers: list[Mapping[str, Any]] | None, cluster: Cluster, other: Peer) -> bool:
    if not peers:
        return True
    return any(_is(each, cluster, other) for each in peers)


def _is(peer: Mapping[str, Any], cluster: Cluster, other: Peer) -> bool:
    if "ipBlock" in peer:
        if not other.ip:
            # The addresses of pods are nobody's to name; a block that takes in everything takes in them.
            return ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen == 0 and not peer["ipBlock"].get("except")
        address = ipaddress.ip_address(other.ip)
        block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return address in block and not any(
            address in ipaddress.ip_network(out) for out in peer["ipBlock"].get("except", [])
        )
    if other.ip:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], {NAMESPACE: other.namespace}):
            return False
    elif other.namespace != cluster.namespace:
        return False
    return matches(peer.get("podSelector"), other.labels)


def ways(cluster: Cluster, outside: Iterable[Peer]) -> Iterator[tuple[Way, list[bool]]]:
    """Every way that touches the namespace, with its sides; ``outside`` are the addresses that the overlay names."""
    everybody = [*inside(cluster), *strangers(cluster), *outside]
    for source in everybody:
        for target in everybody:
            if source is not target and cluster.namespace in {source.namespace, target.namespace}:
                for port in (*target.listens, ANY_OTHER):
                    yield (source.name, target.name, port), sides(cluster, source, target, port)


def open_ways(cluster: Cluster) -> Iterator[str]:
    """The open ways are exactly those of the table, and no side alone opens more: a second fault must not be enough."""
    outside, table = TABLES[cluster.name]
    met = set()
    for way, opened in ways(cluster, outside):
        source, target, port = way
        met.add(way)
        if way in table and not all(opened):
            yield f"{source} cannot reach {target}:{port}"
        if way not in table and any(opened):
            yield f"{source} must not reach {target}:{port}"
    yield from (f"there is no way {source} to {target}:{port}" for source, target, port in sorted(table - met))


def _fan(sources: str, target: str, port: int) -> set[Way]:
    return {(source, target, port) for source in sources.split()}


_DAGSTER = "run_worker exporter code-location daemon webserver-readonly webserver-admin"
#: In every environment.
COMMON: set[Way] = {
    *_fan("run_worker prometheus", "model-server", 8000),
    ("prometheus", "run_worker", 9464),
    ("prometheus", "exporter", 9465),
    *_fan("daemon webserver-readonly webserver-admin", "code-location", 4000),
    ("proxy-readonly", "webserver-readonly", 3000),
    ("proxy-admin", "webserver-admin", 3000),
    *_fan("ingress", "proxy-readonly", 4180),
    *_fan("ingress", "proxy-admin", 4180),
    *_fan(f"{_DAGSTER} migration proxy-readonly proxy-admin model-server", "dns", 53),
    ("stranger here", "dns", 53),
}
DEVELOPMENT: set[Way] = {
    *COMMON,
    *_fan(f"{_DAGSTER} migration", "database", 5432),
    *_fan(f"{_DAGSTER} object-store-setup", "object-store", 9000),
    *_fan("code-location broker-setup", "broker", 9092),
    *_fan("daemon webserver-admin", "api-server", 6443),
    *_fan("database object-store object-store-setup broker broker-setup", "dns", 53),
}
MANAGED: set[Way] = {
    *COMMON,
    *_fan(f"{_DAGSTER} migration", "managed-database", 5432),
    *_fan(_DAGSTER, "managed-store", 9000),
    ("code-location", "managed-broker", 9093),
    ("code-location", "webhook", 443),
    *_fan("daemon webserver-admin", "api-server", 6443),
    *_fan("daemon webserver-admin", "api-server", 443),
    *_fan("proxy-readonly proxy-admin", "identity-provider", 443),
    ("weights", "hub", 443),
    # By its address the hub is anybody outside: a webhook in the same range would be told apart by nobody.
    *_fan("weights", "webhook", 443),
    *_fan("weights", "identity-provider", 443),
    *_fan("weights", "api-server", 443),
    ("weights", "dns", 53),
}


def _managed(network: str) -> list[Peer]:
    return [
        Peer("api-server", ip=f"{network}.2", listens=(443, 6443)),
        Peer("managed-database", ip=f"{network}.10", listens=(5432,)),
        Peer("managed-store", ip=f"{network}.20", listens=(9000,)),
        Peer("managed-broker", ip=f"{network}.33", listens=(9093,)),
        Peer("identity-provider", ip=f"{network}.40", listens=(443,)),
        Peer("webhook", ip=f"{network}.50", listens=(443,)),
        *_NOBODY,
    ]


#: The internet, where the weights come from; what hands out the node's credentials in clouds; the node's own network.
_NOBODY = [
    Peer("hub", ip="203.0.113.7", listens=(443, 80)),
    Peer("metadata", ip="169.254.169.254", listens=(80, 443)),
    Peer("node", ip="10.0.0.4", listens=(10250, 22)),
]
#: By overlay: the addresses outside that it may name, and the ways that must be open.
TABLES: dict[str, tuple[list[Peer], set[Way]]] = {
    "development": ([Peer("api-server", ip="172.18.0.2", listens=(443, 6443)), *_NOBODY], DEVELOPMENT),
    "staging": (_managed("192.0.2"), MANAGED),
    "production": (_managed("198.51.100"), MANAGED),
}
