"""The table of bench-segment-levels: means over seeds, and differences of the same seeds."""

from pathlib import Path

import pytest

from shared import tiles
from tests.bench import segment_levels as bench

NAMES = (*tiles.CLASSES, "mean")


def test_means_and_differences_by_hand() -> None:
    finest = {name: [40.0, 42.0, 44.0] for name in NAMES}
    coarsest = {name: [10.0, 11.0, 12.0] for name in NAMES}
    head = {"images": 3, "size": 512, "tile": 256, "flags": "--lr 1", "epochs": 2, "seeds": "1, 2"}
    text = bench.page({"finest": finest, "coarsest": coarsest}, **head)
    # Differences 30, 31, 32: a deviation of 1, and 4.303 of Student's t for two degrees of freedom.
    assert "| road | 42.0 | 11.0 | +31.0 [+28.5, +33.5] |" in text
    assert text.count("\n| ") == 8


def test_every_seed_is_trained_with_both_levels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[str] = []

    def start(command: list[str]) -> None:
        commands.append(" ".join(command[3:]))
        dst = Path(command[command.index("--dst") + 1])
        dst.mkdir()
        (dst / "metrics.json").write_text(
            '{"test": {"mean_iou": 0.5, "per_class": {"road": {"iou": 0.25}}}}'
        )

    monkeypatch.setattr(bench, "start_stage", start)
    figures = bench.measure(tmp_path, tmp_path, [1, 2], 3, "--crop 64")
    assert figures["finest"] == {"road": [25.0, 25.0], "mean": [50.0, 50.0]}
    assert [("--level finest" in one, "--seed 1" in one) for one in commands] == [
        (True, True), (False, True), (True, False), (False, False),
    ]  # fmt: skip
    assert all("--crop 64" in one and "--epochs 3" in one for one in commands)
