"""Patches through ESRGAN's generator: triplets of bands, or single ones."""

from functools import partial
from pathlib import Path

from shared import lcz, patches
from shared.errors import StageError
from shared.sr import forward, passage, triplets
from shared.sr.networks import rrdb


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
    return partial(forward.by_triplets, model, names=names, device=place, precision=precision)
