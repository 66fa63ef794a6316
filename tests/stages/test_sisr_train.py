"""sisr_train: values known by hand, rows, shards, refusals."""

from pathlib import Path

import numpy as np
import pytest

from shared import cli, patches
from stages.sisr_train import main as stage
from tests.conftest import pixels


def command(src: Path, dst: Path, *flags: str) -> np.ndarray:
    """Run the stage as its container does; the sen2 that it wrote."""
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    with patches.read(dst, "sen2") as source:
        return source["sen2"][:]


def test_values_by_hand() -> None:
    sen2 = np.array([0.1, 1.0, 2.0], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(stage.brighten(sen2, 2.0).ravel(), [0.2, 2.0, 2.8])


def test_product_has_every_row_and_its_label(prepared: Path) -> None:
    made = command(prepared, prepared.with_name("out.h5"), "--gain=0.5")
    np.testing.assert_allclose(made, pixels(34)["sen2"] / 2, atol=0.51e-4)
    with patches.read(prepared.with_name("out.h5"), "label") as source:
        assert source.labels().tolist() == [row % 17 for row in range(34)]


@pytest.mark.parametrize("n", [2, 40])  # 40 shards of 34 rows: some are empty
def test_shards_joined_are_the_whole(prepared: Path, n: int) -> None:
    whole = command(prepared, prepared.with_name("whole.h5"))
    spans = [range((i - 1) * 34 // n, i * 34 // n) for i in range(1, n + 1)]
    parts = [
        command(prepared, prepared.with_name(f"{i}.h5"), f"--shard={i}/{n}")
        for i, span in enumerate(spans, 1)
        if span
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--gain=0", "--gain: expected above 0, found 0.0"),
        ("--gian=2", "did you mean --gain?"),
        ("--shard=3/2", "--shard: expected 1 to n before the slash"),
    ],
)
def test_refuses(
    prepared: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(prepared, prepared.with_name("out.h5"), flag)
    assert message in capsys.readouterr().err
    assert list(prepared.parent.iterdir()) == [prepared]  # nothing left behind
