"""Patches through ESRGAN's generator: triplets of bands, or single ones."""

from functools import partial
from pathlib import Path

from torch import nn

from shared import lcz, patches
from shared.errors import StageError
from shared.sr import bands, forward, passage, rrdb, triplets

Array = passage.Array


def by_triplets(
    network: nn.Module, sen2: Array, *, names: tuple[str, ...], device: str, precision: str
) -> Array:
    """Enlarge patches three bands at a time, each band in [0, 1] of its own.

    Args:
        network: three channels in and out, from `forward.ready`.
        sen2: (N, H, W, C) reflectance.
        names: of the C bands.
        device: "cpu" or "cuda".
        precision: as for `forward.call`.

    Returns:
        (N, H * scale, W * scale, C) reflectance, not clipped.
    """
    images = triplets.gather(sen2, names)
    low, span = bands.ranges(images)
    unit, each = bands.stretch(images, low, span), len(triplets.TRIPLETS)
    large = forward.call(network, unit, device=device, precision=precision, each=each)
    return triplets.scatter(bands.restore(large, low, span), names)


def load(src: Path, weights: Path, scale: int, *, device: str, precision: str) -> passage.Enlarge:
    """What enlarges the patches of ``src``: by triplets with weights of 3 channels, else singly.

    Raises:
        StageError: weights that do not fit, bands that are not those of the triplets.
    """
    place, network = forward.place(device, precision), rrdb.read(weights, scale)
    channels = network.model[-1].out_channels
    if channels not in (1, 3):
        raise StageError(f"{weights}: expected weights of 1 or 3 channels, found {channels}")
    model = forward.ready(rrdb.precise(network), place)
    if channels == 1:
        return partial(forward.singly, model, device=place, precision=precision)
    with patches.read(src, "sen2") as source:
        names = (source["sen2"].layout or lcz.SEN2).bands
    if not triplets.fit(names):
        expected = f"the bands {', '.join(sorted(set(triplets.NAMES)))} for weights of 3 channels"
        raise StageError(f"{src}: sen2: expected {expected}, found {', '.join(names)}")
    return partial(by_triplets, model, names=names, device=place, precision=precision)
