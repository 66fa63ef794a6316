"""Built images: what is in them, and that they run sealed off, as anyone, on the volume alone.

Skipped where no engine answers or an image is not built; with IMAGES=required that is a failure.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted(path.parent.name for path in ROOT.glob("images/*/requirements.txt"))
STAGES = [folder.replace("_", "-") for folder in FOLDERS]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
STRANGER = 4242  # no account in any image, and not who built them
LISTING = """
import importlib.metadata, runpy, sys
print(*(f"{d.name}=={d.version}" for d in importlib.metadata.distributions()), flush=True)
sys.argv = ["stages", "--help"]
runpy.run_module("stages", run_name="__main__")
"""
SEALED = """
import os, socket
for path in ("/app/x", "/opt/venv/x", "/x"):
    try:
        open(path, "w")
    except OSError as error:
        print(path, error.strerror)
open("/tmp/x", "w").write("x")
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    print("network", error.strerror)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print("uid", os.getuid(), "capabilities", int(status["CapEff"], 16))
print("new privileges", "no" if int(status["NoNewPrivs"]) else "yes")
limits = [f"/sys/fs/cgroup/{place}pids.max" for place in ("", "pids/")]  # of cgroup 2, of 1
print("processes", *(open(path).read().strip() for path in limits if os.path.exists(path)))
"""


UNPACKED = """
import os
places = [p for top in ("/opt/venv", "/app") for p, _, _ in os.walk(top)]
files = [entry for place in places for entry in os.scandir(place) if not entry.is_dir()]
print(sum(entry.stat(follow_symlinks=False).st_size for entry in files))
"""


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(stage: str, *arguments: str, volume: Path, entrypoint: str = "") -> list[str]:
    """What a stage's container prints, started as people start it, for someone without account."""
    override = [f"--entrypoint={entrypoint}"] if entrypoint else []
    variables = {"UID": str(STRANGER), "GID": str(STRANGER), "DATA": str(volume)}
    done = command("compose", "run", "--rm", "-T", *override, stage, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def absent(reason: str) -> None:
    if os.environ.get("IMAGES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> None:
    try:
        answers = command("info").returncode == 0
    except FileNotFoundError:
        answers = False
    if not answers:
        absent("no container engine answers: .ci/engine starts one")


def inspect(stage: str) -> dict[str, Any]:
    done = command("image", "inspect", f"lcz42-edge/{stage}")
    if done.returncode:
        absent(f"lcz42-edge/{stage} is not built: make build/{stage}")
    return json.loads(done.stdout)[0]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A data folder of the stranger's own, or one that anyone may write where we cannot give it."""
    folder = tmp_path / "data"
    folder.mkdir()
    if os.getuid() == 0:
        os.chown(folder, STRANGER, STRANGER)
    else:
        folder.chmod(0o777)
    return folder


def locked(stage: str) -> tuple[dict[str, str], dict[str, str]]:
    """Name to version of a lock: those for every platform, and those for some only."""
    text = (ROOT / "images" / stage.replace("-", "_") / "requirements.txt").read_text()
    pins = re.findall(r"^([\w.-]+)==(\S+)( ;)?", text, re.MULTILINE)
    return {n: v for n, v, some in pins if not some}, {n: v for n, v, some in pins if some}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("stage", STAGES)
def test_facts(stage: str) -> None:
    config = inspect(stage)["Config"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert not config["Cmd"]
    assert config["Entrypoint"] == ["python", "-m", "stages"]
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"] == stage
    assert labels["licenses"] == (
        "MIT AND AGPL-3.0-only AND GPL-3.0-only" if stage == "tda" else "MIT"
    )
    assert f"STAGE_REVISION={labels['revision']}" in config["Env"]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("stage", STAGES)
def test_runs_its_stage_and_holds_the_lock_and_nothing_else(stage: str, volume: Path) -> None:
    """Both in one container, because starting one takes most of the time."""
    inspect(stage)
    packages, *lines = run(stage, "-c", LISTING, volume=volume, entrypoint="python")
    assert lines[0].startswith(f"Usage: {stage} ")  # the entry point runs the only stage inside
    assert "--dst" in "\n".join(lines)
    held = {re.sub(r"[-_.]+", "-", pin.lower()) for pin in packages.split()}
    everywhere, some = (
        {f"{n}=={v}".replace(".", "-") for n, v in p.items()} for p in locked(stage)
    )
    assert everywhere <= held <= everywhere | some
    assert any(pin.startswith("giotto-tda==") for pin in held) == (stage == "tda")


@pytest.mark.usefixtures("engine")
def test_torch_is_on_disk_once() -> None:
    """All torch images begin with the same layers: the base, the torch lock, torch itself."""
    torch = [
        folder.replace("_", "-")
        for folder in FOLDERS
        if "torch.Dockerfile" in SERVICES[folder.replace("_", "-")]["build"]["dockerfile"]
    ]
    layers = [inspect(stage)["RootFS"]["Layers"] for stage in torch]
    base = common([layers[0], inspect("merge")["RootFS"]["Layers"]])
    assert common(layers) >= base + 2


def common(lists: list[list[str]]) -> int:
    """How many items all lists begin with."""
    level = [len(set(items)) == 1 for items in zip(*lists, strict=False)]
    return [*level, False].index(False)


@pytest.mark.usefixtures("engine")
def test_the_image_that_is_shipped_is_small(volume: Path) -> None:
    """At most 300 MB beyond the base: all of it lies in two folders."""
    inspect("export")
    (size,) = run("export", "-c", UNPACKED, volume=volume, entrypoint="python")
    assert 50e6 < int(size) <= 300e6


@pytest.mark.usefixtures("engine")
def test_sealed(volume: Path) -> None:
    inspect("merge")
    assert run("merge", "-c", SEALED, volume=volume, entrypoint="python") == [
        "/app/x Read-only file system",
        "/opt/venv/x Read-only file system",
        "/x Read-only file system",
        "network Network is unreachable",
        f"uid {STRANGER} capabilities 0",
        "new privileges no",
        "processes 4096",
    ]


@pytest.mark.usefixtures("engine")
def test_data_in_product_out(volume: Path) -> None:
    """The start of the pipeline through containers: each says one path, makes that and a record."""
    for stage in ("demo", "prepare", "merge"):
        inspect(stage)
    raw, small = "data/so2sat", ["--train_per_class=2", "--test_per_class=1"]
    assert run("demo", f"--dst={raw}", *small, volume=volume) == [raw]
    parts = [f"data/parts/{i}.h5" for i in (1, 2)]
    for i, part in enumerate(parts, start=1):
        flags = [f"--src={raw}/training.h5", f"--dst={part}", f"--shard={i}/2"]
        assert run("prepare", *flags, volume=volume) == [part]
    whole = "data/training.h5"
    assert run("merge", f"--src={','.join(parts)}", f"--dst={whole}", volume=volume) == [whole]
    with h5py.File(volume / "training.h5") as file:
        assert file["sen2"].shape == (34, 32, 32, 10)
        assert np.array_equal(np.sum(file["label"], axis=0), [2] * 17)
    made = ["so2sat", "parts/1.h5", "parts/2.h5", "training.h5"]
    files = {path.relative_to(volume).as_posix() for path in volume.rglob("*") if path.is_file()}
    data = {"so2sat/training.h5", "so2sat/testing.h5", *made[1:]}
    assert files == data | {f"{path}.run.json" for path in made}
    assert {path.stat().st_uid for path in volume.rglob("*")} == {STRANGER}


@pytest.mark.usefixtures("engine")
def test_says_in_one_line_that_it_may_not_write(volume: Path) -> None:
    inspect("demo")
    volume.chmod(0o555)
    variables = {"UID": str(STRANGER), "GID": str(STRANGER), "DATA": str(volume)}
    done = command("compose", "run", "--rm", "-T", "demo", "--dst=data/so2sat", **variables)
    volume.chmod(0o755)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: data/so2sat: Permission denied (data/so2sat.partial.json)\n"
    assert list(volume.iterdir()) == []


@pytest.mark.usefixtures("engine")
def test_a_product_that_would_be_gone_with_its_container_is_refused(volume: Path) -> None:
    inspect("prepare")
    variables = {"UID": str(STRANGER), "GID": str(STRANGER), "DATA": str(volume)}
    for dst in ("/tmp/x", "/home/me/x.h5"):
        flags = ["--src=data/none.h5", f"--dst={dst}"]
        done = command("compose", "run", "--rm", "-T", "prepare", *flags, **variables)
        assert (done.returncode, done.stdout) == (2, ""), dst
        said = f"error: --dst: expected a path on the volume, such as data/{Path(dst).name}, found"
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder below data/ of this checkout, which is what containers of make see."""
    folder = ROOT / "data" / "test-images"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def run_make(*words: str) -> subprocess.CompletedProcess[str]:
    line = ["make", "RUNNER=docker", "SOURCE=tiny", "D=data/test-images", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("engine")
def test_products_of_make_name_their_image_and_can_be_made_again(home: Path) -> None:
    """By make's own command; the raw file lies outside data/, as large ones do, behind a link."""
    inspect("demo")
    small = "FLAGS-demo=--train_per_class 2 --test_per_class 1"
    done = run_make(f"{home.relative_to(ROOT)}/so2sat.run.json", small)
    assert done.returncode == 0, done.stderr
    assert "runner: docker, in containers (RUNNER=local: " in done.stderr
    record = json.loads((home / "so2sat.run.json").read_text())
    assert record["image"] == inspect("demo")["Id"]
    done = run_make("rerun-demo")
    assert done.returncode == 0, done.stderr
    assert "data/test-images/so2sat: identical" in done.stdout


@pytest.mark.usefixtures("engine")
def test_a_link_out_of_the_volume_is_followed_read_only(
    home: Path, tmp_path: Path, volume: Path
) -> None:
    inspect("merge")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "x.txt").write_text("far away")
    (home / "big").symlink_to(tmp_path / "big")
    (volume / "x.h5").symlink_to("/big/x.h5")
    script = "import sys; print(open(sys.argv[2]).read()); open(sys.argv[2], 'w')"
    line = ["python3", "-m", "shared.pipeline", "run", "docker", "compose", "run", "--rm", "-T"]
    line += ["--entrypoint=python", "merge", "-c", script, "--src", "data/test-images/big/x.txt"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "far away\n", done.stderr
    assert "Read-only file system" in done.stderr
    variables = {"UID": str(STRANGER), "GID": str(STRANGER), "DATA": str(volume)}
    flags = ["--src=data/x.h5", "--dst=data/y.h5"]
    done = command("compose", "run", "--rm", "-T", "merge", *flags, **variables)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --src: no such file or folder: data/x.h5 (a link to /big/x.h5, which is not "
        "mounted here: make mounts it; by hand, docker compose run -v /big/x.h5:/big/x.h5:ro)\n"
    )


@pytest.mark.usefixtures("engine")
def test_no_registry_is_asked_and_no_image_of_others_is_used(volume: Path) -> None:
    """A missing image is built, by Compose as typed and by make; one of another clone, by make."""
    number = inspect("merge")["Id"]
    try:
        assert command("rmi", "--no-prune", "lcz42-edge/merge").returncode == 0
        done = command("compose", "run", "--rm", "-T", "merge", "--help", DATA=str(volume))
        assert done.returncode == 0, done.stderr
        assert not re.search("pull|denied", done.stderr, re.I)
        built = build("merge")
        assert "was not built by this version of make" in built  # Compose knows no digest
        ours = inspect("merge")
        other = "FROM lcz42-edge/merge\nLABEL lcz42-edge.inputs=other\n"
        line = ["docker", "build", "--quiet", "--tag=lcz42-edge/merge", "-"]
        subprocess.run(line, input=other, text=True, capture_output=True, check=True)
        assert "was built from other files" in build("merge")
        again = inspect("merge")["Config"]["Labels"]["lcz42-edge.inputs"]
        assert again == ours["Config"]["Labels"]["lcz42-edge.inputs"]
        assert "building" not in build("merge")
    finally:
        command("tag", number, "lcz42-edge/merge")


def build(stage: str) -> str:
    """What `make build/STAGE` says."""
    line = ["make", "RUNNER=docker", f"build/{stage}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr


@pytest.mark.usefixtures("engine")
def test_without_a_temporary_folder_there_is_one_line() -> None:
    inspect("merge")
    done = command("run", "--rm", "--read-only", "--pull=never", "lcz42-edge/merge", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: /tmp: expected a folder to write in, found none; start ")
    assert len(done.stderr.splitlines()) == 1
