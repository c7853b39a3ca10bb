"""Rules on shape: every object against the schema of its kind, with nothing in it that the schema does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jsonschema
import kubernetes_validate
from manifests.objects import Cluster, Object, name_of

#: The oldest Kubernetes whose API the manifests keep to: preStop.sleep is on by default from there on.
KUBERNETES = "1.30"
#: The kinds of the Prometheus operator, as far as we use them: written down from its published API.
OPERATOR = Path(__file__).parent / "prometheus-operator.schema.json"


@cache
def operator_schema() -> dict[str, Object]:
    return json.loads(OPERATOR.read_text(encoding="utf-8"))


def problems(each: Object) -> Iterator[str]:
    """What is wrong with the shape of one object."""
    try:
        if each["apiVersion"].startswith("monitoring.coreos.com/"):
            jsonschema.validate(each, operator_schema(), cls=jsonschema.Draft202012Validator)
        else:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        yield f"{name_of(each)}: {'.'.join(str(part) for part in error.path)}: {error.message}"
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        yield f"{name_of(each)}: no such kind: {error}"


def well_formed(cluster: Cluster) -> Iterator[str]:
    """Every object has the shape that its kind has in the API, strictly."""
    for each in cluster.objects:
        yield from problems(each)


def named_once(cluster: Cluster) -> Iterator[str]:
    """No two objects have the same kind and name, and all lie in the namespace of the overlay."""
    names = [name_of(each) for each in cluster.objects]
    yield from (f"{name}: there are several" for name in sorted({name for name in names if names.count(name) > 1}))
    for each in cluster.objects:
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") != cluster.namespace:
            yield f"{name_of(each)}: not in the namespace {cluster.namespace}"
