"""Patches through ESRGAN's generator: triplets of bands, or single ones."""

from functools import partial
from pathlib import Path

from shared import lcz, patches
from shared.errors import StageError
from shared.sr import forward, stream, triplets
from shared.sr.networks import rrdb


def load(src: Path, weights: Path, scale: int, *, device: str, precision: str) -> stream.Enlarge:
    """What enlarges the patches of ``src``: by triplets with weights of 3 channels, else singly.

    Raises:
        StageError: weights that do not fit, bands that are not those of the triplets.
    """
    place, network = forward.prepare_device(device, precision), rrdb.read(weights, scale)
    channels = network.model[-1].out_channels
    if channels not in (1, 3):
        raise StageError(f"{weights}: expected weights of 1 or 3 channels, found {channels}")
    model = forward.prepare_network(rrdb.keep_trunk_float32(network), place)
    if channels == 1:
        return partial(forward.enlarge_bands, model, device=place, precision=precision)
    with patches.read(src, "sen2") as source:
        names = (source["sen2"].layout or lcz.SEN2).bands
    if not triplets.match(names):
        expected = f"the bands {', '.join(sorted(set(triplets.NAMES)))} for weights of 3 channels"
        raise StageError(f"{src}: sen2: expected {expected}, found {', '.join(names)}")
    return partial(forward.enlarge_triplets, model, names=names, device=place, precision=precision)
