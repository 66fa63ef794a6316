"""Networks for super-resolution across sensors beside a cubic, over seeds.

    .venvs/dev/bin/python -m tests.bench.sisr_gain --out FOLDER

Two tables: the three modes of sisr-train on drawn pairs, whose truth is known, and CARN beside EDSR
and SwinIR of this toolchain on real patches by Wald's protocol (those of `tests.samples`; without
them that table is left out). The EDSR of sr-train, which takes one band at a time, learns from the
same patches. It goes on where it was stopped. Writes sisr-gain.md, which it prints as well.
"""

import argparse
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from shared import sisr
from tests.bench import table
from tests.bench.distill import ROOT, names_of, start_stage
from tests.bench.segment_levels import run
from tests.samples import SAMPLES

MODES = {"baseline": "baseline", "geometric": "geometric", "radiometric": "geometric+radiometric"}
# Alike in how much they learn. SwinIR's own margin would leave nothing of a patch: EDSR's is taken.
NETWORKS = {
    "carn": "carn-1x2x8g2sw", "edsr": "edsr-2x16", "swinir": "swinir-2x2x16h2 --border 16",
    "carn-longer": "carn-1x2x8g2sw --epochs 50 --t_0 1000",
}  # fmt: skip
# The size of EDSR above, and as many bands of patches as the longer CARN sees.
ONE_BAND = "--method edsr --width 16 --depth 2 --steps 500 --batch 64 --lr 3e-3 --device cpu"
REGISTER = "--width 8 --epochs 12 --lr 2e-3"
TRAIN = "--batch 8 --lr 2e-3 --t_0 80 --device cpu"
DRAWN = {
    "psnr_truth": ("PSNR against the truth, dB", 2), "frr_truth": ("FRR against the truth, %", 1),
    "low_fidelity": ("fidelity to the input (RMSE)", 4), "flow_mean": ("displacement, pixels", 3),
    "radiometric_mean": ("bias", 4),
}  # fmt: skip
REAL = {
    "psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 4), "frr": ("FRR, %", 1),
    "low_fidelity": ("fidelity to the input (RMSE)", 4),
}  # fmt: skip
Columns = Mapping[str, tuple[str, int]]
Figures = dict[str, dict[str, list[float]]]  # image, metric: a value a seed


def draw_pairs(out: Path) -> Path:
    """The drawn pairs and the registration network that all seeds have."""
    drawn, pairs = out / "two-sensors", out / "drawn.h5"
    run("two_sensors", "--dst", drawn)
    run("pairs", "--src", drawn, "--dst", pairs)
    run("register", "--src", pairs, "--dst", out / "register", *shlex.split(REGISTER))
    return pairs


def read_patches(patches: Path, out: Path) -> Path:
    """Pairs of the real patches by Wald's protocol."""
    file, pairs = out / "patches.h5", out / "wald.h5"
    if not file.exists():
        with h5py.File(file.with_suffix(".partial"), "w") as stored:
            stored["sen2"] = np.load(patches).astype(np.float32) / 10_000
        file.with_suffix(".partial").rename(file)
    run("pairs", "--src", file, "--dst", pairs)
    return pairs


def learn_one_band(pairs: Path, like: Path, out: Path, seed: int) -> Path:
    """The EDSR of sr-train from the training rows of the pairs, as a folder like that of `like`."""
    patches, weights = out / "learned.h5", out / str(seed) / "edsr.safetensors"
    if not patches.exists():
        with h5py.File(pairs) as known, h5py.File(patches.with_suffix(".partial"), "w") as stored:
            high = known["high"]
            rows = np.flatnonzero(known["split"][:] == sisr.SPLITS.index("training"))
            stored["sen2"] = high[rows].astype(np.float32) / sisr.PER_UNIT
            stored["sen2"].attrs["bands"] = known["high_bands"].attrs["names"]
            stored["label"] = np.ones((len(rows), 1))
            stored.attrs["classes"] = ["any"]
        patches.with_suffix(".partial").rename(patches)
    prepared, made = out / "prepared.h5", out / str(seed) / "edsr-of-sr-train"
    run("prepare", "--src", patches, "--dst", prepared)
    run("sr_train", "--src", prepared, "--dst", weights, "--seed", seed, *shlex.split(ONE_BAND))
    python = str(ROOT / ".venvs" / "sisr_train" / "bin" / "python")
    words = ("--weights", weights, "--like", like, "--dst", made)
    start_stage([python, "-m", "tests.bench.sisr_one_band", *map(str, words)])
    return made


