"""Small pair files for tests whose warp and brightness are known, by formulas alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches, sisr

WAVES, FASTEST = 24, 0.5  # cosines of a scene; cycles a pixel of low
SPLITS = (0, 1, 0, 2, 0, 1, 0, 2, 0)  # of nine rows
SITES = ("a", "b", "c")


@dataclass(frozen=True)
class Scene:
    """A sum of cosines for each band, in pixels of low.

    Attributes:
        ways: (WAVES, 2) radians a pixel.
        phases: (C, WAVES).
    """

    ways: NDArray[np.float64]
    phases: NDArray[np.float64]

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., C) reflectance at (..., 2) places down and to the right."""
        turned = (places @ self.ways.T)[..., None, :] + self.phases
        level = 0.2 + 0.05 * np.arange(len(self.phases))
        made: NDArray[np.float64] = level + 0.02 * np.cos(turned).sum(-1)
        return made


def draw_scene(rng: np.random.Generator, bands: int) -> Scene:
    """A random scene."""
    angle, speed = rng.uniform(0, 2 * np.pi, WAVES), rng.uniform(0.03, FASTEST, WAVES)
    ways = 2 * np.pi * speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    return Scene(ways, rng.uniform(0, 2 * np.pi, (bands, WAVES)))


def place(side: int, along: int) -> NDArray[np.float64]:
    """(along·side, along·side, 2) centres of pixels, in pixels of low, `along` in each of them."""
    axis = (np.arange(along * side) + 0.5) / along - 0.5
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)


def form(side: int, coarse: bool, simulated: bool = True) -> sisr.Form:
    """B2 and B8; with `coarse` B8A and B11 of 20 m as well, the latter without a reference."""
    low, more = ("B2", "B8"), ("B8A", "B11")
    bands = {"low": sisr.Bands(low, 10.0), "high": sisr.Bands(low, 5.0)}
    if coarse:
        bands["coarse"] = sisr.Bands(more, 20.0)
        bands["high"] = sisr.Bands(low + more[:1], 5.0)
    if simulated:
        bands["truth"] = sisr.Bands(low + (more if coarse else ()), 5.0)
    return sisr.Form(side, {n: bands[n] for n in sisr.IMAGES if n in bands}, simulated)


def see(image: NDArray[np.float64], factor: int, names: tuple[str, ...]) -> NDArray[np.float64]:
    """An image as Sentinel-2 sees it."""
    planes = [
        sisr.downscale(image[..., i : i + 1], factor, sisr.SENTINEL2_MTF[name])
        for i, name in enumerate(names)
    ]
    return np.concatenate(planes, -1)


def draw_row(
    rng: np.random.Generator, shape: sisr.Form, shift: tuple[float, float], gain: float
) -> dict[str, NDArray[np.float64]]:
    """Images of a row: high shows at place + shift what low and truth show at place."""
    low, coarse, high = (
        shape.bands.get(name, sisr.Bands((), 0.0)).names for name in ("low", "coarse", "high")
    )
    scene, places = draw_scene(rng, len(low + coarse)), place(shape.side, 2)
    truth = scene.at(places)
    moved = gain * scene.at(places - np.array(shift))[..., : len(high)] + 0.01
    images = {"low": see(truth[..., :2], 2, low), "high": moved, "truth": truth}
    if coarse:
        images["coarse"] = see(truth[..., 2:], 4, coarse)
    return images


def write(
    path: Path, side: int = 16, coarse: bool = False, *, simulated: bool = True,
    splits: tuple[int, ...] = SPLITS,
) -> dict[str, Any]:  # fmt: skip
    """Nine rows of three sites; each has a shift of its own.

    Returns:
        what is in it.
    """
    shape, rng, rows = form(side, coarse, simulated), np.random.default_rng(3), len(splits)
    shifts = rng.uniform(-1.2, 1.2, (rows, 2))
    gains = rng.uniform(0.9, 1.1, rows)
    drawn = [
        draw_row(rng, shape, tuple(shift), gain) for shift, gain in zip(shifts, gains, strict=True)
    ]
    images = {
        name: np.stack([row[name] * 10_000 for row in drawn]).round().astype(np.int16)
        for name in shape.bands
    }
    fields: dict[str, Any] = {**sisr.fields(shape)}
    values: dict[str, Any] = {
        **images,
        **{
            f"{n}_moments": np.stack([sisr.sum_values(i) for i in images[n]])
            for n in ("low", "coarse", "high") if n in images
        },
        "correlation": np.linspace(0.05, 0.9, rows, dtype=np.float32),
        "date": np.full(rows, 20200615, np.int32),
        "site": np.array(splits, np.int32),
        "split": np.array(splits, np.uint8),
    }  # fmt: skip
    if simulated:
        grid, high = (rows, side, side), len(shape.bands["high"].names)
        values["flow"] = np.broadcast_to(shifts[:, None, None], (*grid, 2)).astype(np.float32)
        values["gain"] = np.broadcast_to(gains[:, None, None, None], (*grid, high)).astype("f4")
        values["offset"] = np.full((*grid, high), 0.01, np.float32)
    with patches.Writer(path, rows, constants=sisr.constants(shape, SITES), **fields) as sink:
        for block in sink.todo(4):
            sink.put(block, **{name: array[block] for name, array in values.items()})
    return values
