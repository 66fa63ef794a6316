"""The whole chain on a few procedural scenes, by `make`: local, again, in containers, compared."""

import contextlib
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
    done = make("-j2", "RUNNER=local", f"D={HOME}/local", "all")
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
    (whole,) = [line.split()[1:] for line in lines if line.startswith("products: ")]
    assert len(whole) == 54  # of `make all`; further verbs have more
    assert set(whole) < records <= kept
    assert not any(line.startswith(".DELETE_ON_ERROR") for line in lines)


def commands(*words: str) -> dict[str, dict[str, str]]:
    """Flags by product of what make would run, from nothing."""
    done = subprocess.run(
        ["make", "-n", "RUNNER=local", f"D={HOME}/none", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    steps = [line.partition(" || ")[0] for line in done.stdout.splitlines() if " --dst " in line]
    lines = [step.split("--")[1:] for step in steps]
    flags = [
        dict(flag.strip().split(maxsplit=1) for flag in line if " " in flag.strip())
        for line in lines
    ]
    return {given["dst"].removeprefix(f"{HOME}/none/"): given for given in flags}


def test_every_ensemble_of_the_thesis_has_its_command() -> None:
    planned = commands("SOURCE=gallery", "teacher", "fusion", "sumrule", "report")
    each = [f"{net}-{mode}" for net in ("resnet18", "densenet201")
            for mode in ("rand", "randrgb", "sar")]  # fmt: skip
    sums = ["sumrule/" + name + end for name in ("teacher", "fusion")
            for end in ("", "-resnet18", "-densenet201")]  # fmt: skip
    wanted = {f"{stage}/{name}" for stage in ("teacher", "fusion") for name in each}
    wanted |= {*sums, "fusion/topology"}
    made = {name for name in planned if name.split("/")[0] in ("teacher", "fusion", "sumrule")}
    assert made == wanted
    assert planned["sumrule/teacher"]["src"].split(",") == [
        f"{HOME}/none/sumrule/teacher-resnet18", f"{HOME}/none/sumrule/teacher-densenet201",
    ]  # fmt: skip
    shown = planned["report.html"]["src"].split(",")
    assert {f"{HOME}/none/{name}" for name in wanted} <= set(shown)  # also what `all` leaves out


def test_members_of_a_fusion_see_what_was_published() -> None:
    (ROOT / HOME / "none" / "so2sat").mkdir(parents=True)
    for split in ("training", "testing"):
        (ROOT / HOME / "none" / "so2sat" / f"{split}.h5").touch()
    try:
        flags = commands("SOURCE=so2sat", "fusion")["fusion/resnet18-rand"]
    finally:
        shutil.rmtree(ROOT / HOME / "none")
        with contextlib.suppress(OSError):  # another test's products are there
            (ROOT / HOME).rmdir()
    folders = [
        "prepare", "prepare", "sr-vdsr/x2", "sr-edsr/x2", "sr-esrgan/x2", "sr-edsr/x4",
        "sr-swinir/x2", "sr-vdsr/x3", "sr-bsrnet/x2", "sr-realesrgan/x4",
    ]  # fmt: skip
    for flag, split in (("train", "training"), ("test", "testing")):
        images = [f"{HOME}/none/{folder}/{split}.h5" for folder in folders]
        topology = [f"{HOME}/none/tda/{folder.replace('/', '-')}/{split}.h5" for folder in folders]
        assert flags[flag].split(",") == images
        assert flags[f"tda_{flag}"].split(",") == topology


def test_a_product_taken_away_is_made_again_alone(local: Path) -> None:
    before = plans(local)
    shutil.rmtree(local / "sumrule" / "teacher-resnet18")
    done = make(
        "RUNNER=local", f"D={HOME}/local", f"{HOME}/local/sumrule/teacher-resnet18.run.json"
    )
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
    """One product of each stage again, in its image, from what this machine has made."""
    if not engine():
        if os.environ.get("IMAGES") == "required":
            pytest.fail("no container engine answers")
        pytest.skip("no container engine answers")
    other = shutil.copytree(local, ROOT / HOME / "docker")
    first: dict[object, str] = {}  # record of a stage's first product
    for name, plan in plans(local).items():
        first.setdefault(plan["stage"], name)
    for name in first.values():
        product = other / name.removesuffix(".run.json")
        (other / name).unlink()
        if product.is_dir():
            shutil.rmtree(product)
        else:
            product.unlink()
    done = make("-j2", "RUNNER=docker", f"D={HOME}/docker", "all")
    assert done.returncode == 0
    contained = {  # what depends on another content is made again, too
        str(path.relative_to(other))
        for path in other.rglob("*.run.json")
        if json.loads(path.read_text())["image"]
    }
    assert set(first.values()) <= contained
    assert {k: (v["stage"], v["parameters"]) for k, v in plans(other).items()} == {
        k: (v["stage"], v["parameters"]) for k, v in plans(local).items()
    }
    for name in sorted(contained):
        product = local / name.removesuffix(".run.json")
        for path in [product, *product.rglob("*")]:  # a copy would equal itself
            theirs = other / path.relative_to(local)
            if path.suffix == ".h5":
                same_datasets(path, theirs)
            elif path.suffix == ".npy":
                ours = np.load(path)
                np.testing.assert_allclose(np.load(theirs), ours, 1e-3, 1e-3, err_msg=str(path))


def same_datasets(ours: Path, theirs: Path) -> None:
    """Integers equal to one step, floating-point values to 1e-3 of the largest."""
    with h5py.File(ours) as a, h5py.File(theirs) as b:
        assert set(a) == set(b)
        for name, data in a.items():
            values, expected = np.asarray(b[name], float), np.asarray(data, float)
            step = 1 if np.issubdtype(data.dtype, np.integer) else 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(values, expected, 0, step, err_msg=f"{ours} {name}")


def test_bundles_for_every_sdk_read_back_alike(local: Path) -> None:
    """Of the chain's own student; and what is for one release passes the check as well."""
    assert make("RUNNER=local", f"D={HOME}/local", "bundles").returncode == 0
    folders = [
        local / "voyager" / f"resnet18{end}" for end in ("", "-sdk-1.2", "-sdk-1.6", "-sdk-all")
    ]
    readings = [json.loads((folder / "readback.json").read_text()) for folder in folders]
    assert all(reading == readings[0] for reading in readings)
    python = ROOT / ".venvs" / "export" / "bin" / "python"
    for folder in folders:
        words = [python, "-m", "stages.export.check", "--bundle", folder]
        done = subprocess.run(list(map(str, words)), cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
