"""Stages killed at random moments, ten times over, end with the product of an undisturbed run."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.runs import lock, record
from shared.scenes import Grid, Header, create_scene
from tests.conftest import pixels, write_patches, write_raw
from tests.e2e.inputs import under
from tests.e2e.stage import Stage, warm

KILLS = 10
PAIRS = """
import sys; from pathlib import Path; from tests import pair_drawings
pair_drawings.write(Path(sys.argv[1]) / "pairs.h5")
"""
FINER = """
import sys; from pathlib import Path; from tests import client_networks
options = client_networks.Options(grid=8, detail=0.04)
client_networks.pair(Path(sys.argv[1]) / "finer", ("B4", "B8"), options)
"""
NETWORK = """
import sys; from pathlib import Path; from shared import lcz; from tests import networks
here = Path(sys.argv[1])
train, test = here / "train.h5", here / "test.h5"
networks.student(here / "student", train, test, bands=lcz.SEN2.bands)
"""


@pytest.fixture
def prepare() -> Iterator[Stage]:
    """The row-wise stage, writing eight rows at a time."""
    with warm("prepare", BATCH=8) as stage:
        yield stage


@pytest.fixture
def teacher() -> Iterator[Stage]:
    """The trainer, its libraries imported."""
    with warm("teacher") as stage:
        yield stage


def begun(stage: Stage, dst: Path) -> bool:
    """Wait until a run has something to lose; False when it ended before."""
    while not lock.partial_path(dst).exists():
        if stage.ended(0.001):
            return False
    return True


def undisturbed(stage: Stage, arguments: list[str], dst: Path) -> float:
    """Run to the end; the seconds between the first byte and the last."""
    stage.start([*arguments, f"--dst={dst}"])
    assert begun(stage, dst)
    start = time.monotonic()
    assert stage.status() == 0, stage.text("stderr")
    return time.monotonic() - start


def clear(dst: Path) -> None:
    for path in list(dst.parent.glob(f"{dst.name}*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def contents(product: Path) -> dict[str, bytes]:
    files = record.files_of(product)
    return {str(file.relative_to(product)): file.read_bytes() for file in files}


def plan(product: Path) -> Any:
    written = record.load(product)
    assert written is not None
    return written["plan"]


def check(stage: Stage, arguments: list[str], tmp_path: Path) -> None:
    """Kill ten runs at moments spread over the whole work, then let one end; compare."""
    whole, dst = tmp_path / "whole" / "product", tmp_path / "killed" / "product"
    seconds = undisturbed(stage, arguments, whole)
    moments, killed = random.Random(42), 0
    while killed < KILLS:
        pid = stage.start([*arguments, f"--dst={dst}"])
        if begun(stage, dst) and not stage.ended(moments.uniform(0, seconds)):
            os.kill(pid, signal.SIGKILL)
        status = stage.status()
        assert status in (0, -signal.SIGKILL), stage.text("stderr")
        killed += status != 0
        if dst.exists():  # done: begin again, so that the kills meet work
            assert contents(dst) == contents(whole)
            clear(dst)
    stage.start([*arguments, f"--dst={dst}"])
    assert stage.status() == 0, stage.text("stderr")
    assert contents(dst) == contents(whole)
    assert plan(dst) == plan(whole)
    assert {path.name for path in dst.parent.iterdir()} == {"product", "product.run.json"}


def test_row_wise_stage(prepare: Stage, tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw.h5", pixels(340))
    check(prepare, [f"--src={raw}"], tmp_path)


def test_stage_of_blocks(tmp_path: Path) -> None:
    """A scene, of whose 8 blocks each is written, marked and on disk before the next."""
    values = np.random.default_rng(0).integers(1, 9000, (2048, 200, 10)).astype(np.uint16)
    np.save(tmp_path / "l1c.npy", values)
    with warm("scene") as stage:
        check(stage, [f"--src={tmp_path / 'l1c.npy'}"], tmp_path)


def test_map(tmp_path: Path) -> None:
    """Killed among rows of cells or while it draws; what is left of drafts is in no product."""
    write_patches(tmp_path / "train.h5", pixels(221))
    write_patches(tmp_path / "test.h5", pixels(34, seed=1))
    scene, values = tmp_path / "scene.h5", pixels(96)["sen2"].reshape(8 * 32, 12 * 32, 10)
    with create_scene(scene, values.shape[:2], Header(Grid.utm(32632, 6e5, 53e5))) as sink:
        for window in sink.todo():
            sink.put(window, values[window.slices])
    with warm("map") as stage:
        under("map", NETWORK, tmp_path)
        flags = ["--filter=majority", "--probabilities", "--threads=1"]
        check(stage, [f"--src={scene}", f"--model={tmp_path / 'student'}", *flags], tmp_path)


def test_trainer(teacher: Stage, tmp_path: Path) -> None:
    train = write_patches(tmp_path / "train.h5", pixels(68))
    test = write_patches(tmp_path / "test.h5", pixels(34, seed=1))
    small = ["--architecture=test_resnet", "--members=2", "--epochs=2", "--batch=34", "--size=32"]
    check(teacher, [f"--train={train}", f"--test={test}", "--device=cpu", *small], tmp_path)


def test_trainer_of_a_super_resolver(tmp_path: Path) -> None:
    """SwinIR, small; killed while rows are corrected, in an epoch, or while results are written."""
    with warm("sisr_train") as stage:
        under("sisr_train", PAIRS, tmp_path)
        words = [
            "--architecture=swinir-1x2x6h2w4", "--epochs=4", "--batch=3", "--border=4",
            "--mode=baseline", "--device=cpu",
        ]  # fmt: skip
        check(stage, [f"--src={tmp_path / 'pairs.h5'}", *words], tmp_path)


def test_a_scene_that_is_enlarged(tmp_path: Path) -> None:
    """Killed among tiles on the grid of a network, or while an image is compressed."""
    scene, values = tmp_path / "scene.h5", pixels(96)["sen2"].reshape(8 * 32, 12 * 32, 10)
    with create_scene(scene, values.shape[:2], Header(Grid.utm(32632, 6e5, 53e5))) as sink:
        for window in sink.todo():
            sink.put(window, values[window.slices])
    with warm("scene_sr") as stage:
        under("scene_sr", FINER, tmp_path)
        flags = ["--tile=90", "--threads=1", "--bicubic", f"--model={tmp_path / 'finer'}"]
        check(stage, [f"--src={scene}", *flags], tmp_path)
