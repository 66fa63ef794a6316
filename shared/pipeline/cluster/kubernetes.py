"""Kubernetes: an indexed Job per product, for the same plan and the same images."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.destination import make_folder
from shared.errors import StageError
from shared.pipeline import remaining
from shared.pipeline.cluster import nodes
from shared.pipeline.cluster.jobs import TASK, Cluster, Job
from shared.pipeline.plan import Plan

WORKDIR = "/app"
# What waits for the records of its inputs runs in the image of its own stage, on the same volume.
WAIT = (
    "import pathlib, sys, time\n"
    "paths = [pathlib.Path(name + '.run.json') for name in sys.argv[1:]]\n"
    "while not all(path.exists() for path in paths):\n"
    "    time.sleep(5)\n"
)
INDEX = "$((JOB_COMPLETION_INDEX + 1))"


def write(
    plan: Plan, cluster: Cluster, goals: Iterable[str], to: Path, names: Mapping[str, str]
) -> list[Path]:
    """Write one manifest per job of what is not made yet, numbered in the order of the plan.

    Args:
        plan: of the source, as for containers.
        cluster: how jobs are made of its products.
        goals: of make.
        to: folder; manifests of an earlier call are replaced.
        names: REGISTRY (in front of the names of the images, such as site.example/lcz/), CLAIM (the
            volume claim that holds data/) and NAMESPACE.

    Returns:
        The files, in order.

    Raises:
        StageError: `to` is a file; a product needs a folder outside data/, which no volume holds.
    """
    make_folder(to)
    for old in to.glob("[0-9][0-9][0-9]-*.yaml"):
        old.unlink()
    written, number = [], 0
    for product in remaining.outdated(plan.wanted(goals)):
        if product.mount:
            raise StageError(
                f"{product.path}: expected its files below data/, found {product.mount}"
            )
        for job in cluster.jobs(plan, product):
            number += 1
            path = to / f"{number:03}-{job_name(job)}.yaml"
            path.write_text(as_yaml(manifest(job, names)))
            written.append(path)
    return written


def job_name(job: Job) -> str:
    """A name as Kubernetes allows it: small letters, digits and hyphens, 50 characters at most."""
    letters = "".join(c if c.isalnum() else "-" for c in job.ident.lower())
    return "-".join(filter(None, letters.split("-")))[-50:].strip("-")


def manifest(job: Job, names: Mapping[str, str]) -> dict[str, Any]:
    """The Job of `batch/v1` that makes a product.

    Each index is one task. It is tried again three times, and goes on where it stopped; exit code
    2, a refused input, fails it at once, as another try would say the same.
    """
    metadata: dict[str, Any] = {"name": job_name(job), "labels": {"app": "lcz42-edge"}}
    if names.get("NAMESPACE"):
        metadata["namespace"] = names["NAMESPACE"]
    refused = {"operator": "In", "values": [2]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": job.count,
            "parallelism": job.count,
            "backoffLimitPerIndex": 3,
            "maxFailedIndexes": job.count,
            "podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": refused}]},
            "template": {"metadata": {"labels": {"app": "lcz42-edge"}}, "spec": _pod(job, names)},
        },
    }


def _pod(job: Job, names: Mapping[str, str]) -> dict[str, Any]:
    claim = {"claimName": names.get("CLAIM", "lcz42-edge-data")}
    folders = [{"name": "data", "persistentVolumeClaim": claim}]
    folders += [{"name": name, "emptyDir": {"medium": "Memory"}} for name in ("tmp", "shm")]
    user = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
    wait = [_container(job, names, "wait", ["python", "-c", WAIT, *job.reads])] if job.reads else []
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        **({"initContainers": wait} if wait else {}),
        "containers": [_container(job, names, "stage", ["sh", "-c", command(job)])],
        "volumes": folders,
    }


def command(job: Job) -> str:
    """The shell command of a container; the index of a Job counts from 0, a task from 1."""
    number = f"'\"{INDEX}\"'" if job.count > 1 else "1"
    remove = f"rm -rf {job.ident} {job.product.record} && " if job.product.renewed else ""
    return f"{remove}exec {job.command}".replace(TASK, number)


def _container(
    job: Job, names: Mapping[str, str], name: str, words: Sequence[str]
) -> dict[str, Any]:
    asks = job.resources
    wanted: dict[str, str] = {"cpu": str(asks.cores)}
    if asks.memory:
        wanted["memory"] = asks.memory + "i" * (asks.memory[-1] in "KMGT")
    if asks.gpus and name == "stage":
        wanted["nvidia.com/gpu"] = str(asks.gpus)
    mounts = [("data", nodes.VOLUME), ("tmp", "/tmp"), ("shm", "/dev/shm")]
    return {
        "name": name,
        "image": f"{names.get('REGISTRY', '')}lcz42-edge/{job.stage}",
        "imagePullPolicy": "IfNotPresent",
        "command": list(words),
        "workingDir": WORKDIR,
        "resources": {"requests": wanted, "limits": wanted},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": mount, "mountPath": path} for mount, path in mounts],
    }


def as_yaml(value: Any, indent: int = 0) -> str:
    """Mappings, lists, numbers and texts as YAML, every text in the quotes of JSON."""
    pad, text = "  " * indent, ""
    if isinstance(value, dict):
        for key, item in value.items():
            text += f"{pad}{json.dumps(key) if not key.isalnum() else key}:{_below(item, indent)}"
        return text
    for item in value:
        nested = as_yaml(item, indent + 1) if isinstance(item, dict | list) else ""
        text += f"{pad}- {nested.lstrip() or json.dumps(item) + chr(10)}"
    return text


def _below(item: Any, indent: int) -> str:
    if isinstance(item, dict | list) and item:
        return "\n" + as_yaml(item, indent + 1)
    return f" {json.dumps(item)}\n"
