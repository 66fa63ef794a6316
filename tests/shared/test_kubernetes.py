"""`make k8s`: manifests that Kubernetes takes, and what their containers do."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from shared.errors import StageError
from shared.pipeline import Plan, Product, read_settings
from shared.pipeline.cluster import Cluster, kubernetes, nodes, read_plan, read_resources

INSIDE = Cluster(nodes.INSIDE, read_resources(), {"tda": 3})


def plan_of(*products: Product) -> Plan:
    return Plan(read_settings("demo", {}), "docker", products)


def test_manifests_are_valid_by_the_published_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k").mkdir()
    (tmp_path / "k/999-old.yaml").touch()
    changes = {"NODE_RUNNER": nodes.INSIDE, "SHARDS": "3", "SHARDS-teacher": "2"}
    plan, cluster = read_plan("tiny", changes, ["all"])
    files = kubernetes.write(plan, cluster, ["all"], tmp_path / "k", {"NAMESPACE": "lcz"})
    assert sorted((tmp_path / "k").iterdir()) == files  # what an earlier call wrote is gone
    made = [yaml.safe_load(path.read_text()) for path in files]
    assert len(made) > 60
    for one in made:
        kubernetes_validate.validate(one, "1.33", strict=True)
    assert len({one["metadata"]["name"] for one in made}) == len(made)
    assert {one["metadata"]["namespace"] for one in made} == {"lcz"}


def test_an_index_makes_its_part_and_the_join_waits_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    product = Product("tda", "data/demo/a.h5", (), ("--src", "x.h5"))
    parts, join = (
        kubernetes.manifest(job, {"REGISTRY": "site.example/"})["spec"]
        for job in INSIDE.jobs(plan_of(product), product)
    )
    assert (parts["completions"], join["completions"]) == (3, 1)
    pod = parts["template"]["spec"]
    assert "initContainers" not in pod  # it reads no product
    (stage,) = pod["containers"]
    assert stage["image"] == "site.example/lcz42-edge/tda"
    *shell, command = stage["command"]
    said = subprocess.run(
        [*shell, command.replace("exec python", "printf '%s\\n'")],
        env={**os.environ, "JOB_COMPLETION_INDEX": "1"},  # indices count from 0
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert said[2:] == [
        "--dst",
        "data/demo/a.h5.parts/2-of-3.h5",
        "--src",
        "x.h5",
        "--shard",
        "2/3",
    ]

    pod = join["template"]["spec"]
    assert pod["containers"][0]["image"] == "site.example/lcz42-edge/merge"
    (wait,) = pod["initContainers"]
    with subprocess.Popen([sys.executable, *wait["command"][1:]]) as waiting:
        Path("data/demo/a.h5.parts").mkdir(parents=True)
        for number in (1, 2, 3):
            assert waiting.poll() is None
            Path(f"data/demo/a.h5.parts/{number}-of-3.h5.run.json").touch()
        assert waiting.wait(30) == 0


def pod_of(product: Product) -> dict[str, Any]:
    (job,) = INSIDE.jobs(plan_of(product), product)
    return kubernetes.manifest(job, {})["spec"]


def test_refused_inputs_fail_at_once_and_pods_are_locked_down() -> None:
    spec = pod_of(Product("teacher", "data/demo/t", ("data/demo/a.h5",)))
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}}
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["automountServiceAccountToken"]) == ("Never", False)
    for one in (*pod["containers"], *pod["initContainers"]):
        rights = one["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"] == {"cpu": "2", "memory": "32Gi"}


def test_a_renewed_report_is_removed_before_it_is_made() -> None:
    spec = pod_of(Product("report", "data/demo/r.html", renewed=True))
    *_, command = spec["template"]["spec"]["containers"][0]["command"]
    assert command.startswith("rm -rf data/demo/r.html data/demo/r.html.run.json && exec python ")


def test_several_processes_of_one_training_need_no_srun(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[teacher]\ntasks = 4\n")
    product = Product("teacher", "data/demo/t")
    (job,) = Cluster(nodes.INSIDE, read_resources(site), {}).jobs(plan_of(product), product)
    assert job.command.startswith("python -m stages --dst data/demo/t")


def test_texts_survive_yaml() -> None:
    value = {"a": ["x: y", {"b/c": "\n'\"", "d": []}], "n": 3, "t": True, "e": {}}
    assert yaml.safe_load(kubernetes.as_yaml(value)) == value


def test_a_file_is_no_place_for_manifests(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("kept")
    product = Product("demo", "data/demo/so2sat")
    with pytest.raises(StageError, match="k: expected a folder to write into: File exists"):
        kubernetes.write(plan_of(product), INSIDE, ["all"], tmp_path / "k", {})


def test_a_folder_outside_the_volume_is_refused(tmp_path: Path) -> None:
    product = Product("weights", str(tmp_path / "a.pth"), mount="/elsewhere", in_all=True)
    with pytest.raises(StageError, match="expected its files below data/, found /elsewhere"):
        kubernetes.write(plan_of(product), INSIDE, ["all"], tmp_path / "k", {})
