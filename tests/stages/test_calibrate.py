"""calibrate: coverage of whole cities, what the file holds, what is refused."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, conformal, lcz
from shared.models import scores
from stages.calibrate import main as stage

ROWS, CITIES = 3000, 6


def draw(folder: Path, seed: int = 0, city: bool = True) -> tuple[Path, Path]:
    """Scores of a network that is right as often as it says, and the patch file of its rows."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((ROWS, 17)) * 3
    values = scores.softmax(logits)
    labels = (values.cumsum(1) > rng.random((ROWS, 1))).argmax(1)
    (folder / "net").mkdir(parents=True)
    scores.write(folder / "net", labels, values, lcz.CLASSES)
    with h5py.File(folder / "testing.h5", "w") as file:
        file["label"] = np.eye(17)[labels]
        if city:
            file["city"] = rng.integers(0, CITIES, ROWS).astype("i4")
            file["city"].attrs["names"] = [f"city {n}" for n in range(CITIES)]
    return folder / "net", folder / "testing.h5"


def command(src: Path, test: Path, dst: Path, *flags: str) -> dict[str, Any]:
    """Run the stage as its container does; the content of its product."""
    cli.main(stage.run, [f"--src={src}", f"--test={test}", f"--dst={dst}", *flags])
    content: dict[str, Any] = json.loads(dst.read_text())
    return content


@pytest.mark.parametrize("method", conformal.METHODS)
def test_cities_get_what_was_promised(tmp_path: Path, method: str) -> None:
    net, test = draw(tmp_path)
    made = command(net, test, tmp_path / "c.json", f"--method={method}")
    assert [one["coverage"] for one in made["coverages"]] == [0.8, 0.9, 0.95]
    for one in made["coverages"]:
        assert [city["city"] for city in one["cities"]] == [f"city {n}" for n in range(CITIES)]
        assert sum(city["rows"] for city in one["cities"]) == made["rows"] == ROWS
        if method == "lac":
            assert all(city["low"] <= city["reached"] <= city["high"] for city in one["cities"])
            assert one["cities_within"] == CITIES
        assert one["reached"] >= one["coverage"] - 0.02
    sizes = [one["size"] for one in made["coverages"]]
    assert sizes == sorted(sizes)
    assert method == "lac" or not any(one["empty"] for one in made["coverages"])


def test_an_overconfident_network_still_keeps_the_promise(tmp_path: Path) -> None:
    """Its top score is far above how often it is right; the sets are not."""
    net, test = draw(tmp_path)
    values = np.load(net / "test_scores.npy").astype(float) ** 3
    labels = np.load(net / "test_labels.npy")
    scores.write(net, labels, values / values.sum(1, keepdims=True), lcz.CLASSES)
    assert scores.calibration_error(labels, np.load(net / "test_scores.npy")) > 0.2
    (one,) = command(net, test, tmp_path / "c.json", "--coverage=0.9")["coverages"]
    assert one["cities_within"] == CITIES


def test_the_file_gives_the_limit(tmp_path: Path) -> None:
    net, test = draw(tmp_path)
    made = command(net, test, tmp_path / "c.json")
    values, labels = np.load(net / "test_scores.npy"), np.load(net / "test_labels.npy")
    strange = 1 - values[np.arange(ROWS), labels].astype(float)
    np.testing.assert_array_equal(made["strangeness"], np.sort(strange))
    calibration = conformal.load(tmp_path / "c.json")
    sets = calibration.sets(values, 0.9)
    assert sets[np.arange(ROWS), labels].sum() == int(np.ceil(0.9 * (ROWS + 1)))


def test_says_what_is_reached(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net, test = draw(tmp_path)
    command(net, test, tmp_path / "c.json", "--coverage=0.9")
    assert "net: promised 90%, reached " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "flag", "message"),
    [
        ("no city", "", "testing.h5: expected dataset 'city', found ['label']; whole cities must"),
        ("one city", "", "city: expected two cities or more, numbered from 0, found 1"),
        ("labels", "", "testing.h5: labels differ from"),
        ("", "--coverage=1.5", "--coverage: expected 0.01 to 0.999 or several"),
        ("", "--method=raps", "--method: expected lac or aps, found 'raps'"),
    ],
)
def test_refuses(  # type: ignore[no-untyped-def]
    tmp_path, capfd, change, flag, message
) -> None:
    net, test = draw(tmp_path, city=change != "no city")
    with h5py.File(test, "a") as file:
        if change == "one city":
            file["city"][:] = 0
        if change == "labels":
            file["label"][0] = np.roll(file["label"][0], 1)
    with pytest.raises(SystemExit, match="2"):
        command(net, test, tmp_path / "c.json", *([flag] if flag else []))
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "testing.h5"]
