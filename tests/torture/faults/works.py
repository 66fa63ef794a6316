"""The stages that accidents happen to, with the smallest inputs, and those inputs."""

import hashlib
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.scenes import Grid, Header, create_scene
from tests.conftest import pixels, write_raw
from tests.torture.inputs import environment_python

ROOT = Path(__file__).resolve().parents[3]
TINY = (
    "--device=cpu", "--architecture=test_resnet", "--members=2", "--epochs=2", "--batch=17",
    "--size=32",
)  # fmt: skip
PAIR = ("--train={good}/train.h5", "--test={good}/test.h5")
SMALL = ("--train={good}/small.h5", PAIR[1])
PARTS = ",".join(f"{{good}}/part-{number}.h5" for number in (1, 2, 3))
PUBLISHED = "net_x2.pth"
MODELS = """
import sys; from pathlib import Path; from tests import networks
here = Path(sys.argv[1])
for name, batch in (("student", "N"), ("exported", 1)):
    networks.student(here / name, here / "train.h5", here / "test.h5", batch=batch)
"""
TILES = """
import sys; from pathlib import Path; from tests import tile_files
for name, count in (("training", 6), ("validation", 4)):
    tile_files.write(Path(sys.argv[1]) / f"{name}-tiles.h5", tile_files.draw(count, 48))
"""
PAIRS = """
import sys; from pathlib import Path; from tests import pair_drawings
pair_drawings.write(Path(sys.argv[1]) / "pairs.h5")
"""
SENSORS = """
import sys; from pathlib import Path; from stages.two_sensors.main import run
run(dst=Path(sys.argv[1]) / "sensors", sites=3, patches=5, size=32)
"""
CLIENT = """
import sys; from pathlib import Path; from tests import client_networks
client_networks.pair(Path(sys.argv[1]) / "client", ("B2", "B8", "B5"))
"""
LIST = """title = "Net"
order = 1
source = "Net 2020"
variants = [2]
[[published]]
name = "{name}"
scales = [2]
licence = "MIT"
bytes = {size}
sha256 = "{digest}"
url = "https://example.org/{name}"
"""


@dataclass(frozen=True)
class Work:
    """A product that is made over and over.

    Attributes:
        stage: folder name.
        arguments: of the command line; {good} is the folder of inputs, {url} the server's.
        constants: of the module of the stage, smaller so that there is more than one block.
        reads: names of inputs that are products themselves, with records.
        trains: whether it goes on from a checkpoint.
    """

    stage: str
    arguments: tuple[str, ...]
    constants: dict[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    trains: bool = False


WORKS = {
    "prepare": Work("prepare", ("--src={good}/raw.h5",), {"BATCH": 8}),
    "tda": Work(
        "tda", ("--src={good}/test.h5", "--jobs=1", "--bins=4", "--sigma=1", "--batch=4"),
        reads=("test.h5",),
    ),
    "merge": Work(
        "merge", (f"--src={PARTS}",), {"BLOCK_BYTES": 2**18},
        reads=("part-1.h5", "part-2.h5", "part-3.h5"),
    ),
    "teacher": Work("teacher", (*SMALL, *TINY), reads=("small.h5", "test.h5"), trains=True),
    "export": Work(
        "export",
        ("--src={good}/student", *PAIR, "--calibration-per-class=1", "--latency-runs=1",
         "--threads=1", "--blame-per-class=1"),
        reads=("train.h5", "test.h5"),
    ),
    "voyager": Work(
        "voyager",
        ("--src={good}/exported", *PAIR, "--calibration=200", "--per-class-val=1", "--threads=1"),
        reads=("train.h5", "test.h5"),
    ),
    "weights": Work("weights", (f"--name={PUBLISHED}", "--mirror={url}")),
    "pairs": Work("pairs", ("--src={good}/sensors",)),
    "segment": Work(
        "segment",
        ("--train={good}/training-tiles.h5", "--validation={good}/validation-tiles.h5",
         "--architecture=pyramid-tiny", "--crop=32", "--batch=4", "--epochs=3", "--device=cpu"),
        trains=True,
    ),
    "sisr-train": Work(
        "sisr_train",
        ("--src={good}/pairs.h5", "--architecture=carn-1x1x4g2sw", "--batch=3", "--epochs=3",
         "--mode=geometric", "--known_flow", "--device=cpu"),
        trains=True,
    ),
    "scene-sr": Work(
        "scene_sr",
        ("--src={good}/scene.h5", "--model={good}/client", "--tile=64", "--threads=1",
         "--bicubic"),
    ),
}  # fmt: skip


def content() -> bytes:
    """The file that `weights` fetches."""
    return np.random.default_rng(0).bytes(2_000_003)


def make(folder: Path) -> None:
    """All inputs; those that stages make are made by them, so that they have records."""
    for name, rows, seed in (("raw", 136, 0), ("train-raw", 221, 0), ("small-raw", 51, 0),
                             ("test-raw", 34, 1)):  # fmt: skip
        write_raw(folder / f"{name}.h5", pixels(rows, seed))
    for name in ("train", "small", "test"):
        _prepare("--src", folder / f"{name}-raw.h5", "--dst", folder / f"{name}.h5")
    for number in (1, 2, 3):
        part = folder / f"part-{number}.h5"
        _prepare("--src", folder / "raw.h5", "--dst", part, "--shard", f"{number}/3")
    _prepare("--src", folder / "raw.h5", "--dst", folder / "other.h5", "--shard", "2/3",
             "--despeckle")  # fmt: skip
    with create_scene(folder / "scene.h5", (128, 160), Header(Grid.utm(32632, 6e5, 53e5))) as scene:
        for window in scene.todo():
            scene.put(window, pixels(20)["sen2"].reshape(128, 160, 10)[window.slices])
    for stage, code in (("export", MODELS), ("segment", TILES), ("sisr_train", PAIRS),
                        ("two_sensors", SENSORS), ("scene_sr", CLIENT)):  # fmt: skip
        run(stage, "-c", code, folder)
    digest = hashlib.sha256(content()).hexdigest()
    (folder / "lists").mkdir()
    (folder / "lists" / "net.toml").write_text(
        LIST.format(name=PUBLISHED, size=len(content()), digest=digest)
    )


def _prepare(*flags: str | Path) -> None:
    run("prepare", "-m", "stages.prepare.main", *flags)


def run(stage: str, *words: str | Path) -> None:
    """Run Python in the environment of a stage, if it is there."""
    python = environment_python(stage)
    if python.exists():
        done = subprocess.run([python, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
