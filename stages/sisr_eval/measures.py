"""All that is measured of one image of one row; every number is one that is averaged over rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.sisr import fidelity, frequency
from stages.sisr_eval.samples import TARGET, TRUTH, Image, Reference, Sample

SUFFIX = {TARGET: "", TRUTH: "_truth"}  # of the metrics against each reference
AGAINST = ("psnr", "ssim", "rmse", "best_shift_psnr", "high_fidelity")  # band by band
SHIFTS = ("shift_down", "shift_right")
BASE_MTF = 1e-5  # of the low-pass that leaves differences of brightness, at the band's own pixels
Means = dict[str, Any]  # numbers, or arrays (C,) with NaN for what a band does not have


def examine(made: Reference, sample: Sample, name: str) -> Means:
    """Metrics of an image (H, W, C) against the input and against all references but itself.

    Args:
        made: what a network made, the enlarged input, or one of the references.
        sample: the row.
        name: whose image it is.
    """
    told = {**against_input(made, sample), "rings": _rings(made, sample)}
    for reference, suffix in SUFFIX.items():
        if reference in sample.references and reference != name:
            found = against(made, sample, reference)
            told |= {metric + suffix: value for metric, value in found.items()}
    return told


def against(made: Reference, sample: Sample, name: str) -> Means:
    """Metrics of an image against a reference, on what is inside of the margin.

    The best shift is one for all bands, as geometry is the same for all of them.
    """
    frame, target = sample.frame, sample.references[name]
    known = np.flatnonzero(made.known & target.known)
    ours, other = made.image[frame.inside], target.image[frame.inside]
    told: Means = {metric: np.full(len(frame.bands), np.nan) for metric in AGAINST}
    shift = fidelity.best_shift(ours[..., known], other[..., known])[1]
    moved, middle = fidelity.crop_moved(ours, shift), fidelity.crop_moved(other, (0, 0))
    for band in known:
        pair = ours[..., [band]], other[..., [band]]
        details = frame.high_pass(made.image, int(band))[frame.inside]
        told["psnr"][band] = fidelity.psnr(*pair)
        told["ssim"][band] = fidelity.ssim(*pair)
        told["rmse"][band] = fidelity.rmse(*pair)
        told["best_shift_psnr"][band] = fidelity.psnr(moved[..., band], middle[..., band])
        told["high_fidelity"][band] = fidelity.rmse(
            details, sample.details[name][frame.inside][..., band]
        )
    return told | dict(zip(SHIFTS, map(float, shift), strict=True))


def against_input(made: Reference, sample: Sample) -> Means:
    """How far an image, as Sentinel-2 would see it, is from the input.

    Returns:
        (C,) low_fidelity, the root of the mean squared difference; base and base_square, means of
        the low-passed difference and of its square.
    """
    frame = sample.frame
    told = {
        name: np.full(len(frame.bands), np.nan) for name in ("low_fidelity", "base", "base_square")
    }
    for band in map(int, np.flatnonzero(made.known)):
        apart = frame.shrink(made.image, band) - sample.own[band]
        base = low_pass(apart)[frame.within(band)]
        told["low_fidelity"][band] = np.sqrt(np.mean(apart[frame.within(band)] ** 2))
        told["base"][band], told["base_square"][band] = base.mean(), np.mean(base**2)
    return told


def low_pass(image: Image) -> Image:
    """(h, w) an image through the Gaussian whose MTF at the Nyquist frequency is `BASE_MTF`."""
    sigma = sisr.spread(BASE_MTF, 1)
    down, across = (sisr.weigh(cells, cells, 1, sigma) for cells in image.shape)
    return sisr.apply(image[..., None], down, across)[..., 0]


def _rings(made: Reference, sample: Sample) -> NDArray[np.float64]:
    """(C, W + 1) amplitudes by frequency of what is inside; NaN for bands that it lacks."""
    inside = made.image[sample.frame.inside]
    rings = np.full((inside.shape[2], len(inside) + 1), np.nan)
    for band in np.flatnonzero(made.known):
        rings[band] = frequency.measure_rings(inside[..., band])
    return rings