def measure(
    pairs: Path, ways: Mapping[str, str], out: Path, seeds: list[int], flags: str
) -> Figures:
    """Train what is missing; means over the bands of the test rows, by image and metric.

    Where the pairs are real, the EDSR of sr-train is measured with them.

    Args:
        pairs: pair file.
        ways: flags of sisr-train by the name of the network.
        out: folder of the products.
        seeds: of the training.
        flags: of all networks; those of a way win.
    """
    figures: Figures = {}
    for seed in seeds:
        made = [out / str(seed) / name for name in ways]
        for folder, own in zip(made, ways.values(), strict=True):
            said = names_of(shlex.split(flags)) | names_of(shlex.split(own)) | {"seed": str(seed)}
            words = [word for flag, value in said.items() for word in (f"--{flag}", value)]
            run("sisr_train", "--src", pairs, *words, "--dst", folder)
        if out.name == "real":
            made.append(learn_one_band(pairs, made[0], out, seed))
        told = out / f"eval-{seed}"
        placed = ("--registration", out.parent / "register") if out.name == "drawn" else ()
        names = ",".join(map(str, made))
        run("sisr_eval", "--src", pairs, "--networks", names, *placed, "--dst", told)
        for image, bands in json.loads((told / "metrics.json").read_text())["metrics"].items():
            for metric, value in bands["mean"].items():
                figures.setdefault(image, {}).setdefault(metric, []).append(value)
    return figures


def page(title: str, figures: Figures, columns: Columns) -> str:
    """A table as Markdown: means over the seeds, and their deviation where it is not zero."""
    lines = [
        [image, *(_cell(told.get(metric, []), digits) for metric, (_, digits) in columns.items())]
        for image, told in figures.items()
    ]
    head = ["image", *(text for text, _ in columns.values())]
    return f"## {title}\n\n{table.rows(head, lines)}\n"


def _cell(values: list[float], digits: int) -> str:
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if np.ptp(values) else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def main() -> None:
    """Draw, read, train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of products and table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--epochs", type=int, default=10, help="of every network")
    parser.add_argument("--flags", default=TRAIN, help="of sisr-train")
    parser.add_argument("--real", action="store_true", help="the table of real patches alone")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=NETWORKS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    flags = f"{given.flags} --epochs {given.epochs}"
    seeds = ", ".join(map(str, given.seeds))
    said = f"`make bench-sisr-gain`: `sisr-train {flags}`, seeds {seeds}; test rows.\n"
    text = f"# Super-resolution across sensors, beside a cubic\n\n{said}\n"
    if not given.real:
        drawn = measure(draw_pairs(given.out), list_modes(given.out), given.out / "drawn",
                        given.seeds, flags)  # fmt: skip
        text += page(f"Drawn pairs, ×2, {NETWORKS['carn']}", drawn, DRAWN)
    real = SAMPLES / "sentinel2" / "l2a_patches.npy"
    if real.is_file():
        ways = {n: f"--architecture {NETWORKS[n]} --mode baseline" for n in given.networks}
        pairs = read_patches(real, given.out)
        found = measure(pairs, ways, given.out / "real", given.seeds, flags)
        text += page("Real patches by Wald's protocol, 20 m to 10 m", found, REAL)
    (given.out / "sisr-gain.md").write_text(text)
    print(text)


def list_modes(out: Path) -> dict[str, str]:
    """Flags of sisr-train by the name of the mode."""
    register = shlex.quote(str(out / "register"))
    return {
        name: f"--architecture {NETWORKS['carn']} --mode {mode}"
        + (f" --registration {register}" if mode != "baseline" else "")
        for name, mode in MODES.items()
    }


if __name__ == "__main__":
    main()
