"""A fault in a manifest, and ways to make one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manifests.objects import Cluster, Object, matches
from manifests.rules import RULES, overlay

Change = Callable[[Cluster], None]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change to one overlay; ``says`` is part of what the rule ``caught_by`` finds then."""

    what: str
    change: Change
    caught_by: str
    says: str
    overlay: str = "production"


def broken(mutation: Mutation) -> Cluster:
    """The overlay with the fault in it."""
    cluster = overlay(mutation.overlay).copy()
    mutation.change(cluster)
    return cluster


def caught(mutation: Mutation) -> list[str]:
    """What the rule says of the fault."""
    return [told for told in RULES[mutation.caught_by](broken(mutation)) if mutation.says in told]


def workload(cluster: Cluster, name: str) -> Object:
    return next(each for each in cluster.of("Deployment", "StatefulSet", "Job") if each["metadata"]["name"] == name)


def spec_of(cluster: Cluster, name: str) -> Object:
    return workload(cluster, name)["spec"]["template"]["spec"]


def container_of(cluster: Cluster, name: str) -> Object:
    return spec_of(cluster, name)["containers"][0]


def set_at(path: str, value: Any, find: Callable[[Cluster], Object]) -> Change:
    """Set a dotted path below what ``find`` finds."""

    def change(cluster: Cluster) -> None:
        *way, last = path.split(".")
        place = find(cluster)
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last)] = value
        elif value is None:
            place.pop(last)
        else:
            place[last] = value

    return change


def in_pod(name: str, path: str, value: Any) -> Change:
    return set_at(path, value, lambda cluster: spec_of(cluster, name))


def in_object(kind: str, name: str, path: str, value: Any) -> Change:
    return set_at(path, value, lambda cluster: cluster.get(kind, name))


def setting(name: str, value: str) -> Change:
    """Give the pipeline a variable, named without its prefix."""
    return in_object("ConfigMap", "mineru-pipeline-settings", f"data.MINERU_PIPELINE__{name}", value)


def in_text(name: str, key: str, old: str, new: str) -> Change:
    """Change the text of a file in a ConfigMap."""

    def change(cluster: Cluster) -> None:
        data = cluster.get("ConfigMap", name)["data"]
        assert re.search(old, data[key]), f"{old} is not in {key}"
        data[key] = re.sub(old, new, data[key])

    return change


def argument(name: str, old: str, new: str | None) -> Change:
    def change(cluster: Cluster) -> None:
        words = container_of(cluster, name)["args"]
        place = next(number for number, word in enumerate(words) if word.startswith(old))
        words[place : place + 1] = [] if new is None else [new]

    return change


def without_policy(name: str) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.objects.remove(cluster.get("NetworkPolicy", name))

    return change


def let_in(component: str, rule: Object) -> Change:
    """Let somebody in to the pods of a component."""

    def change(cluster: Cluster) -> None:
        labels = {"app.kubernetes.io/component": component}
        policy = next(
            each
            for each in cluster.of("NetworkPolicy")
            if each["spec"]["podSelector"]
            and matches(each["spec"]["podSelector"], labels)
            and "ingress" in each["spec"]
        )
        policy["spec"]["ingress"].append(rule)

    return change
