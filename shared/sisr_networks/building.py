"""Networks by name; what all of them are part of: a bicubic enlargement that they correct."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shared.backend import weights
from shared.errors import StageError
from shared.sisr_networks import carn, edsr, rrdb, swinir
from shared.sisr_networks.layers import CUBIC, Cubic

FORMS = (
    "carn-CASCADESxBLOCKSxFEATURESgGROUPS (sw behind it: shared weights)",
    "esrgan-BLOCKS or esrgan-BLOCKSxLATENTgGROWTH",
    "edsr-BLOCKSxWIDTH",
    "swinir-BLOCKSxLAYERSxWIDTHhHEADS (wPIXELS behind it: windows of another side than 8)",
)
LATENT, GROWTH = 64, 32  # of ESRGAN as published
FOLLOWS = (".relative_position_index", ".attn_mask")  # in files of SwinIR: from its sizes alone
WINDOW, WINDOWS = 8, (2, 32)  # pixels of SwinIR as published; the smallest and the largest
LARGEST = 4096  # of any number in a name
Sizes = dict[str, Any]


def _carn(name: str) -> Sizes | None:
    if not (match := re.fullmatch(r"carn-(\d+)x(\d+)x(\d+)g(\d+)(sw)?", name)):
        return None
    keys = ("cascades", "blocks", "features", "groups")
    sizes = dict(zip(keys, map(int, match.groups()[:4]), strict=True))
    return {**sizes, "shared": match[5] is not None}


def _esrgan(name: str) -> Sizes | None:
    if not (match := re.fullmatch(r"esrgan-(\d+)(?:x(\d+)g(\d+))?", name)):
        return None
    return {"depth": int(match[1]), "latent": int(match[2] or LATENT),
            "growth": int(match[3] or GROWTH)}  # fmt: skip


def _edsr(name: str) -> Sizes | None:
    match = re.fullmatch(r"edsr-(\d+)x(\d+)", name)
    return match and {"blocks": int(match[1]), "width": int(match[2])}


def _swinir(name: str) -> Sizes | None:
    if not (match := re.fullmatch(r"swinir-(\d+)x(\d+)x(\d+)h(\d+)(?:w(\d+))?", name)):
        return None
    keys = ("blocks", "layers", "width", "heads")
    sizes = dict(zip(keys, map(int, match.groups()[:4]), strict=True))
    return {**sizes, "window": int(match[5] or WINDOW)}


KINDS: tuple[tuple[Callable[[str], Sizes | None], Callable[..., nn.Module]], ...] = (
    (_carn, carn.CARN), (_esrgan, rrdb.Generator), (_edsr, edsr.Adapter),
    (_swinir, swinir.SwinIR),
)  # fmt: skip


class Enlarger(nn.Module):
    """A network and the bicubic enlargement that it corrects, where bands in and out are the same.

    It starts as that enlargement: the last convolution is zero at first.

    Attributes:
        network: (N, C, h, w) to (N, C', factor * h, factor * w).
        factor: output pixels along one of the input.
        grid: input pixels; a part of an image is a part of the whole if it begins at a multiple of
            them. 1 where it may begin anywhere, the windows of SwinIR otherwise.
        reach: output pixels from an edge inwards on which what lies outside has an influence.
        margin: the next multiple of the factor, and of the grid.
    """

    def __init__(self, network: Any, bands_in: int, bands_out: int, factor: int) -> None:
        super().__init__()
        self.network, self.factor, self.bands_out = network, factor, bands_out
        self.base = Cubic(factor, bands_in) if bands_in == bands_out else None
        self.reach: int = max(network.reach, CUBIC * factor if self.base else 0)
        self.grid: int = getattr(network, "grid", 1)
        whole = self.grid * factor
        self.margin = -(-self.reach // whole) * whole
        if self.base:
            nn.init.zeros_(network.last.weight)
            nn.init.zeros_(network.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) standardised to (N, C', factor * h, factor * w)."""
        made: Tensor = self.network(x)
        return made if self.base is None else made + self.base(x)


def check(name: str, factor: int) -> Sizes:
    """The sizes that a name gives.

    Raises:
        StageError: no such network, or sizes that do not go together.
    """
    sizes = next((found for read, _ in KINDS if (found := read(name))), None)
    if sizes is None:
        expected = f"expected {', '.join(FORMS)}"
        raise StageError(f"--architecture: {expected}, found {name!r}")
    if not all(1 <= value <= LARGEST for value in sizes.values() if value is not False):
        expected = f"expected numbers from 1 to {LARGEST}"
        raise StageError(f"--architecture: {expected}, found {name!r}")
    if fault := _find_misfit(sizes, factor):
        raise StageError(f"--architecture: {fault}, found {name!r}")
    return sizes


def _find_misfit(sizes: Sizes, factor: int) -> str:
    """What is expected of sizes that do not go together, or ""."""
    width = sizes.get("features", 0) * factor**2
    if width % sizes.get("groups", 1):
        return f"expected groups that divide the {width} features of a layer"
    if sizes.get("width", 0) % sizes.get("heads", 1):
        return f"expected heads that divide the {sizes['width']} features of a layer"
    least, most = WINDOWS
    if not least <= sizes.get("window", WINDOW) <= most:
        return f"expected windows of {least} to {most} pixels"
    return ""


def build(name: str, bands_in: int, bands_out: int, factor: int) -> Enlarger:
    """An untrained network; its random numbers come from torch's generator.

    Args:
        name: one of `FORMS`, such as "carn-3x3x64g4sw".
        bands_in, bands_out: channels of the images.
        factor: 2 or 4.

    Raises:
        StageError: no such network, or sizes that do not go together.
    """
    sizes = check(name, factor)
    make = next(make for read, make in KINDS if read(name))
    return Enlarger(make(bands_in, bands_out, factor, **sizes), bands_in, bands_out, factor)


def load_weights(network: Enlarger, path: Path) -> None:
    """Start from a file of weights with the very tensors of the network.

    Of a network of one channel, as `sr-train` makes them, the first convolution sees the mean of
    the bands, and the last one is left as it is here: it made a whole image, not a correction.

    Args:
        network: filled in place.
        path: network.safetensors of another run, or for EDSR and SwinIR what sr-train made.

    Raises:
        StageError: says which keys are missing, extra or of another shape.
    """
    tensors = weights.read(path)
    inner = network.network
    target: nn.Module = inner.network if isinstance(inner, edsr.Adapter) else inner
    wanted = target.state_dict()
    for name in [name for name in tensors if name.endswith(FOLLOWS)]:
        tensors.pop(name)
    for name in tensors.keys() & wanted.keys():
        tensors[name] = _spread(tensors[name], wanted[name], network.bands_out)
    weights.fit(path, target, tensors, "such")


def _spread(given: Tensor, wanted: Tensor, bands: int) -> Tensor:
    """A first kernel of one channel for all bands; of a last layer, what there is already."""
    if given.ndim != wanted.ndim or given.shape == wanted.shape:
        return given
    alike = given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    if alike and given.ndim == 4 and given.shape[1] == 1:
        return (given / wanted.shape[1]).expand_as(wanted).clone()
    if bands * given.shape[0] == wanted.shape[0] and given.shape[1:] == wanted.shape[1:]:
        return wanted.clone()
    return given


def count(network: nn.Module) -> int:
    """Numbers that a network learns."""
    return sum(tensor.numel() for tensor in network.parameters())
