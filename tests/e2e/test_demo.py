"""The whole chain on a few procedural scenes, by `make`: local, again, in containers, compared."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("data/test-e2e")  # below data/, because that is what containers see


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make on the tiny set; its output is shown when the test fails."""
    done = subprocess.run(
        ["make", "SOURCE=tiny", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(done.stdout[-2000:], done.stderr[-6000:])
    return done


def engine() -> bool:
    """Whether containers can be run here."""
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def local() -> Iterator[Path]:
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    done = make("RUNNER=local", f"D={HOME}/local", "all")
    assert done.returncode == 0
    yield ROOT / HOME / "local"
    shutil.rmtree(ROOT / HOME, ignore_errors=True)


def plans(root: Path) -> dict[str, dict[str, object]]:
    """Plan of every product below a root, by its path."""
    return {
        str(path.relative_to(root)): json.loads(path.read_text())["plan"]
        for path in sorted(root.rglob("*.run.json"))
    }


def test_ends_with_bundle_and_report(local: Path) -> None:
    bundle = local / "voyager" / "resnet18"
    assert list(bundle.glob("*.yaml"))
    assert len(list((bundle / "repr").iterdir())) >= 200
    assert "<html" in (local / "report.html").read_text()[:2000]
    assert not list(local.rglob("*.partial*"))


@pytest.mark.usefixtures("local")
def test_second_make_does_nothing() -> None:
    done = make("RUNNER=local", f"D={HOME}/local", "all")
    assert done.returncode == 0
    assert "== " not in done.stderr
    assert "nothing to do" in done.stdout
    assert "report.html" in done.stdout


def test_make_never_deletes_a_record() -> None:
    done = subprocess.run(
        ["make", "-pn", "SOURCE=tiny", "RUNNER=local", f"D={HOME}/none", "products"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    kept = {word for line in lines if line.startswith(".PRECIOUS:") for word in line.split()[1:]}
    targets = {line.split(":")[0] for line in lines if line.startswith(f"{HOME}/none/")}
    records = {target for target in targets if target.endswith(".run.json")}
    assert len(records) == 55
    assert records <= kept
    assert not any(line.startswith(".DELETE_ON_ERROR") for line in lines)


def test_a_product_taken_away_is_made_again_alone(local: Path) -> None:
    before = plans(local)
    shutil.rmtree(local / "sumrule" / "teacher-resnet18")
    done = make("RUNNER=local", f"D={HOME}/local", "sumrule")
    assert done.returncode == 0
    assert done.stderr.count("== ") == 1
    assert plans(local) == before


@pytest.mark.usefixtures("local")
def test_status_knows_every_product() -> None:
    done = make("RUNNER=local", f"D={HOME}/local", "status")
    assert done.returncode == 0
    assert "stale" not in done.stdout
    assert "voyager/resnet18" in done.stdout


def test_containers_make_the_same(local: Path) -> None:
    if not engine():
        if os.environ.get("IMAGES") == "required":
            pytest.fail("no container engine answers")
        pytest.skip("no container engine answers")
    done = make("RUNNER=docker", f"D={HOME}/docker", "all")
    assert done.returncode == 0
    other = ROOT / HOME / "docker"
    assert {k: (v["stage"], v["parameters"]) for k, v in plans(other).items()} == {
        k: (v["stage"], v["parameters"]) for k, v in plans(local).items()
    }
    for path in sorted(local.rglob("*.h5")):
        same_datasets(path, other / path.relative_to(local))
    for path in sorted(local.rglob("*.npy")):
        theirs = np.load(other / path.relative_to(local))
        np.testing.assert_allclose(theirs, np.load(path), rtol=1e-3, atol=1e-3, err_msg=str(path))


def same_datasets(ours: Path, theirs: Path) -> None:
    """Integers equal to one step, floating-point values to 1e-3 of the largest."""
    with h5py.File(ours) as a, h5py.File(theirs) as b:
        assert set(a) == set(b)
        for name, data in a.items():
            found, expected = np.asarray(b[name], float), np.asarray(data, float)
            step = 1 if np.issubdtype(data.dtype, np.integer) else 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, 0, step, err_msg=f"{ours} {name}")
