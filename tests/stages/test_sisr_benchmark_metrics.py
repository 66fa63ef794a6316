"""sisr-benchmark-metrics: faults by hand, which metric sees which of them, files, refusals."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, sisr
from stages.sisr_benchmark_metrics import main as stage
from tests import pair_files

NONE = np.random.default_rng(0)


def command(src: Path, dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return dst


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of 32 pixels of 5 m, smooth enough that there is something to restore."""
    ndimage = pytest.importorskip("scipy.ndimage")
    path = tmp_path_factory.mktemp("in") / "pairs.h5"
    values = pair_files.write(path, pair_files.form(20))
    smooth = ndimage.gaussian_filter(values["high"].astype(float), (0, 0.8, 0.8, 0))
    with h5py.File(path, "r+") as file:
        file["high"][:] = np.rint(smooth)
    return path


@pytest.fixture(scope="module")
def made(src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(src, tmp_path_factory.mktemp("out") / "metrics", "--split=validation")


def table(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Metrics by fault and size."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("fault", "size", "unit")]
    return {(row["fault"], row["size"]): {n: float(row[n]) for n in names} for row in rows}


# --- faults ---------------------------------------------------------------------------------------
def test_faults_by_hand() -> None:
    from stages.sisr_benchmark_metrics import faults

    image = np.random.default_rng(1).random((24, 24, 2))
    np.testing.assert_allclose(faults.add_bias(image, 0.1, NONE) - image, 0.1)
    np.testing.assert_allclose(faults.multiply(image, 1.5, NONE), 1.5 * image)
    np.testing.assert_allclose(faults.move(image, 2, NONE)[:, 2:], image[:, :-2], atol=1e-9)
    noisy = faults.add_noise(np.zeros((200, 200, 1)), 0.01, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.01, rel=0.02)
    point = np.zeros((25, 25, 1))
    point[12, 12] = 1
    blurred = faults.blur(point, 1.0, NONE)[..., 0]
    assert blurred[12, 13] / blurred[12, 12] == pytest.approx(np.exp(-0.5))
    sharper = faults.sharpen(point, 0.5, NONE)[..., 0]
    np.testing.assert_allclose(sharper, point[..., 0] * 1.5 - 0.5 * blurred)


def test_the_first_cases_are_the_reference_and_the_input() -> None:
    from stages.sisr_benchmark_metrics import faults

    image, enlarged = np.zeros((4, 4, 1)), np.ones((4, 4, 1))
    exact, given = faults.list_cases()[:2]
    assert faults.spoil(image, enlarged, exact, NONE) is image
    assert faults.spoil(image, enlarged, given, NONE) is enlarged
    assert len(set(faults.list_cases())) == 2 + 6 * 3


# --- metrics --------------------------------------------------------------------------------------
def test_the_reference_is_perfect_and_the_input_restores_nothing(made: Path) -> None:
    told = table(made)
    exact, given = told["reference", ""], told["cubic", ""]
    assert (exact["psnr"], exact["frr"], exact["arr"]) == (100, 100, exact["prr"])
    assert [exact[n] for n in ("rmse", "low_fidelity", "high_fidelity", "fro", "fru")] == [0] * 5
    assert (given["arr"], given["frr"]) == (0, 0)
    assert given["psnr"] < 60


def test_each_fault_moves_the_metrics_that_it_should(made: Path) -> None:
    told = table(made)
    exact = told["reference", ""]
    assert told["shift", "2"]["best_shift_psnr"] == pytest.approx(100)
    assert told["shift", "2"]["psnr"] < told["shift", "0.25"]["psnr"]
    for size, level in (("0.002", 0.002), ("0.03", 0.03)):
        bias = told["bias", size]
        assert bias["rmse"] == pytest.approx(level)
        assert bias["low_fidelity"] == pytest.approx(level)
        assert bias["high_fidelity"] == pytest.approx(0, abs=1e-6)
    gain = told["gain", "1.1"]
    assert [gain[n] for n in ("arr", "frr", "fro")] == pytest.approx([exact["prr"], 100, 0])
    assert told["blur", "2"]["frr"] < told["blur", "0.5"]["frr"] < 100
    assert told["blur", "2"]["fru"] < 0
    assert 0 < told["sharpening", "0.5"]["fro"] < told["sharpening", "2"]["fro"]
    assert told["noise", "0.01"]["rmse"] == pytest.approx(0.01, rel=0.1)


def test_reactions_are_shares_of_the_largest(made: Path) -> None:
    content = json.loads((made / "metrics.json").read_text())
    assert content["rows"] == 2
    assert len(content["cases"]) == 20
    told = table(made)
    names = {name for name in told["reference", ""] if name != "prr"}
    assert all(values.keys() == names for values in content["reaction"].values())
    for name in names:
        shares = [values[name] for values in content["reaction"].values()]
        assert max(shares) == pytest.approx(1)
        assert min(shares) >= 0
    apart = {f: abs(told[f, s]["rmse"]) for f, s in (("bias", "0.03"), ("noise", "0.01"))}
    reaction = content["reaction"]
    ratio = reaction["noise"]["rmse"] / reaction["bias"]["rmse"]
    assert ratio == pytest.approx(apart["noise"] / apart["bias"], abs=1e-3)
    assert (made / "reaction.png").read_bytes().startswith(b"\x89PNG")


def test_the_truth_is_the_reference_where_it_is_known() -> None:
    stored = np.random.default_rng(0).integers(0, 9000, (3, 20, 20, 3))
    rows = SimpleNamespace(raw=lambda part: stored[part])
    form = sisr.Form(16, {"high": sisr.Bands(("B2", "B8"), 5.0)}, simulated=True)
    drawn: Any = SimpleNamespace(form=form, source={"truth": rows})
    (image,) = stage.read_images(drawn, np.array([2]))
    np.testing.assert_allclose(image, stored[2, ..., :2] / 1e4)  # B11 is in the truth alone


# --- runs -----------------------------------------------------------------------------------------
def test_another_run_gives_the_same_bytes(src: Path, made: Path, tmp_path: Path) -> None:
    again = command(src, tmp_path / "again", "--split=validation")
    assert sorted(path.name for path in again.iterdir()) == [
        "metrics.csv", "metrics.json", "reaction.png",
    ]  # fmt: skip
    for path in again.iterdir():
        assert path.read_bytes() == (made / path.name).read_bytes()
    other = table(command(src, tmp_path / "other", "--split=validation", "--seed=1"))
    assert other["noise", "0.01"] != table(made)["noise", "0.01"]
    assert other["blur", "2"] == table(made)["blur", "2"]


def test_rows_are_spread_over_the_split(src: Path, tmp_path: Path) -> None:
    with sisr.Pairs(src) as pairs:
        assert stage.choose_rows(pairs, "validation", 16).tolist() == [1, 4]
        assert stage.choose_rows(pairs, "validation", 1).tolist() == [1]
    content = json.loads((command(src, tmp_path / "a") / "metrics.json").read_text())
    assert content["rows"] == 1  # one row is for testing


def test_refuses(tmp_path: Path, capsys: Any) -> None:
    small = tmp_path / "small.h5"
    pair_files.write(small, pair_files.form(8))
    flat = tmp_path / "flat.h5"
    pair_files.write(flat, pair_files.form(20))
    with h5py.File(flat, "r+") as file:
        file["high"][:, 8:-8, 8:-8, 1] = 300
    none = tmp_path / "none.h5"
    pair_files.write(none, pair_files.form(16))
    with h5py.File(none, "r+") as file:
        file["split"][:] = 0
    for path, message in (
        (small, "expected 32 pixels along a side of high or more, found 16"),
        (flat, "flat.h5: high: B8: expected more than one value, found one in all images"),
        (none, "expected testing rows, found none; --split names others"),
    ):
        with pytest.raises(SystemExit, match="2"):
            command(path, tmp_path / "out")
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
