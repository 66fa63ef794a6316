"""Geometric distortion, as the registration network of `register` sees it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.reading import documents
from stages.sisr_eval.networks import open_session, run_session
from stages.sisr_eval.samples import TARGET, TRUTH, Frame, Image, Sample

ONNX, CARD = "registration.onnx", "registration.json"


@dataclass(frozen=True)
class Registration:
    """The network, which gives the displacement of two images of one band.

    Attributes:
        path: its ONNX file.
        session: runs it.
        band: number of the band among those of the input.
    """

    path: Path
    session: onnxruntime.InferenceSession
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
        images = np.stack([sample.own[self.band], sample.frame.shrink(made, self.band)])
        given = images[None].astype(np.float32)
        made_flow = run_session(self.session, given, self.path, sample.number)
        if made_flow.shape != given.shape:
            raise StageError(
                f"{self.path}: expected an output {given.shape}, found {made_flow.shape}"
            )
        flow = np.moveaxis(made_flow[0].astype(np.float64), 0, 2)[inside]
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
    path = folder / CARD
    try:
        card = documents.read_json(path)
        band, metres = card["band"], float(card["metres"])
    except OSError:
        what = "none" if folder.is_dir() else "a file"
        expected = f"--registration: expected a folder of register with {CARD}"
        raise StageError(f"{folder}: {expected}, found {what}") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise StageError(f"{path}: not a registration ({error})") from None
    if band not in frame.bands:
        expected = f"expected a registration by a band of {pairs.path} ({', '.join(frame.bands)})"
        raise StageError(f"{folder}: {expected}, found one by {band}")
    place = frame.bands.index(band)
    own = pairs.form.bands["high"].metres * frame.factors[place]
    if not math.isclose(metres, own):
        expected = f"expected a registration of {own:g} m, as {band} in {pairs.path}"
        raise StageError(f"{folder}: {expected}, found one of {metres:g} m")
    return Registration(folder / ONNX, open_session(folder / ONNX), place)
