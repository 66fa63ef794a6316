"""The reference's way to a training sample: one row of the HDF5 file at a time, on the CPU."""

import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

# cv2 is in no stage's lock: make bench-train puts it here.
sys.path.append(str(Path(__file__).resolve().parents[2] / ".venvs" / "bench_train"))

SIZE, BATCH, BANDS = 224, 64, [2, 1, 0]
MEAN, STD = np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32)


def write(path: Path, rows: int) -> Path:
    """A file as So2Sat LCZ42 is distributed: contiguous float64, 32 x 32, both sensors."""
    rng, classes = np.random.default_rng(0), np.arange(rows) % 17
    level = 0.05 + 0.01 * classes[:, None, None, None]
    with h5py.File(path, "w") as file:
        file["sen1"] = 0.1 * rng.standard_normal((rows, 32, 32, 8)) + level
        file["sen2"] = np.round(level + 0.1 * rng.random((rows, 32, 32, 10)), 4)
        file["label"] = np.eye(17)[classes]
    return path


def warp(band: np.ndarray, flip: bool, matrix: np.ndarray) -> np.ndarray:
    """(224, 224) mirrored, turned and moved: bilinear, zero fill."""
    import cv2

    band = cv2.flip(band, 1) if flip else band
    return cv2.warpAffine(band, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)


def despeckled(sen1: np.ndarray) -> np.ndarray:
    """(H, W, C) in whole levels of 0 … 255, each channel by non-local means."""
    import cv2

    levels = (np.clip(sen1, -0.5, 0.5) * 255 + 127.5).astype(np.uint8)
    means = [cv2.fastNlMeansDenoising(c, None, 12, 7, 21) for c in levels.transpose(2, 0, 1).copy()]
    return np.stack(means, -1).astype(np.float32)


class Reference(Dataset[tuple[torch.Tensor, int]]):
    """Opens the file for every sample, enlarges and warps all bands, then takes three of them.

    Args:
        path: as `write` makes it.
        radar: whether the eight channels of Sentinel-1 are read and despeckled, too.
    """

    def __init__(self, path: Path, radar: bool) -> None:
        import cv2

        cv2.setNumThreads(0)
        self.path, self.radar = path, radar
        with h5py.File(path) as file:
            self.rows = len(file["label"])

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        import cv2

        with h5py.File(self.path) as file:
            sen2, label = file["sen2"][row], int(file["label"][row].argmax())
            images = np.clip(sen2 * (255 / 2.8), 0, 255).astype(np.float32)
            if self.radar:
                images = np.concatenate([images, despeckled(file["sen1"][row])], -1)
        rng = np.random.default_rng(row)
        flip, side = rng.random() < 0.5, int(rng.integers(3, 6))
        centre = (SIZE / 2, SIZE / 2)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, rng.uniform(-8, 8), 1.0), float)
        matrix[:, 2] += rng.uniform(-2, 2, 2)
        hole, (left, top) = rng.random() < 0.3, rng.integers(0, SIZE - side, 2)
        seen = []
        for band in images.transpose(2, 0, 1):
            large = cv2.resize(band, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
            seen.append(warp(large, bool(flip), matrix))
            if hole:
                seen[-1][top : top + side, left : left + side] = 0
        chosen = np.stack([seen[c] for c in ([*BANDS[:2], len(seen) - 1] if self.radar else BANDS)])
        normal = (chosen / 255 - MEAN[:, None, None]) / STD[:, None, None]
        return torch.from_numpy(normal.astype(np.float32)), label


def measure(path: Path, workers: int, radar: bool, rows: int) -> dict[str, Any]:
    """Rows per second after the first batch, so that the start of the workers does not count.

    By the clock; without workers by the time of the processor, where other work does not count.
    """
    torch.set_num_threads(1)
    source = torch.utils.data.Subset(Reference(path, radar), range(rows))
    batches = iter(DataLoader(source, BATCH, shuffle=True, num_workers=workers))
    next(batches)
    now = time.perf_counter if workers else time.process_time
    start = now()
    seen = sum(len(label) for _, label in batches)
    return {"rate": seen / (now() - start)}
