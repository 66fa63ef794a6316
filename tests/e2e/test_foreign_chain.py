"""A network of others through the chain: teacher, distill, export, voyager; the same classes."""

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from shared import lcz
from tests.conftest import pixels, write_patches
from tests.e2e.inputs import ROOT, under

STAGES = ("teacher", "distill", "export", "voyager")
# The network as Keras writes it, for one picture, and its classes as numpy alone says them.
GIVEN = """
import sys; import numpy; from pathlib import Path
from shared import models, patches
from tests import foreign
here, style = Path(sys.argv[1]), foreign.STYLES["keras-batch-1"]
card = {"bands": ["B12", "B8", "B5"], "mean": [0.03] * 3, "std": [0.01] * 3}
foreign.folder(here / "given", style, **card)
(card,) = models.load(here / "given")
for split in ("train", "test"):
    with patches.read(here / f"{split}.h5", "label") as source:
        values = models.read_scaled(source, card.bands, slice(0, source.total))
    classes = style.logits(models.preprocess(values, card)).argmax(1)
    numpy.save(here / f"{split}_classes.npy", classes)
"""
# Classes of an ONNX file on the test rows.
CLASSES = """
import sys; import numpy; import onnxruntime; from pathlib import Path
from shared import models, patches
here = Path(sys.argv[1])
(card,) = models.load(here / "exported")
with patches.read(here / "test.h5", "label") as source:
    values = models.read_scaled(source, card.bands, slice(0, source.total))
session = onnxruntime.InferenceSession(here / "bundle" / "model.onnx")
rows = [session.run(["logits"], {"input": row[None]})[0] for row in models.preprocess(values, card)]
numpy.save(here / "bundle_classes.npy", numpy.concatenate(rows).argmax(1))
"""


def eight_bit_rows(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Reflectance on whole levels of 0 … 255, so that pictures hold all that there is."""
    arrays = pixels(rows, seed)
    levels = np.round(arrays["sen2"] / lcz.SEN2.high * 255)
    return arrays | {"sen2": levels * lcz.SEN2.high / 255}


def run(stage: str, folder: Path, dst: str, *flags: str) -> Path:
    """One stage in its own environment, on the splits of the folder."""
    python = ROOT / ".venvs" / stage / "bin" / "python"
    files = [f"--{split}={folder / split}.h5" for split in ("train", "test")]
    line = [str(python), "-m", f"stages.{stage}.main", *files, f"--dst={folder / dst}", *flags]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / dst


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patch files, the given network and the teacher that it becomes."""
    for stage in STAGES:
        if not (ROOT / ".venvs" / stage / "bin" / "python").exists():
            pytest.skip(f"no .venvs/{stage}: make .venvs/{stage}")
    folder = tmp_path_factory.mktemp("chain")
    write_patches(folder / "train.h5", eight_bit_rows(221))
    write_patches(folder / "test.h5", eight_bit_rows(34, seed=1))
    under("export", GIVEN, folder)
    run("teacher", folder, "teacher", f"--checkpoint={folder / 'given'}", "--device=cpu")
    return folder


def classes(path: Path) -> np.ndarray:
    """(N,) classes of (N, K) stored scores or logits."""
    rows: np.ndarray = np.load(path)
    return rows.argmax(1)


def read_bundle_classes(folder: Path) -> np.ndarray:
    """(N,) classes of the pictures of a bundle, in the order of the rows they are named by."""
    python = ROOT / ".venvs" / "export" / "bin" / "python"
    bundle, table = folder / "bundle", folder / "pictures.csv"
    flags = [f"--bundle={bundle}", f"--images={bundle / 'val'}", f"--dst={table}"]
    line = [str(python), "-m", "stages.export.check", *flags]
    subprocess.run(line, cwd=ROOT, capture_output=True, check=True)
    with table.open(newline="") as file:
        _, _, *names = next(lines := csv.reader(file))
        classes = {int(Path(row[0]).stem): names.index(row[1]) for row in lines}
    table.unlink()
    return np.array([classes[row] for row in range(len(classes))])


def export_and_ship(folder: Path, src: Path) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the exported network on the test rows, and of the bundle on its pictures."""
    small = (
        "--calibration_per_class=1", "--latency_runs=1", "--scheme=per_tensor_min_max",
        "--blame_per_class=1",
    )  # fmt: skip
    exported = run("export", folder, "exported", f"--src={src}", *small)
    run(
        "voyager", folder, "bundle", f"--src={exported}", "--calibration=200", "--per_class_val=0",
        "--threads=1",
    )  # fmt: skip
    under("export", CLASSES, folder)
    shipped = np.load(folder / "bundle_classes.npy")
    np.testing.assert_array_equal(shipped, classes(exported / "test_logits.npy"))
    return shipped, read_bundle_classes(folder)


def clear(folder: Path) -> None:
    """Without what `export_and_ship` made."""
    for name in ("exported", "bundle"):
        for path in folder.glob(f"{name}*"):
            subprocess.run(["rm", "-r", path], check=True)


def test_teacher_says_what_was_given(chain: Path) -> None:
    for split in ("train", "test"):
        given = np.load(chain / f"{split}_classes.npy")
        assert len({*given}) > 2  # it tells the rows apart, so this says something
        np.testing.assert_array_equal(classes(chain / "teacher" / f"{split}_logits.npy"), given)
    scores = chain / "teacher" / "test_scores.npy"
    np.testing.assert_array_equal(classes(scores), np.load(chain / "test_classes.npy"))


@pytest.mark.parametrize("src", ["given", "teacher"])
def test_the_network_itself_reaches_the_bundle(chain: Path, src: str) -> None:
    given = np.load(chain / "test_classes.npy")
    shipped, pictured = export_and_ship(chain, chain / src)
    np.testing.assert_array_equal(shipped, given)
    np.testing.assert_array_equal(pictured, given)
    accuracy = float((given == np.arange(34) % 17).mean())
    measured = json.loads((chain / "bundle" / "readback.json").read_text())["accuracy"]
    assert measured["png"]["overall_accuracy"] == pytest.approx(accuracy)
    clear(chain)


def test_a_student_of_it_reaches_the_bundle(chain: Path) -> None:
    """Learning from the file itself, or from what the teacher said, is the same."""
    given, said = np.load(chain / "test_classes.npy"), []
    accuracy = float((given == np.arange(34) % 17).mean())
    for way, source in (("onnx", "given"), ("teacher", "teacher")):
        student = run(
            "distill", chain, f"student-{way}", f"--{way}={chain / source}", "--size=32",
            "--architecture=test_resnet", "--epochs=2", "--batch=34", "--nobaseline",
            "--device=cpu",
        )  # fmt: skip
        metrics = json.loads((student / "metrics.json").read_text())
        assert metrics["teacher_accuracy"] == pytest.approx(accuracy)
        said.append(np.load(student / "test_logits.npy"))
    np.testing.assert_allclose(said[0], said[1], atol=1e-3)  # up to what a softmax does not tell
    shipped, pictured = export_and_ship(chain, student)
    np.testing.assert_array_equal(shipped, said[1].argmax(1))
    np.testing.assert_array_equal(pictured, shipped)
    clear(chain)
