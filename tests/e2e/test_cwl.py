"""make cwl with cwltool: every description is valid, and prepare → tda makes what make makes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROWS, pixels, write_raw

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("data/test-cwl")
CWLTOOL = ROOT / ".venvs" / "cwl" / "bin" / "cwltool"
FEATURES = Path("tda", "prepare", "training.h5")
# In one process: a start of cwltool takes two seconds.
VALIDATE = """
import io, sys
from cwltool.main import main
for path in sys.argv[1:]:
    said = io.StringIO()
    print(path, main(["--validate", path], stdout=said, stderr=said, logger_handler=None))
"""

pytestmark = pytest.mark.skipif(not CWLTOOL.exists(), reason="make .venvs/cwl")


def run(*words: str | Path) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0, words
    return done.stdout


def write(to: Path, runner: str) -> list[str]:
    python = ROOT / ".venvs" / "dev" / "bin" / "python"
    words = ("-m", "shared.tools.cwl.main", "--runner", runner, "--to", to)
    return run(python, *words).splitlines()


@pytest.fixture(params=["local", "docker"])
def made(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The data folder of a small source, whose features make has made with a runner."""
    if request.param == "docker" and not has_images() and os.environ.get("IMAGES") != "required":
        pytest.skip("make build/prepare build/tda")
    folder = HOME / request.param
    shutil.rmtree(ROOT / folder, ignore_errors=True)
    (ROOT / folder / "so2sat").mkdir(parents=True)
    for name in ("training", "testing"):
        write_raw(ROOT / folder / "so2sat" / f"{name}.h5", pixels(ROWS))
    goal = folder / FEATURES
    run("make", "SOURCE=so2sat", f"RUNNER={request.param}", f"D={folder}", f"{goal}.run.json")
    yield ROOT / folder
    shutil.rmtree(ROOT / HOME, ignore_errors=True)


def has_images() -> bool:
    words = ["docker", "image", "inspect", *(f"lcz42-edge/{name}" for name in ("prepare", "tda"))]
    return (
        bool(shutil.which("docker")) and not subprocess.run(words, capture_output=True).returncode
    )


def test_every_description_is_valid(tmp_path: Path) -> None:
    paths = write(tmp_path, "docker")
    assert len(paths) == len(list(ROOT.glob("stages/*/main.py"))) + 1
    told = run(CWLTOOL.with_name("python"), "-c", VALIDATE, *paths)
    assert told.splitlines() == [f"{path} 0" for path in paths]


def read_plan(product: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(Path(f"{product}.run.json").read_text())["plan"]
    return plan


def test_the_workflow_makes_the_bytes_of_make(made: Path, tmp_path: Path) -> None:
    """With every parameter of the recorded plans as an input of its own type."""
    write(tmp_path, made.name)
    products = {"prepare": made / "prepare" / "training.h5", "tda": made / FEATURES}
    raw = {"class": "File", "path": str(made / "so2sat" / "training.h5")}
    job: dict[str, Any] = {"prepare_src": raw, "prepare_dst": "a.h5", "tda_dst": "b.h5"}
    for stage, product in products.items():
        parameters = read_plan(product)["parameters"].items()
        job |= {f"{stage}_{name}": value for name, value in parameters if value != ""}
    (tmp_path / "job.json").write_text(json.dumps(job))
    words = ["--quiet", *(["--no-container"] if made.name == "local" else [])]
    words += ["--outdir", str(tmp_path / "out")]
    said = json.loads(run(CWLTOOL, *words, tmp_path / "prepare-tda.cwl", tmp_path / "job.json"))
    for stage, product in products.items():
        path = Path(said[f"{stage}_product"]["path"])
        assert path.read_bytes() == product.read_bytes()
        assert read_plan(path) == read_plan(product)
