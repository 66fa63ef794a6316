"""ship with a real engine: into a folder, the image removed, loaded from there, checked there.

Skipped where no engine answers or the image is not built; with IMAGES=required that is a failure.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.tools.ship import image_archive, main

ROOT = Path(__file__).resolve().parents[2]
BUILT = "lcz42-edge/export"
IMAGE = "lcz42-edge/export-shiptest"  # of its own, so that taking it away hurts nobody


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def absent(reason: str) -> None:
    if os.environ.get("IMAGES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of export with one layer more."""
    if shutil.which("docker") is None or docker("info").returncode:
        absent("no container engine answers")
    if docker("image", "inspect", BUILT).returncode:
        absent(f"{BUILT} is not built: make build/export")
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(f"FROM {BUILT}\nCOPY Dockerfile /shiptest\n")
    done = docker("build", "--tag", IMAGE, str(folder))
    assert done.returncode == 0, done.stderr
    yield IMAGE
    docker("rmi", "--force", IMAGE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that voyager made."""
    folder = tmp_path_factory.mktemp("bundle")
    python = ROOT / ".venvs" / "voyager" / "bin" / "python"
    if not python.exists():
        absent("no .venvs/voyager: make .venvs/voyager")
    paths = f"{ROOT}{os.pathsep}{ROOT / '.venvs' / 'pytest'}"
    done = subprocess.run(
        [python, "-m", "tests.ship.make_bundle", folder],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "bundle"


def test_image_comes_back_from_the_folder_and_passes_its_check(
    image: str, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "there"
    flags = [f"--bundle={bundle}", f"--image={image}", f"--spool={tmp_path / 'spool'}"]
    main.main([*flags, f"--dest={place}", "--noload"])
    manifest = json.loads((place / "lcz42-resnet18" / "MANIFEST.json").read_text())
    number = docker("image", "inspect", "--format={{.Id}}", image).stdout.strip()
    assert manifest["image"]["id"] == number
    assert docker("rmi", image).returncode == 0
    assert docker("image", "inspect", image).returncode

    archive = place / manifest["image"]["file"]
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    done = install(place, "load")
    assert done.returncode == 2
    assert archive.name in done.stderr
    assert docker("image", "inspect", image).returncode  # nothing was loaded
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)

    done = install(place, "load")
    assert done.returncode == 0, done.stderr
    assert docker("image", "inspect", "--format={{.Id}}", image).stdout.strip() == number
    done = install(place, "check")
    assert done.returncode == 0, done.stderr
    points = (
        100
        * json.loads((bundle / "readback.json").read_text())["accuracy"]["png"]["overall_accuracy"]
    )
    assert done.stdout.splitlines()[-1].split() == [
        "all", "34", f"{points:.2f}", "stored:", f"{points:.2f}",
    ]  # fmt: skip
    pictures, table = place / "lcz42-resnet18" / "val" / "17_Water", tmp_path / "out" / "t.csv"
    table.parent.mkdir(mode=0o777)
    done = install(place, "classify", str(pictures), str(table))
    assert done.returncode == 0, done.stderr
    assert len(table.read_text().splitlines()) == 1 + 2
    assert capfd.readouterr().err.count("uncompressed") == 1


def install(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """install.py as people run it there, by the system's Python."""
    line = ["python3", str(folder / "install.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_no_such_image_is_one_line(image: str, tmp_path: Path) -> None:
    from shared.errors import StageError

    assert image
    with pytest.raises(StageError, match="no image lcz42-edge/nothing:latest in the engine"):
        image_archive.save("lcz42-edge/nothing", tmp_path)
