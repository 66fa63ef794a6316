"""Geometric distortion, as the registration network of `register` sees it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.sisr import sessions
from stages.sisr_eval.samples import TARGET, TRUTH, Frame, Image, Sample


@dataclass(frozen=True)
class Registration:
    """The network, which gives the displacement of two images of one band.

    Attributes:
        registrar: runs it.
        band: number of the band among those of the input.
    """

    registrar: sessions.Registrar
    band: int

    def measure(self, made: Image, sample: Sample, name: str) -> dict[str, Any]:
        """How far an image lies aside of the input, in pixels of the band.

        Args:
            made: (H, W, C) on the finer grid.
            sample: the row.
            name: of who made it: of the target and of the truth the displacement may be known.

        Returns:
            means over the pixels inside: flow_norm, flow_square; flow_error where it is known: the
            distance to the true displacement.
        """
        inside = sample.frame.within(self.band)
        seen = (sample.own[self.band], sample.frame.shrink(made, self.band))
        reference, moving = (image.astype(np.float32)[None] for image in seen)
        found = self.registrar.flow(reference, moving, sample.number)
        flow = found[0].astype(np.float64)[inside]
        norm = np.hypot(flow[..., 0], flow[..., 1])
        told = {"flow_norm": float(norm.mean()), "flow_square": float((norm**2).mean())}
        if (true := _true_flow(sample, self.band, name)) is not None:
            apart = flow - true[inside]
            told["flow_error"] = float(np.hypot(apart[..., 0], apart[..., 1]).mean())
        return told


def _true_flow(sample: Sample, band: int, name: str) -> NDArray[np.float32] | None:
    """(h, w, 2) the displacement of the target or of the truth, where it is known."""
    on_grid_of_low = sample.frame.factors[band] == sample.frame.factor
    if sample.flow is None or not on_grid_of_low or name not in (TARGET, TRUTH):
        return None
    return sample.flow if name == TARGET else np.zeros_like(sample.flow)


def open_registration(folder: Path, pairs: sisr.Pairs, frame: Frame) -> Registration:
    """The registration network of a folder.

    Raises:
        StageError: not a product of register, or for another band or resolution.
    """
    registrar, fine = sessions.Registrar(folder), pairs.form.bands["high"].metres
    metres = [fine * factor for factor in frame.factors]
    registrar.check(dict(zip(frame.bands, metres, strict=True)), pairs.path)
    return Registration(registrar, frame.bands.index(registrar.band))
