"""How bands go through a network: each for itself, or three together, as the sr-* stages do it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shared.errors import StageError
from shared.sr import bands, forward, triplets

Array = NDArray[np.float32]
Change = Callable[[Array], Array]


def choose_gather(src: Path, channels: int, names: tuple[str, ...]) -> Change:
    """(N, H, W, C) patches of a file to the (M, channels, H, W) that a network takes.

    Raises:
        StageError: three channels, and other bands than those of the triplets.
    """
    if channels == 1:
        return bands.to_planes
    if not triplets.match(names):
        expected = ", ".join(sorted(set(triplets.NAMES)))
        raise StageError(f"{src}: sen2: expected the bands {expected}, found {', '.join(names)}")
    return partial(triplets.gather, bands=names)


def make_restorer(network: nn.Module, channels: int, names: tuple[str, ...], device: str) -> Change:
    """(N, H, W, C) to (N, H * scale, W * scale, C) reflectance, by a network done learning."""
    still = forward.prepare_network(network, device)
    if channels == 1:
        return partial(forward.enlarge_bands, still, device=device, precision="float32")
    return partial(forward.enlarge_triplets, still, names=names, device=device, precision="float32")
