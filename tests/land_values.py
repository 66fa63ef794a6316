"""What the procedural land looks like, in numbers: published figures are of this land and no other.

    .venvs/orthophoto/bin/python -m tests.land_values

writes land_values.json anew, after a change of the land that is meant.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".json")
SEED, EACH = 42, 3  # patches of each zone


def measure_patches() -> dict[str, list[float]]:
    """Means and standard deviations of the bands of `demo`, by zone: sen1 as log(1 + |x|)."""
    from stages.demo.main import patch

    found = {}
    for zone in range(17):
        rows = [patch(zone, zone + 17 * number, SEED, 0) for number in range(EACH)]
        bands = [
            np.stack([np.log1p(np.abs(row["sen1"])) for row in rows]),
            np.stack([row["sen2"] for row in rows]),
        ]
        found[f"zone {zone}"] = [
            float(value) for of in bands
            for value in (*of.mean((0, 1, 2)), *of.std((0, 1, 2)))
        ]  # fmt: skip
    return found


def measure_pictures() -> dict[str, list[float]]:
    """Means and standard deviations of red, green and blue of `orthophoto`, shares of classes."""
    from stages.orthophoto.main import draw

    found = {}
    for number in range(EACH):
        picture, mask = draw(SEED, number, 512, 0.5)
        shares = np.bincount(mask.ravel(), minlength=5) / mask.size
        figures = (*picture.mean((0, 1)), *picture.std((0, 1)), *shares)
        found[f"picture {number}"] = [float(value) for value in figures]
    return found


def compare(found: dict[str, list[float]]) -> None:
    """Fail where the land is another one; processors may round differently."""
    kept: dict[str, Any] = json.loads(FILE.read_text())
    for name, values in found.items():
        np.testing.assert_allclose(values, kept[name], 1e-4, 1e-6, err_msg=name)


def main() -> None:
    """Write the file."""
    found = measure_patches() | measure_pictures()
    rounded = {name: [float(f"{value:.7g}") for value in values] for name, values in found.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(of)}" for name, of in rounded.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
