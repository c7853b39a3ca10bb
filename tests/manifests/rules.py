"""All rules by name: each takes a cluster and tells what is wrong with it, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from manifests import given, network, pipeline, references, running, schemas, security, serving
from manifests.objects import K8S, OVERLAYS, Cluster, render

Rule = Callable[[Cluster], Iterator[str]]


@cache
def overlay(name: str) -> Cluster:
    """One overlay, rendered once; change only copies of it."""
    return Cluster(name, render(K8S / "overlays" / name))


def secrets() -> dict[str, set[str]]:
    """The Secrets that every environment must have: development brings them."""
    return pipeline.secrets_of(overlay("development"))


def _references(cluster: Cluster) -> Iterator[str]:
    # Development is held to what it brings itself, the others to the same names.
    return references.found(cluster, pipeline.secrets_of(cluster) if cluster.name == "development" else secrets())


RULES: dict[str, Rule] = {
    "well_formed": schemas.well_formed,
    "named_once": schemas.named_once,
    "confined": security.confined,
    "bounded": security.bounded,
    "tokens_where_needed": security.tokens_where_needed,
    "rights_as_needed": security.rights_as_needed,
    "labelled": security.labelled,
    "admission": security.admission,
    "behind_a_proxy": security.behind_a_proxy,
    "runs_are_ours": security.runs_are_ours,
    "references": _references,
    "mounted": references.mounted,
    "expanded": references.expanded,
    "selected": references.selected,
    "ports_fit": references.ports_fit,
    "watched": references.watched,
    "settings_known": pipeline.settings_known,
    "addresses_lead": pipeline.addresses_lead,
    "servers_one_by_one": pipeline.servers_one_by_one,
    "instance_as_meant": pipeline.instance_as_meant,
    "one_daemon": pipeline.one_daemon,
    "images_pinned": pipeline.images_pinned,
    "room_to_write": pipeline.room_to_write,
    "placeholders_stay_home": pipeline.placeholders_stay_home,
    "flags_accepted": serving.flags_accepted,
    "model_pinned": serving.model_pinned,
    "on_a_gpu": serving.on_a_gpu,
    "times_fit": serving.times_fit,
    "workers_have_room": serving.workers_have_room,
    "open_ways": network.open_ways,
    "dagster_files": given.dagster_files,
    "secrets_where_needed": given.secrets_where_needed,
    "variables_read": given.variables_read,
    "guarded_outside": given.guarded_outside,
    "ways_out": given.ways_out,
    "development_set_up": given.development_set_up,
    "asked_rightly": running.asked_rightly,
    "watched_rightly": running.watched_rightly,
    "room_of_its_own": running.room_of_its_own,
    "within_the_cluster": running.within_the_cluster,
    "jobs_come_to_an_end": running.jobs_come_to_an_end,
    "one_of_each": running.one_of_each,
}


def findings(cluster: Cluster) -> dict[str, list[str]]:
    """What each rule finds, for the rules that find something."""
    told = {name: list(rule(cluster)) for name, rule in RULES.items()}
    return {name: what for name, what in told.items() if what}


def everywhere() -> dict[str, dict[str, list[str]]]:
    """The findings of every overlay."""
    return {name: findings(overlay(name)) for name in OVERLAYS}
