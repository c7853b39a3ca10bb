"""``make deploy``: brings an overlay into its cluster in the right order, tries it, and says how to go back.

It needs Python with PyYAML, ``kubectl`` and the overlay, and nothing else of this project. Every change is made by
``kubectl`` with an explicit context, so that another terminal cannot send it to another cluster half-way.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

OVERLAYS = Path(__file__).resolve().parent / "k8s" / "overlays"
MIGRATION, CODE_LOCATION, SMOKE = "dagster-migration", "dagster-code-location", "mineru-pipeline-smoke"
LEAST_KUBECTL = (1, 27)
#: Names and addresses that belong to nobody, and stand where those of an organisation must.
PLACEHOLDER = re.compile(r"[\w.-]*example\.com|192\.0\.2\.\d+|198\.51\.100\.\d+")
#: A server may fetch its weights, load and compile before it is ready.
ROLLOUT_SECONDS = 3600
JOB_SECONDS = 900
POLL_SECONDS = 3.0
#: What shells say of a program that was ended with Ctrl-C.
INTERRUPTED = 130

#: What an overlay brings, and the kinds that do something for as long as they are there.
OURS = "app.kubernetes.io/part-of=mineru-pipeline,app.kubernetes.io/managed-by=kustomize"
LASTING = ("deployments", "statefulsets", "services", "ingresses", "networkpolicies", "roles", "rolebindings")

Object = dict[str, Any]


class DeployError(Exception):
    """Something stands in the way; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """``kubectl`` on one context, and once it is known, in one namespace."""

    program: str
    context: str
    namespace: str = ""

    def command(self, *words: str) -> list[str]:
        """Return a command line that anybody can repeat."""
        if words[0] in {"config", "kustomize", "version"}:
            return [self.program, *words]
        where = ["--context", self.context] + (["--namespace", self.namespace] if self.namespace else [])
        return [self.program, *where, *words]

    def text(self, *words: str) -> str:
        """Return the command line as it is typed."""
        return " ".join(self.command(*words))

    def run(
        self, *words: str, stdin: str | None = None, codes: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[str]:
        """Run it; raises :class:`DeployError` with what it said if it ends otherwise than with ``codes``."""
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise DeployError(f"'{self.text(*words)}' failed: {(done.stderr or done.stdout).strip()}")
        return done

    def get(self, *words: str) -> Object | None:
        """Return an object, or None if it is not there."""
        done = self.run("get", *words, "--ignore-not-found", "--output=json")
        found: Object | None = json.loads(done.stdout) if done.stdout.strip() else None
        return found


@dataclass(slots=True)
class Deployment:
    """One deployment of one environment."""

    environment: str
    kubectl: Kubectl
    say: Callable[[str], None]
    ask: Callable[[str], bool]
    sleep: Callable[[float], None] = time.sleep
    overlays: Path = OVERLAYS
    objects: list[Object] = field(default_factory=list)
    #: Revision of each Deployment that ran before.
    before: dict[str, int] = field(default_factory=dict)
    changed: bool = False

    def run(self, *, dry_run: bool) -> int:
        """Deploy, or with ``dry_run`` only look; returns the exit code."""
        self._check()
        self._render(dry_run=dry_run)
        self._look(dry_run=dry_run)
        if dry_run:
            self.say("Nothing was changed: this was a dry run.")
            return 0
        if not self.ask(f"Apply this to {self.environment} (context {self.kubectl.context})?"):
            self.say("Nothing was changed.")
            return 1
        try:
            self._apply()
            self._try_out()
        except DeployError as error:
            self.say(f"FAILED: {error}")
            self.say(self._way_back())
            return 1
        except KeyboardInterrupt:
            self.say(f"INTERRUPTED. {self._half_way()}")
            self.say(self._way_back())
            return INTERRUPTED
        self.say(f"{self.environment} is deployed, and a page went through it.")
        return 0

    # ---- before anything is changed

    def _check(self) -> None:
        version = json.loads(self.kubectl.run("version", "--client", "--output=json").stdout)["clientVersion"]
        found = tuple(int(re.sub(r"\D", "", version[part])) for part in ("major", "minor"))
        if found < LEAST_KUBECTL:
            raise DeployError(
                f"kubectl is {version['gitVersion']}; this needs {'.'.join(map(str, LEAST_KUBECTL))} or newer"
            )
        # It ends with 1 where none is set.
        current = self.kubectl.run("config", "current-context", codes=(0, 1)).stdout.strip()
        if current != self.kubectl.context:
            wanted, here = self.kubectl.context, f"make deploy ENV={self.environment} CONTEXT={current}"
            raise DeployError(
                f"kubectl's current context is {current or 'not set'!r}, and {self.environment} is deployed to "
                f"{wanted!r}. "
                f"Change it with '{self.kubectl.program} config use-context {wanted}'"
                + (f", or, if that cluster has another name here, say so: {here}" if current else "")
            )
        self.say(f"kubectl {version['gitVersion']}, context {current}")

    def _render(self, *, dry_run: bool) -> None:
        overlay = self.overlays / self.environment
        if not (overlay / "kustomization.yaml").is_file():
            known = sorted(path.parent.name for path in self.overlays.glob("*/kustomization.yaml"))
            raise DeployError(f"there is no overlay {self.environment!r}; there are {', '.join(known)}")
        text = self.kubectl.run("kustomize", str(overlay)).stdout
        self.objects = [each for each in yaml.safe_load_all(text) if each]
        (name,) = {each["metadata"]["name"] for each in self.objects if each["kind"] == "Namespace"}
        self.kubectl = Kubectl(self.kubectl.program, self.kubectl.context, name)
        self.say(f"{len(self.objects)} objects for namespace {name}")
        if left := sorted(set(PLACEHOLDER.findall(text))):
            words = f"the overlay still names {', '.join(left)}: fill in what is yours, see deploy/README.md"
            if not dry_run:
                raise DeployError(words)
            self.say(f"Beware: {words}.")

    def _look(self, *, dry_run: bool) -> None:
        new = self.kubectl.get("namespace", self.kubectl.namespace) is None
        missing = [] if new and dry_run else self._missing_secrets(new=new)
        if missing:
            names = ", ".join(missing)
            words = f"Secrets are missing in {self.kubectl.namespace}: {names}; their keys are in deploy/README.md"
            if not dry_run:
                raise DeployError(words)
            self.say(f"Beware: {words}.")
        if new:
            # A diff on the server fails for want of the namespace.
            self.say(f"Namespace {self.kubectl.namespace} does not exist yet; all {len(self.objects)} objects are new:")
            self.say("\n".join(f"+ {each['kind']} {each['metadata']['name']}" for each in self.objects))
            return
        # A Job cannot be changed, so the server refuses to say how one that is still there would differ: a second
        # deployment within the hour that Jobs are kept would end here.
        jobs = [each for each in self.objects if each["kind"] == "Job"]
        rest = [each for each in self.objects if each["kind"] != "Job"]
        found = self.kubectl.run("diff", "--filename=-", stdin=_yaml(rest), codes=(0, 1))
        self.say(found.stdout.rstrip() or "No object differs.")
        self._say_left_over()
        if jobs:
            self.say(f"Made anew: {', '.join('Job ' + each['metadata']['name'] for each in jobs)}.")
        listed = self.kubectl.get("deployments") or {"items": []}
        self.before = {
            each["metadata"]["name"]: int(each["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
            for each in listed["items"]
            if "deployment.kubernetes.io/revision" in each["metadata"].get("annotations", {})
        }

    def _say_left_over(self) -> None:
        """Name what an earlier overlay had and this one has not: it stays, and a policy goes on letting through."""
        here = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in self.objects}
        listed = self.kubectl.run("get", ",".join(LASTING), f"--selector={OURS}", "--output=name").stdout.split()
        left = [name for name in listed if re.sub(r"\.[^/]*", "", name, count=1) not in here]
        if left:
            self.say(f"Beware: not in the overlay any more, and not removed:\n  {self.kubectl.text('delete', *left)}")

    def _missing_secrets(self, *, new: bool) -> list[str]:
        brought = {each["metadata"]["name"] for each in self.objects if each["kind"] == "Secret"}
        needed = sorted(set(_secrets(self.objects)) - brought)
        if new and needed:
            make = f"{self.kubectl.program} --context {self.kubectl.context} create namespace {self.kubectl.namespace}"
            raise DeployError(
                f"namespace {self.kubectl.namespace} does not exist, so neither do the Secrets {', '.join(needed)}. "
                f"Make it with '{make}', then them; their keys are in deploy/README.md"
            )
        return [name for name in needed if self.kubectl.get("secret", name) is None]

    # ---- changes

    def _apply(self) -> None:
        jobs = [each["metadata"]["name"] for each in self.objects if each["kind"] == "Job"]
        servers = [each for each in self.objects if each["kind"] == "Deployment"]
        others = [each for each in self.objects if each["kind"] != "Deployment"]
        self.changed = True
        # The namespace first, or nothing can be deleted in it; a Job cannot be changed, so it is made anew.
        self._put([each for each in self.objects if each["kind"] == "Namespace"])
        if jobs:
            self.kubectl.run("delete", "job", *jobs, "--ignore-not-found", "--wait")
        self._put(others)
        for each in others:
            if each["kind"] == "StatefulSet":
                self._wait_for("statefulset", each["metadata"]["name"])
        # The database first: the new Dagster does not start on an old schema.
        if MIGRATION in jobs:
            self._finish(MIGRATION)
        self._put(servers)
        for each in servers:
            self._wait_for("deployment", each["metadata"]["name"])

    def _put(self, objects: list[Object]) -> None:
        if objects:
            self.say(self.kubectl.run("apply", "--filename=-", stdin=_yaml(objects)).stdout.rstrip())

    def _wait_for(self, kind: str, name: str) -> None:
        try:
            self.kubectl.run("rollout", "status", f"{kind}/{name}", f"--timeout={ROLLOUT_SECONDS}s")
        except DeployError as error:
            look = self.kubectl.text("describe", f"{kind}/{name}")
            logs = self.kubectl.text("logs", f"{kind}/{name}", "--all-containers", "--tail=50")
            raise DeployError(f"{kind} {name} does not come up ({error}). Look at\n  {look}\n  {logs}") from error
        self.say(f"{kind} {name} is up")

    def _finish(self, name: str) -> str:
        """Wait until a Job has ended; returns its log."""
        waited = 0.0
        while waited < JOB_SECONDS:
            job = self.kubectl.get("job", name) or {}
            ended = {each["type"] for each in job.get("status", {}).get("conditions", ()) if each["status"] == "True"}
            if "Complete" in ended:
                self.say(f"job {name} has succeeded")
                return self.kubectl.run("logs", f"job/{name}", "--tail=20").stdout.rstrip()
            if "Failed" in ended:
                break
            self.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        said = self.kubectl.run("logs", f"job/{name}", "--tail=20", codes=(0, 1))
        what = "has failed" if waited < JOB_SECONDS else f"has not ended within {JOB_SECONDS} s"
        raise DeployError(
            f"job {name} {what}. Its log ends with\n{(said.stdout or said.stderr).rstrip()}\nLook at\n"
            f"  {self.kubectl.text('describe', f'job/{name}')}\n  {self.kubectl.text('logs', f'job/{name}')}"
        )

    def _try_out(self) -> None:
        self.kubectl.run("delete", "job", SMOKE, "--ignore-not-found", "--wait")
        self._put([smoke_job(self.objects)])
        self.say(self._finish(SMOKE))
        # The code location reaches everything but the model server, which the page has just been through.
        doctor = ("exec", f"deployment/{CODE_LOCATION}", "--", "mineru-pipeline", "doctor", "--skip", "model server")
        found = self.kubectl.run(*doctor, codes=(0, 1))
        self.say(found.stdout.rstrip())
        if found.returncode:
            raise DeployError(
                f"the doctor finds something unwell; again with\n  {self.kubectl.text(*doctor[:-1])} 'model server'"
            )

    def _half_way(self) -> str:
        """What somebody should know who stopped it in the middle."""
        if not self.changed:
            return "Nothing had begun."
        look = self.kubectl.text("get", "deployments,statefulsets,jobs")
        return f"What was applied stays, and the cluster goes on with it. See how far it came:\n  {look}"

    def _way_back(self) -> str:
        if not self.changed:
            return "Nothing was changed."
        undo = [
            self.kubectl.text("rollout", "undo", f"deployment/{each['metadata']['name']}", f"--to-revision={revision}")
            for each in self.objects
            if each["kind"] == "Deployment" and (revision := self.before.get(each["metadata"]["name"]))
        ]
        if not undo:
            away = self.kubectl.text("delete", "namespace", self.kubectl.namespace)
            return f"Nothing ran here before. To take it away, with all data in it:\n  {away}"
        lines = "\n".join(f"  {line}" for line in undo)
        return (
            f"To go back to what ran before (its ConfigMaps are still there):\n{lines}\n"
            f"For good: check out the commit that was deployed and run 'make deploy ENV={self.environment}'. If the "
            "migration changed the database and the old Dagster complains, restore the database, too: deploy/README.md."
        )


def smoke_job(objects: list[Object]) -> Object:
    """Return a Job that sends a page through the model servers, made of the code location's own pod.

    It has the label of runs, for only they may speak to the model server.
    """
    (server,) = [e for e in objects if e["kind"] == "Deployment" and e["metadata"]["name"] == CODE_LOCATION]
    pod = json.loads(json.dumps(server["spec"]["template"]["spec"]))
    (container,) = pod["containers"]
    kept = ("image", "imagePullPolicy", "envFrom", "env", "securityContext", "resources", "volumeMounts")
    pod["containers"] = [{"name": "smoke", **{key: container[key] for key in kept if key in container}}]
    pod["containers"][0]["args"] = ["mineru-pipeline", "smoke"]
    key = {"secretKeyRef": {"name": "vllm-api-key", "key": "api-key"}}
    pod["containers"][0].setdefault("env", []).append(
        {"name": "MINERU_PIPELINE__VLLM_SERVER__API_KEY", "valueFrom": key}
    )
    pod |= {"restartPolicy": "Never", "serviceAccountName": "dagster-run", "automountServiceAccountToken": False}
    labels = server["spec"]["template"]["metadata"]["labels"] | {
        "app.kubernetes.io/name": "mineru-pipeline",
        "app.kubernetes.io/component": "run_worker",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": SMOKE, "namespace": server["metadata"]["namespace"], "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": JOB_SECONDS,
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _secrets(value: Any) -> list[str]:
    """The names of all Secrets that pods cannot start without."""
    if isinstance(value, list):
        return [name for each in value for name in _secrets(each)]
    if not isinstance(value, dict):
        return []
    found = [value[key]["name"] for key in ("secretRef", "secretKeyRef") if _is_needed(value.get(key), "name")]
    if _is_needed(value.get("secret"), "secretName"):
        found.append(value["secret"]["secretName"])
    return found + [name for each in value.values() for name in _secrets(each)]


def _is_needed(reference: Any, key: str) -> bool:
    return isinstance(reference, dict) and key in reference and not reference.get("optional")


def _yaml(objects: list[Object]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _ask(question: str) -> bool:
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def main(arguments: Sequence[str]) -> int:
    """Deploy as the arguments say; returns the exit code: 0 done, 1 failed or declined, 2 nothing could be tried.

    130 is the code after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="deploy.py", description="Bring an overlay of deploy/k8s into its cluster.")
    parser.add_argument("environment", metavar="ENV", help="development, staging or production")
    parser.add_argument("--context", default="", help="context of kubectl (default: mineru-ENV)")
    parser.add_argument("--kubectl", default="kubectl", help="program to call (default: kubectl)")
    parser.add_argument("--overlays", type=Path, default=OVERLAYS, help="folder of the overlays")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    given = parser.parse_args(arguments)
    kubectl = Kubectl(given.kubectl, given.context or f"mineru-{given.environment}")
    ask = (lambda _: True) if given.yes else _ask
    try:
        return Deployment(given.environment, kubectl, _say, ask, overlays=given.overlays).run(dry_run=given.dry_run)
    except DeployError as error:
        _say(f"error: {error}")
    except KeyboardInterrupt:
        _say("\nNothing was changed.")
        return INTERRUPTED
    except FileNotFoundError:
        _say(f"error: there is no program {given.kubectl!r}; install kubectl 1.30 or newer, or name it with --kubectl")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
