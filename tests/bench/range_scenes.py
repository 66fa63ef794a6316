"""What eight bits cost a published network on real scenes: levels as published, and fitted ones.

    .venvs/distill/bin/python -m tests.bench.range_scenes

The So2Sat ResNet20 classifies 32 x 32 cuts of level 1C scenes in reflectance and in 8-bit levels:
of 0 … 2.8, between limits fitted to the cuts of all scenes, and to those of the other scenes alone.
The share of cuts whose class stays is printed, with Wilson's 95 % interval.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch.nn import functional

from shared import keras_files, lcz, models, patches
from stages.report.classifiers import interval
from tests.bench import table
from tests.samples import SAMPLES

NETWORK = "S2_RESNET20_BS16_LR2e-4_IN32-32-10_PRO-52-0R12_2019-06-27.h5"
SCENES = ("l1c_t33uub_20170527", "l1c_t49jgm_20171022", "l1c_eolearn_scenes")
ORDER = (0, 1, 2, 4, 5, 6, 3, 7, 8, 9)  # So2Sat's bands among those of 10 m and those of 20 m
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
SIDE = 32
PLAIN = models.Card(
    "x", "x", BANDS, (0.0,) * 10, (1.0,) * 10, SIDE, "bilinear", ("any",), eight_bit=True
)


def read_cuts(name: str) -> np.ndarray:
    """(N, 32, 32, 10) reflectance of a scene without gaps between its cuts."""
    if name == "l1c_eolearn_scenes":
        clear = np.load(SAMPLES / "sentinel2" / f"{name}.npy")[2:]
        bands = clear[..., [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]].astype(np.float32)
        return np.concatenate([cut(date) for date in bands]) / 1e4
    stored = np.load(SAMPLES / "sentinel2" / f"{name}.npz")
    fine, coarse = (torch.from_numpy(stored[key].astype(np.float32)) for key in ("b10m", "b20m"))
    size = tuple(fine.shape[:2])
    enlarged = functional.interpolate(coarse.permute(2, 0, 1)[None], size, mode="bicubic")[0]
    scene = torch.cat([fine, enlarged.permute(1, 2, 0)], -1)[..., list(ORDER)]
    return cut(scene.numpy()) / 1e4


def cut(scene: np.ndarray) -> np.ndarray:
    """(H, W, C) to (N, 32, 32, C), row by row."""
    high, wide = (size // SIDE for size in scene.shape[:2])
    rows = scene[: high * SIDE, : wide * SIDE].reshape(high, SIDE, wide, SIDE, -1)
    return rows.swapaxes(1, 2).reshape(high * wide, SIDE, SIDE, -1)


def fit(cuts: np.ndarray) -> models.Card:
    """What a network of ten bands would see of these cuts as its training split."""
    fields: dict[str, Any] = {
        "sen2": patches.Field(cuts.shape[1:], "uint16", lcz.SEN2),
        "label": patches.Field((1,), "uint8"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cuts.h5"
        with patches.Writer(path, len(cuts), "1/1", classes=("any",), **fields) as sink:
            for block in sink.todo(len(cuts)):
                sink.put(block, sen2=cuts[block].clip(0, 2.8), label=np.ones((len(cuts), 1))[block])
        with patches.read(path, "label") as source:
            mean, std = models.band_statistics(source, BANDS, 6)
            return models.fit_range(dataclasses.replace(PLAIN, mean=mean, std=std), source)


def see(cuts: np.ndarray, card: models.Card) -> np.ndarray:
    """The reflectance that is left of these cuts in the levels of a card."""
    levels = models.to_levels((cuts * 255 / 2.8).astype(np.float32), card)
    low, high = np.array(card.limits, np.float32).T
    return 2.8 * (low + levels / 255 * (high - low))


def span(cuts: np.ndarray, card: models.Card) -> int:
    """The fewest levels that the middle 98 % of a band spans, of all bands."""
    levels = models.to_levels((cuts * 255 / 2.8).astype(np.float32), card).reshape(-1, 10)
    low, high = np.quantile(levels, [0.01, 0.99], axis=0)
    return int((high - low + 1).min())


def main() -> None:
    """Print the table."""
    made = keras_files.to_onnx(keras_files.read(SAMPLES / "weights" / NETWORK))
    session = onnxruntime.InferenceSession(made.SerializeToString())

    def classify(of: np.ndarray) -> np.ndarray:
        images = np.ascontiguousarray(np.moveaxis(of, -1, 1), np.float32)
        return np.asarray(session.run(["logits"], {"image": images})[0]).argmax(1)

    cuts = {name: read_cuts(name) for name in SCENES}
    everywhere = fit(np.concatenate([*cuts.values()]))
    lines = []
    for name, own in cuts.items():
        others = fit(np.concatenate([of for other, of in cuts.items() if other != name]))
        truth = classify(own)
        print(name, np.bincount(truth + 1, minlength=18)[1:].tolist())
        line = [name, str(len(own))]
        for card in (PLAIN, everywhere, others):
            same = float((classify(see(own, card)) == truth).mean())
            low, high = interval(same, len(own))
            line.append(f"{100 * same:.1f} ({100 * low:.1f} … {100 * high:.1f})")
            line.append(str(span(own, card)))
        lines.append(line)
    columns = ("published", "fitted to all", "fitted to the others")
    heads = [head for name in columns for head in (f"{name}: same class, %", "fewest levels")]
    print(table.rows(["scene", "cuts", *heads], lines))


if __name__ == "__main__":
    main()
